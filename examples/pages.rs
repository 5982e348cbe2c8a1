//! Serves the pages of `pages/`, which talk to a hub elsewhere.
//!
//! Needs a hub that lets pages of this address talk to it, since a browser asks on behalf of any page it shows:
//!
//! ```sh
//! SWITCHBOARD_HTTP_ORIGINS='["http://127.0.0.1:8080"]' cargo run --release -- serve
//! ```
//!
//! Then, in another terminal; Ctrl-C ends it:
//!
//! ```text
//! $ cargo run -p switchboard-examples --example pages
//! open http://127.0.0.1:8080/ – its pages talk to http://127.0.0.1:4780
//! ```
//!
//! Another hub and another address may be said: `-- http://127.0.0.1:4781 127.0.0.1:8081`.

use switchboard_examples::Site;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let hub = arguments
        .next()
        .unwrap_or_else(|| "http://127.0.0.1:4780".to_owned());
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!(
        "open http://{}/ – its pages talk to {hub}",
        listener.local_addr()?
    );

    tokio::select! {
        () = Site::of_hub(&hub).serve(listener) => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(())
}
