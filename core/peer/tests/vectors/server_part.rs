//! Our peer takes the part of the recorded server, the test that of the client.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use switchboard_peer::{Caller, Peer, ProtocolErrorCode, Side as PeerSide};
use tokio::sync::Notify;

use crate::handlers::{Seen, recorded};
use crate::listener::{Listener, Wanted};
use crate::table::{Differs, First, Piece, SERVER_DIFFERS, options};
use crate::vector_file::{Sent, Side, Vector};

/// Bytes that the pipe between the two holds each way.
const PIPE_BYTES: usize = 64 * 1024;

/// One thing that the client does, or hears.
enum Step {
    Say(Vec<u8>),
    Hear(Wanted),
    End,
    HearEnd,
}

/// Plays a recording against a live peer. What comes out wrong is an error.
pub async fn play(vector: &Vector) -> Result<(), String> {
    let (theirs, ours) = tokio::io::duplex(PIPE_BYTES);
    let (handlers, mut seen) = recorded();
    let starting = Peer::start(
        ours,
        PeerSide::Accepting,
        handlers,
        options(&vector.name),
        Caller::default(),
    );
    tokio::spawn(act(
        vector.name.clone(),
        async { starting.await.ok() },
        Arc::clone(&seen.slow),
    ));
    let mut client = Listener::new(theirs);
    let differs = SERVER_DIFFERS.iter().find(|differs| differs.name == vector.name);
    let steps = match differs {
        Some(differs) => differing(vector, differs),
        None => vector.messages.iter().map(as_recorded).collect(),
    };
    for step in steps {
        match step {
            Step::Say(bytes) => client.say(&bytes).await?,
            Step::Hear(wanted) => client.hear(&wanted, vector.order_may_vary).await?,
            Step::End => client.end().await,
            Step::HearEnd => client.hear_end().await?,
        }
    }
    check_notes(&vector.name, &mut seen)
}

fn as_recorded(sent: &Sent) -> Step {
    match (sent.from, sent.event.as_deref()) {
        (Side::Client, Some(_)) => Step::End,
        (Side::Server, Some(_)) => Step::HearEnd,
        (Side::Client, None) => Step::Say(sent.bytes()),
        (Side::Server, None) => Step::Hear(sent.into()),
    }
}

/// All that the client says, then all that our server says, as one message each.
fn differing(vector: &Vector, differs: &Differs) -> Vec<Step> {
    let said = vector
        .messages
        .iter()
        .filter(|sent| sent.from == Side::Client && sent.event.is_none());
    let mut steps: Vec<_> = said.map(|sent| Step::Say(sent.bytes())).collect();
    if differs.closes == First::Client {
        steps.push(Step::End);
    }
    steps.extend(messages(differs.says).into_iter().map(Step::Hear));
    steps.push(Step::HearEnd);
    steps
}

/// The pieces cut into the version and the messages.
fn messages(pieces: &[Piece]) -> Vec<Wanted> {
    let mut whole = Wanted {
        bytes: Vec::new(),
        free: Vec::new(),
    };
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => whole.bytes.extend(*bytes),
            Piece::Any(count) => {
                let start = whole.bytes.len();
                whole.bytes.extend(std::iter::repeat_n(b'0', *count));
                whole.free.push(start..start + count);
            }
        }
    }
    crate::listener::split(&whole)
}

/// What the recorded server did by itself.
async fn act(name: String, starting: impl Future<Output = Option<Peer>>, slow: Arc<Notify>) {
    let Some(peer) = starting.await else { return };
    let slow_runs: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move { slow.notified().await });
    match name.as_str() {
        "notify_from_server" => {
            let payload = serde_json::json!({ "hello": "you" });
            peer.notify("welcome", &payload).await.unwrap();
            peer.notify_raw("raw", "bytes").await.unwrap();
        }
        "server_close_error_0" => {
            slow_runs.await;
            peer.close_with(ProtocolErrorCode::Abnormal);
        }
        "server_shutdown" => {
            slow_runs.await;
            peer.shutdown(Duration::from_millis(200)).await;
        }
        "server_shutdown_short" => {
            slow_runs.await;
            peer.shutdown(Duration::from_millis(50)).await;
        }
        _ => {}
    }
}

/// The notification handlers saw what the recording says. The reference also calls one of JSON with an empty value
/// when the payload is no JSON; ours is not called.
fn check_notes(name: &str, seen: &mut Seen) -> Result<(), String> {
    let wanted: &[(&str, &str)] = match name {
        "notify" => &[
            ("note", "raw"),
            ("note", ""),
            ("jnote", "\"Bob\""),
            ("jnote", "null"),
        ],
        _ => &[],
    };
    let notes: Vec<_> = std::iter::from_fn(|| seen.notes.try_recv().ok()).collect();
    let same = notes
        .iter()
        .map(|(name, payload)| (name.as_str(), payload.as_str()));
    if same.eq(wanted.iter().copied()) {
        Ok(())
    } else {
        Err(format!("the notification handlers saw {notes:?}"))
    }
}
