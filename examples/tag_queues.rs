//! Three tasks that share one byte stream, each waiting for the messages with its own tag.
//!
//! For a protocol of your own, where requests and notifications would be too much: a message is a tag of 64 bits and
//! a payload. Here the tag says who asks; it could as well be a channel, a player or a camera.
//!
//! ```text
//! $ cargo run -p switchboard-examples --example tag-queues
//! task 1: twice one is 2
//! task 2: twice two is 4
//! task 3: twice three is 6
//! nobody waits for tag 4: by the way
//! the stream has ended: 4 messages came, 0 were dropped
//! ```

use switchboard_peer::{TagOptions, TagQueues};
use tokio::io::DuplexStream;

/// Both directions of anything that can be read and written.
fn start(pipe: DuplexStream) -> TagQueues {
    let (reader, writer) = tokio::io::split(pipe);
    TagQueues::start(reader, writer, TagOptions::default())
}

/// Waits for all three questions, then answers the last one first.
async fn answer(queues: TagQueues) -> anyhow::Result<()> {
    let mut asked = Vec::new();
    for _ in 0..3 {
        asked.push(queues.receive_unclaimed().await?);
    }
    asked.sort_by_key(|message| message.tag);
    for message in asked.into_iter().rev() {
        queues.send(message.tag, (2 * message.tag).to_string()).await?;
    }
    queues.send(4, "by the way").await?;
    queues.finish().await?;
    Ok(())
}

/// Asks, and gets its own answer, whatever else comes meanwhile.
async fn ask(queues: TagQueues, tag: u64, question: &'static str) -> anyhow::Result<String> {
    let claim = queues.claim(tag);
    claim.send(question).await?;
    let answer = claim.receive().await?;
    Ok(format!("{question} is {}", String::from_utf8_lossy(&answer)))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (here, there) = tokio::io::duplex(64 * 1024);
    let (queues, others) = (start(here), start(there));
    let answering = tokio::spawn(answer(others));

    let tasks = [(1, "twice one"), (2, "twice two"), (3, "twice three")]
        .map(|(tag, question)| (tag, tokio::spawn(ask(queues.clone(), tag, question))));
    for (tag, task) in tasks {
        println!("task {tag}: {}", task.await??);
    }
    answering.await??;

    // What nobody has claimed is kept, up to a bound.
    let message = queues.receive_unclaimed().await?;
    let text = String::from_utf8_lossy(&message.payload);
    println!("nobody waits for tag {}: {text}", message.tag);

    queues.closed().await;
    let counts = queues.counts();
    let dropped = counts.dropped_full + counts.dropped_unclaimed;
    println!(
        "the stream has ended: {} messages came, {dropped} were dropped",
        counts.received
    );
    Ok(())
}
