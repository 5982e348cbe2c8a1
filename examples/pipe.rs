//! Two peers in one program, over memory instead of a network: both call, both answer.
//!
//! Anything that can be read and written is a transport: a pipe as here, a child's stdin and stdout, a serial line.
//!
//! ```text
//! $ cargo run -p switchboard-examples --example pipe
//! Alice asks Bob: Hello Alice, I am Bob.
//! Bob asks Alice: Hello Bob, I am Alice.
//! the pipe is closed: closed by the other side
//! ```

use switchboard_peer::{Caller, Context, Handlers, HandshakeError, Options, Peer, Side};
use tokio::io::DuplexStream;

/// How many bytes are on their way through the pipe at most.
const PIPE_BYTES: usize = 64 * 1024;

async fn start(name: &'static str, pipe: DuplexStream, side: Side) -> Result<Peer, HandshakeError> {
    let handlers = Handlers::new()
        .handle("name", move |_, ()| async move { Ok(name) })
        .handle("greet", move |context: Context, ()| async move {
            // Who is called can call back, over the same connection.
            let caller: String = context.peer().request("name", &()).await?;
            Ok(format!("Hello {caller}, I am {name}."))
        });
    Peer::start(pipe, side, handlers, Options::default(), Caller::default()).await
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (left, right) = tokio::io::duplex(PIPE_BYTES);
    // Each waits for the other to say its version: both must begin.
    let (alice, bob) = tokio::try_join!(
        start("Alice", left, Side::Connecting),
        start("Bob", right, Side::Accepting),
    )?;

    let answer: String = alice.request("greet", &()).await?;
    println!("Alice asks Bob: {answer}");
    let answer: String = bob.request("greet", &()).await?;
    println!("Bob asks Alice: {answer}");

    alice.close();
    println!("the pipe is closed: {}", bob.closed().await);
    Ok(())
}
