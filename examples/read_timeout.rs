//! A silent peer is told so and disconnected; heartbeats keep an idle one.
//!
//! By default a peer expects something within 30 s, and says something itself every 20 s: a heartbeat, which carries
//! its load. So two peers that have nothing to say stay connected, and one that has vanished is noticed.
//!
//! ```text
//! $ cargo run -p switchboard-examples --example read-timeout
//! silent: disconnected after 30 s: nothing came within the read time-out
//! silent: the last that was heard is f00000003
//! idle: still connected after 600 s, with a load of 0
//! ```

use std::time::Duration;

use switchboard_peer::{Caller, Handlers, HandshakeError, Options, Peer, Side};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, timeout};

async fn start(pipe: DuplexStream, side: Side) -> Result<Peer, HandshakeError> {
    Peer::start(pipe, side, Handlers::new(), Options::default(), Caller::default()).await
}

/// Somebody who says the protocol's version and then nothing more.
async fn silent() -> anyhow::Result<()> {
    let (mut silent, pipe) = tokio::io::duplex(1024);
    silent.write_all(b"01").await?;
    let peer = start(pipe, Side::Accepting).await?;
    let began = Instant::now();
    let mut heard = String::new();
    silent.read_to_string(&mut heard).await?;
    drop(silent);
    let reason = peer.closed().await;
    println!(
        "silent: disconnected after {} s: {reason}",
        began.elapsed().as_secs()
    );
    // Protocol error 3: you were too slow.
    let (_, last) = heard.split_at(heard.len().saturating_sub("f00000003".len()));
    println!("silent: the last that was heard is {last}");
    Ok(())
}

/// Two that have nothing to say to each other.
async fn idle() -> anyhow::Result<()> {
    let (left, right) = tokio::io::duplex(1024);
    let (left, right) = tokio::try_join!(start(left, Side::Connecting), start(right, Side::Accepting))?;
    let while_idle = Duration::from_secs(600);
    match (timeout(while_idle, left.closed()).await, right.load()) {
        (Err(_), Some(load)) => println!(
            "idle: still connected after {} s, with a load of {load}",
            while_idle.as_secs()
        ),
        (ended, load) => anyhow::bail!("ended: {ended:?}, load: {load:?}"),
    }
    Ok(())
}

// This clock jumps whenever all there is to do is to wait: the ten minutes are over at once.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> anyhow::Result<()> {
    silent().await?;
    idle().await
}
