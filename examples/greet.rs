//! A server and a client over TCP, in one program: a typed request, its result, and an Error.
//!
//! ```text
//! $ cargo run -p switchboard-examples --example greet
//! Hello, Rasmus!
//! not greeted: tell me your name
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};
use switchboard_peer::{Context, Fault, Handlers, Options, connect, serve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What is sent, as JSON: `{"name": "Rasmus"}`.
#[derive(Serialize, Deserialize)]
struct Greet {
    name: String,
}

/// What comes back: `{"greeting": "Hello, Rasmus!"}`.
#[derive(Serialize, Deserialize)]
struct Greeting {
    greeting: String,
}

async fn greet(_: Context, asked: Greet) -> Result<Greeting, Fault> {
    if asked.name.is_empty() {
        return Err(Fault::invalid("tell me your name"));
    }
    let greeting = format!("Hello, {}!", asked.name);
    Ok(Greeting { greeting })
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // The server: peers that connect may call `greet`.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("tcp://{}", listener.local_addr()?);
    let handlers = Handlers::new().handle("greet", greet);
    let (stop, grace) = (CancellationToken::new(), Duration::from_secs(1));
    let server = tokio::spawn(serve(listener, handlers, Options::default(), stop.clone(), grace));

    // The client. It could have handlers too: the server may call it back.
    let peer = connect(&url, Handlers::new()).await?;
    let name = "Rasmus".to_owned();
    let answer: Greeting = peer.request("greet", &Greet { name }).await?;
    println!("{}", answer.greeting);

    let name = String::new();
    let answer: Result<Greeting, Fault> = peer.request("greet", &Greet { name }).await;
    if let Err(fault) = answer {
        println!("not greeted: {fault}");
    }

    stop.cancel();
    server.await?;
    Ok(())
}
