//! A server that takes one request at a time, and a client that comes back when it is told to.
//!
//! Over a limit a request is not queued but answered at once with a Retry, which says how long to wait. A call with a
//! [`RetryPolicy`] heeds that by itself. Each connection has limits of its own.
//!
//! ```text
//! $ cargo run -p switchboard-examples --example limits
//! second: request rate limit, try again in 50 ms
//! first: done
//! second: done, 50 ms later or more
//! ```

use std::time::{Duration, Instant};

use switchboard_peer::{Caller, Fault, Handlers, Limits, Options, Peer, RetryPolicy, Side};
use tokio_util::sync::CancellationToken;

/// What a refused client is told to wait. A real server gives a wider range, so that not all come back at once.
const WAIT: Duration = Duration::from_millis(50);

/// Work that takes until the client says `finish`. Notifications are not requests: they are under no such limit.
fn handlers() -> Handlers {
    let finish = CancellationToken::new();
    let finished = finish.clone();
    Handlers::new()
        .handle("work", move |_, ()| {
            let finished = finished.clone();
            async move {
                finished.cancelled().await;
                Ok(())
            }
        })
        .on("finish", move |_, ()| {
            finish.cancel();
            async {}
        })
}

async fn first(client: &Peer) -> Result<(), Fault> {
    client.request::<_, ()>("work", &()).await?;
    println!("first: done");
    Ok(())
}

async fn second(client: &Peer) -> Result<(), Fault> {
    let began = Instant::now();
    if let Err(Fault::Retry { wait, message }) = client.request::<_, ()>("work", &()).await {
        println!("second: {message}, try again in {} ms", wait.as_millis());
    }
    let call = client.call("work").retry(RetryPolicy::times(10));
    // Sent in this order: the call is refused once more, before the server hears that it may finish.
    let (done, told) = tokio::join!(biased; call.request::<_, ()>(&()), client.notify("finish", &()));
    done.and(told)?;
    assert!(began.elapsed() >= WAIT);
    println!("second: done, {} ms later or more", WAIT.as_millis());
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (client, server) = tokio::io::duplex(64 * 1024);
    let limits = Limits {
        requests_max: 1,
        retry_wait: WAIT..WAIT,
        ..Limits::default()
    };
    let options = Options {
        limits,
        ..Options::default()
    };
    let start = |pipe, side, handlers, options| Peer::start(pipe, side, handlers, options, Caller::default());
    let (client, _server) = tokio::try_join!(
        start(client, Side::Connecting, Handlers::new(), Options::default()),
        start(server, Side::Accepting, handlers(), options),
    )?;
    tokio::try_join!(biased; first(&client), second(&client))?;
    Ok(())
}
