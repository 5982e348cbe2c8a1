//! A worker that serves an operation at a hub, and does so again whenever the connection is lost; and a caller.
//!
//! Needs a hub, such as `cargo run --release -- serve` in another terminal; `SWITCHBOARD_HUB` says where it is, unless
//! it is at `tcp://127.0.0.1:4700`. Then start the worker, which Ctrl-C ends, or several: they share the calls. And call:
//!
//! ```text
//! $ cargo run -p switchboard-examples --example hub-worker -- work
//! at the hub: greet is served
//! guest calls, through gotalk
//! goodbye
//! ```
//!
//! ```text
//! $ cargo run -p switchboard-examples --example hub-worker -- call Ann
//! Hello, Ann!
//! ```
//!
//! `switchboard call greet '"Ann"'` calls it too, and so can every other program at the hub, whatever it speaks.

use std::pin::pin;
use std::time::Duration;

use switchboard_peer::{
    Connector, Context, Fault, Handlers, KeepAlive, KeepAliveOptions, Presence, RetryPolicy, State, connect,
};

/// The hub says who calls, as the worker has asked for it.
async fn greet(context: Context, name: String) -> Result<String, Fault> {
    let caller = context.caller();
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "somebody".to_owned());
    println!(
        "{} calls, through {}",
        known(&caller.account),
        known(&caller.door)
    );
    Ok(format!("Hello, {name}!"))
}

async fn work(hub: &str) -> anyhow::Result<()> {
    let presence = Presence {
        operations: vec!["greet".to_owned()],
        callers: true,
        ..Presence::default()
    };
    let options = KeepAliveOptions {
        hub: Some(presence),
        ..KeepAliveOptions::default()
    };
    let handlers = Handlers::new().handle("greet", greet);
    let worker = KeepAlive::connect(hub.parse()?, Connector::default(), handlers, options);

    let mut interrupted = pin!(tokio::signal::ctrl_c());
    let mut state = worker.state();
    loop {
        match &*state.borrow_and_update() {
            State::Connecting { .. } => {}
            State::Connected => println!("at the hub: greet is served"),
            State::Waiting { why, .. } => eprintln!("no hub for now: {why}"),
            State::Closed(ended) => anyhow::bail!("{ended}"),
        }
        tokio::select! {
            changed = state.changed() => changed?,
            interrupted = &mut interrupted => break interrupted?,
        }
    }
    // No new calls; those under way may end.
    worker.shutdown(Duration::from_secs(5)).await;
    println!("goodbye");
    Ok(())
}

async fn call(hub: &str, name: &str) -> anyhow::Result<()> {
    let peer = connect(hub, Handlers::new()).await?;
    // A greeting may be said twice: should its worker vanish, the call goes to another.
    let call = peer
        .call("greet")
        .timeout(Duration::from_secs(10))
        .retry(RetryPolicy::default());
    let greeting: String = call.request(name).await?;
    println!("{greeting}");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let hub = std::env::var("SWITCHBOARD_HUB").unwrap_or_else(|_| "tcp://127.0.0.1:4700".to_owned());
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("work"), None) => work(&hub).await,
        (Some("call"), Some(name)) => call(&hub, &name).await,
        _ => anyhow::bail!("usage: hub-worker work | hub-worker call NAME"),
    }
}
