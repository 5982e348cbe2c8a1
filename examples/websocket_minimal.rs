//! A web page that calls a program over WebSocket, without a daemon between them.
//!
//! Serves its page, the library for it, and gotalk at `/gotalk/`. Open the address that it prints; Ctrl-C ends it.
//!
//! ```text
//! $ cargo run -p switchboard-examples --example websocket-minimal
//! open http://127.0.0.1:8080/
//! ```
//!
//! Another address may be said: `-- 127.0.0.1:8081`.

use serde_json::Value;
use switchboard_examples::Site;
use switchboard_peer::{Handlers, Options};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:8080")).await?;
    println!("open http://{}/", listener.local_addr()?);

    let handlers = Handlers::new().handle("echo", |_, value: Value| async move { Ok(value) });
    let site = Site::of_page("websocket_minimal", handlers, Options::default());
    tokio::select! {
        () = site.serve(listener) => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(())
}
