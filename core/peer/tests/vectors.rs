//! Every conversation that was recorded over TCP, against a live peer.
//!
//! Our peer takes the server's part wherever the server was the reference implementation, and the client's part
//! wherever the client was. Where it says something else than the recorded program, `vectors/table.rs` says what and
//! why. Time is paused: a time-out costs nothing.

#[path = "vectors/client_part.rs"]
mod client_part;
mod common;
#[path = "vectors/handlers.rs"]
mod handlers;
#[path = "vectors/listener.rs"]
mod listener;
#[path = "vectors/server_part.rs"]
mod server_part;
#[path = "vectors/table.rs"]
mod table;
#[path = "../../wire/tests/support/vector_file.rs"]
mod vector_file;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{quiet, text};
use switchboard_peer::{Caller, Handlers, HandshakeError, Peer, Side};
use table::{CLIENT_DIFFERS, SERVER_DIFFERS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vector_file::Vector;

/// How the reference implementation is called in the recordings.
const REFERENCE: &str = "gotalk Go";

/// Recordings over WebSocket are for that transport's tests: they begin with HTTP and come in frames.
const WEBSOCKET: &str = "ws_";

/// A recording that takes longer, on the paused clock, hangs.
const PLAY_MAX: Duration = Duration::from_secs(120);

fn over_tcp() -> Vec<Vector> {
    let mut vectors = Vector::all();
    vectors.retain(|vector| !vector.name.starts_with(WEBSOCKET));
    vectors
}

fn takes_server_part(vector: &Vector) -> bool {
    vector.server.starts_with(REFERENCE)
}

fn takes_client_part(vector: &Vector) -> bool {
    vector.client.starts_with(REFERENCE) && !CLIENT_DIFFERS.iter().any(|(name, _)| *name == vector.name)
}

/// Plays all of them, and fails with the list of those that went wrong.
async fn play_all<F>(vectors: Vec<Vector>, play: impl Fn(Vector) -> F)
where
    F: Future<Output = Result<(), String>>,
{
    assert!(!vectors.is_empty());
    let mut failures = vec![];
    for vector in vectors {
        let name = vector.name.clone();
        let played = tokio::time::timeout(PLAY_MAX, play(vector)).await;
        if let Err(failure) = played.unwrap_or_else(|_| Err("it hangs".to_owned())) {
            failures.push(format!("{name}: {failure}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn our_peer_serves_as_the_recorded_server_did() {
    let mut vectors = over_tcp();
    vectors.retain(takes_server_part);
    play_all(vectors, async |vector| server_part::play(&vector).await).await;
}

#[tokio::test(start_paused = true)]
async fn our_peer_calls_as_the_recorded_client_did() {
    let mut vectors = over_tcp();
    vectors.retain(takes_client_part);
    play_all(vectors, async |vector| client_part::play(&vector).await).await;
}

#[test]
fn no_recording_is_left_out_and_no_exception_names_nothing() {
    let vectors = over_tcp();
    let names: BTreeSet<_> = vectors.iter().map(|vector| vector.name.as_str()).collect();
    let exceptions = SERVER_DIFFERS.iter().map(|differs| (differs.name, differs.why));
    for (name, why) in exceptions.chain(CLIENT_DIFFERS.iter().copied()) {
        assert!(names.contains(name), "{name} is in the table but not recorded");
        assert!(!why.is_empty(), "{name} differs without a reason");
    }
    let told_apart: BTreeSet<_> = CLIENT_DIFFERS.iter().map(|(name, _)| *name).collect();
    for vector in &vectors {
        let covered = takes_server_part(vector)
            || takes_client_part(vector)
            || told_apart.contains(vector.name.as_str());
        assert!(covered, "{} is neither played nor in the table", vector.name);
    }
    for vector in Vector::all() {
        let over_http = vector
            .messages
            .iter()
            .any(|sent| sent.event.as_deref() == Some("http"));
        assert_eq!(
            over_http,
            vector.name.starts_with(WEBSOCKET),
            "{} is named after another transport",
            vector.name
        );
    }
}

/// Connects to a server that says `version` and nothing else, and returns all that it is told.
async fn connect_to(version: &str) -> (Result<Peer, HandshakeError>, String) {
    let (ours, mut server) = tokio::io::duplex(1024);
    server.write_all(version.as_bytes()).await.unwrap();
    let connecting = Peer::start(
        ours,
        Side::Connecting,
        Handlers::new(),
        quiet(),
        Caller::default(),
    );
    let mut told = Vec::new();
    let (peer, read) = tokio::join!(connecting, server.read_to_end(&mut told));
    read.unwrap();
    (peer, text(&told))
}

/// As in `client_bad_version_server_02`.
#[tokio::test(start_paused = true)]
async fn a_server_of_another_version_is_told() {
    let (peer, told) = connect_to("02").await;
    assert!(
        matches!(&peer, Err(HandshakeError::Version(version)) if version == "02"),
        "{peer:?}"
    );
    assert_eq!(told, "01f00000001");
}

/// As in `client_handshake_no_timeout`.
#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_left() {
    let (peer, told) = connect_to("").await;
    assert!(matches!(&peer, Err(HandshakeError::Timeout(_))), "{peer:?}");
    assert_eq!(told, "01f00000003");
}

/// As in `empty_op_name_go_client` and `empty_note_name_go_client`.
#[tokio::test]
async fn empty_names_are_written_with_their_size() {
    let (peer, mut raw) = common::raw(Handlers::new(), quiet()).await;
    peer.notify_raw("", "hello").await.unwrap();
    raw.expect("n00000000005hello").await;
    let (result, ()) = tokio::join!(peer.request_raw("", "hello"), async {
        raw.expect(b"r\0\0\0\x0000000000005hello").await;
        raw.send(b"R\0\0\0\x0000000002ok").await;
    });
    assert_eq!(result.unwrap(), "ok");
}

/// As in `stream_disabled`: a part after the refusal has the reference close the connection.
#[tokio::test(start_paused = true)]
async fn a_refused_stream_is_not_sent_on() {
    let (peer, mut raw) = common::raw(Handlers::new(), quiet()).await;
    let (mut body, reply) = peer.call("secho").stream();
    body.send("abc").await.unwrap();
    raw.expect(b"s\0\0\0\x00005secho00000000p\0\0\0\x0000000003abc")
        .await;
    raw.send(b"E\0\0\0\x000000001dstream requests not supported")
        .await;
    let fault = reply.await.unwrap_err();
    assert_eq!(fault.message(), "stream requests not supported");
    assert!(body.send("more").await.is_err(), "nobody reads it");
    body.finish();
    peer.close();
    assert_eq!(raw.rest().await, "", "nothing may follow the refusal");
}
