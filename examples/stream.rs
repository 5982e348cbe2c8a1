//! A request and its result part by part, and what a slow reader does to a fast writer.
//!
//! ```text
//! $ cargo run -p switchboard-examples --example stream
//! ONE
//! TWO
//! that was all
//! 3 parts are read: the writer waits, fewer than 100 ahead
//! the writer stops: nobody reads any more
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use switchboard_peer::{Caller, Context, Fault, Handlers, Options, PartReceiver, Peer, Results, Side};

/// Answers each part as it comes.
async fn upper(_: Context, mut body: PartReceiver, results: Results) -> Result<(), Fault> {
    while let Some(part) = body.next().await {
        if results.send(part?.to_ascii_uppercase()).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Writes parts of 64 KiB, as fast as they are read and for as long as somebody does.
async fn endless(written: Arc<AtomicUsize>, results: Results) -> Result<(), Fault> {
    while results.send(vec![b'.'; 64 * 1024]).await.is_ok() {
        written.fetch_add(1, Ordering::Relaxed);
    }
    println!("the writer stops: nobody reads any more");
    Ok(())
}

// This clock jumps whenever all there is to do is to wait: a second is long enough for anybody who can go on to do so.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> anyhow::Result<()> {
    let written = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&written);
    let handlers = Handlers::new()
        .handle_stream("upper", upper)
        .handle_stream("endless", move |_, _, results| {
            endless(Arc::clone(&counter), results)
        });
    let start =
        |pipe, side, handlers| Peer::start(pipe, side, handlers, Options::default(), Caller::default());
    let (left, right) = tokio::io::duplex(64 * 1024);
    let (client, server) = tokio::try_join!(
        start(left, Side::Connecting, Handlers::new()),
        start(right, Side::Accepting, handlers),
    )?;

    // Both streams are open at the same time: the first result is here before the second part is sent.
    let (mut body, reply) = client.call("upper").stream();
    body.send("one").await?;
    let mut results = reply.await?.into_parts();
    print_next(&mut results).await?;
    body.send("two").await?;
    print_next(&mut results).await?;
    body.finish();
    print_next(&mut results).await?;

    // The other side is told when a call is given up, if it is known to understand that.
    client.set_knows_cancel();
    let mut results = client.call("endless").send("").await?.into_parts();
    for _ in 0..3 {
        results.next().await.transpose()?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    anyhow::ensure!(written.load(Ordering::Relaxed) < 3 + 100);
    println!("3 parts are read: the writer waits, fewer than 100 ahead");
    drop(results);
    server.shutdown(Duration::from_secs(1)).await;
    Ok(())
}

async fn print_next(results: &mut PartReceiver) -> anyhow::Result<()> {
    match results.next().await.transpose()? {
        Some(part) => println!("{}", String::from_utf8_lossy(&part)),
        None => println!("that was all"),
    }
    Ok(())
}
