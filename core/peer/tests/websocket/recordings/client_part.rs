//! Our peer takes the part of the recorded client, the test that of the server written by hand.

use std::time::Duration;

use bytes::Bytes;
use switchboard_peer::{Body, Connector, Fault, Handlers, Peer, Reply};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::file::{Recording, Side};
use super::player::{Player, Step, runs, steps};
use super::table::CLIENT_DIFFERS;
use crate::common;
use crate::connecting::server_by_hand;
use crate::frames::{CLOSE, Frame};

/// What a call comes to: the parts of its result, or the text of its fault.
type Outcome = Result<Vec<Bytes>, String>;

type Notes = mpsc::UnboundedReceiver<(String, Bytes)>;

/// Plays a recording against a live peer. What comes out wrong is an error.
pub async fn play(recording: &Recording) -> Result<(), String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let (note, mut notes) = mpsc::unbounded_channel();
    let handlers = Handlers::new().on_any(move |context, payload| {
        let _ = note.send((context.operation().to_string(), payload));
        async {}
    });
    let connector = Connector {
        options: common::quiet(),
        ..Connector::default()
    };
    let connecting = tokio::spawn(async move { connector.connect(&url, handlers).await });
    let connection = recording.connections().remove(0);
    let steps = steps(
        connection,
        Side::Client,
        &mut runs(CLIENT_DIFFERS, &recording.name),
    );
    let (first, steps) = first_in_segment(recording, steps);
    let end = server_by_hand(&listener, &first).await;
    let mut player = Player::new(end, recording.order_may_vary);
    let mut connecting = Some(connecting);
    let mut peer = None;
    let mut call = None;
    for step in steps {
        match step {
            Step::Say(frame) => player.say(frame).await,
            Step::Hear(wanted) => {
                let versioned = wanted.frame.payload != b"01" && !wanted.frame.payload.starts_with(b"f");
                if peer.is_none() && versioned && recording.name != "ws_js_bad_version" {
                    let connected = connecting.take().ok_or("connected twice")?.await.unwrap();
                    peer = Some(connected.map_err(|error| error.to_string())?);
                }
                if let Some(peer) = &peer {
                    act(recording, peer, &wanted.frame, &mut call, &mut notes).await?;
                }
                player.hear(&wanted).await?;
            }
            Step::End => player.end().await,
            // Over TCP: the server ends the connection first.
            Step::HearEnd => {}
        }
    }
    match recording.name.as_str() {
        "ws_js_bad_version" => {
            let connected = connecting.ok_or("connected")?.await.unwrap();
            let error = connected.err().ok_or("the version was taken")?.to_string();
            check(error.contains("version 1"), error)
        }
        "ws_js_heartbeat_2038" => check(peer.unwrap().load() == Some(0xffff), "another load".into()),
        _ => Ok(()),
    }
}

/// In one recording the server's version comes in the segment of the upgrade.
fn first_in_segment(recording: &Recording, mut steps: Vec<Step>) -> (Vec<u8>, Vec<Step>) {
    match steps.first() {
        Some(Step::Say(frame)) if recording.name == "ws_js_version_before_open" => {
            let first = frame.encode();
            steps.remove(0);
            (first, steps)
        }
        _ => (vec![], steps),
    }
}

/// What the recorded client did to send the frame that is wanted next.
async fn act(
    recording: &Recording,
    peer: &Peer,
    next: &Frame,
    call: &mut Option<JoinHandle<Outcome>>,
    notes: &mut Notes,
) -> Result<(), String> {
    if next.payload.starts_with(b"r") && call.is_none() {
        let peer = peer.clone();
        *call = Some(tokio::spawn(async move {
            let reply = peer.call("op").send_body(Body::Single("x".into())).await;
            read(reply).await
        }));
    }
    let normal = Frame::close(1000).payload;
    if next.opcode != CLOSE || next.payload != normal || recording.name == "ws_js_error_code_9" {
        return Ok(());
    }
    if let Some(call) = call.take() {
        let outcome = call.await.unwrap();
        let wanted: Outcome = match recording.name.as_str() {
            "ws_js_error_empty" => Err(String::new()),
            _ => Ok(vec!["abc".into(), "def".into()]),
        };
        check(outcome == wanted, format!("{outcome:?}"))?;
    }
    let wanted: &[(&str, &str)] = match recording.name.as_str() {
        "ws_js_text_frames_from_server" => &[("a", "abc"), ("héllo", "bin")],
        "ws_js_version_and_message_one_frame" => &[("a", "")],
        _ => &[],
    };
    for (name, payload) in wanted {
        let heard = tokio::time::timeout(Duration::from_secs(10), notes.recv()).await;
        let heard = heard.map_err(|_| format!("not notified of {name}"))?;
        let same = heard
            .as_ref()
            .is_some_and(|heard| heard.0 == *name && heard.1 == *payload);
        check(same, format!("notified of {heard:?}"))?;
    }
    if recording.name == "ws_js_heartbeat_2038" {
        common::until(|| peer.load() == Some(0xffff)).await;
    }
    peer.close();
    Ok(())
}

async fn read(reply: Result<Reply, Fault>) -> Outcome {
    let text = |fault: Fault| fault.message().to_owned();
    let mut parts = vec![];
    match reply.map_err(text)? {
        Reply::Single(payload) => parts.push(payload),
        Reply::Stream(mut stream) => {
            while let Some(part) = stream.next().await {
                parts.push(part.map_err(text)?);
            }
        }
    }
    Ok(parts)
}

fn check(holds: bool, otherwise: String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise) }
}
