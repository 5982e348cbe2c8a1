//! Every conversation that was recorded over WebSocket, against a live peer.
//!
//! Our peer takes the server's part wherever the server was the reference implementation, and the client's part
//! wherever the server was written by hand for the reference's gotalk.js. Frames are compared one by one; where ours
//! are others than the recorded ones, `recordings/table.rs` says which and why.

#[path = "recordings/client_part.rs"]
mod client_part;
#[path = "recordings/file.rs"]
mod file;
#[path = "recordings/player.rs"]
mod player;
#[path = "recordings/server_part.rs"]
mod server_part;
#[path = "recordings/table.rs"]
mod table;

use std::collections::BTreeSet;
use std::time::Duration;

use file::{Recording, all};
use table::{CLIENT_DIFFERS, REFUSED, SERVER_DIFFERS, UPGRADES_DIFFER};

/// How the reference implementation is called in the recordings.
const REFERENCE: &str = "gotalk Go";

/// A recording that takes longer hangs.
const PLAY_MAX: Duration = Duration::from_secs(60);

fn takes_server_part(recording: &Recording) -> bool {
    recording.server.starts_with(REFERENCE)
}

/// Plays all of them, and fails with the list of those that went wrong.
async fn play_all<F>(recordings: Vec<Recording>, play: impl Fn(Recording) -> F)
where
    F: Future<Output = Result<(), String>>,
{
    assert!(!recordings.is_empty());
    let mut failures = vec![];
    for recording in recordings {
        let name = recording.name.clone();
        let played = tokio::time::timeout(PLAY_MAX, play(recording)).await;
        if let Err(failure) = played.unwrap_or_else(|_| Err("it hangs".to_owned())) {
            failures.push(format!("{name}: {failure}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn our_peer_serves_as_the_recorded_server_did() {
    let mut recordings = all();
    recordings.retain(takes_server_part);
    play_all(recordings, async |recording| server_part::play(&recording).await).await;
}

#[tokio::test]
async fn our_peer_calls_as_the_recorded_client_did() {
    let mut recordings = all();
    recordings.retain(|recording| !takes_server_part(recording));
    play_all(recordings, async |recording| client_part::play(&recording).await).await;
}

#[test]
fn no_exception_names_nothing() {
    let recordings = all();
    assert_eq!(recordings.len(), 50, "all that were recorded over WebSocket");
    let names: BTreeSet<_> = recordings
        .iter()
        .map(|recording| recording.name.as_str())
        .collect();
    let frames = SERVER_DIFFERS.iter().chain(CLIENT_DIFFERS);
    let frames = frames.map(|differs| (differs.name, differs.why));
    let upgrades = UPGRADES_DIFFER.iter().map(|(name, _, why)| (*name, *why));
    for (name, why) in frames.chain(upgrades).chain(REFUSED.iter().copied()) {
        assert!(names.contains(name), "{name} is in a table but not recorded");
        assert!(!why.is_empty(), "{name} differs without a reason");
    }
}
