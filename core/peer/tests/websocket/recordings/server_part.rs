//! Our peer takes the part of the recorded server, the test that of the client.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderValue, Method, Version};
use serde_json::Value;
use switchboard_peer::websocket::{Framing, Upgrade};
use switchboard_peer::{Context, Fault, Handlers, Options, PartReceiver, Peer, ProtocolErrorCode, Results};
use tokio::sync::{Notify, mpsc};

use super::file::{Recording, Sent, Side};
use super::player::{Player, Step, runs, steps};
use super::table::{REFUSED, SERVER_DIFFERS, UPGRADES_DIFFER};
use crate::common;
use crate::frames::{Starting, accepting, quiet};

/// How long the operation `slow` takes.
const SLOW: Duration = Duration::from_millis(150);

/// How long the operation `scat` waits for the end of its stream.
const END_WITHIN: Duration = Duration::from_millis(300);

/// The size of the parts in which `scat` answers, in bytes.
const SCAT_BYTES: usize = 4;

/// Stands for what is redacted in a recorded request: good base64 of 16 bytes.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Plays a recording against a live peer. What comes out wrong is an error.
pub async fn play(recording: &Recording) -> Result<(), String> {
    let mut runs = runs(SERVER_DIFFERS, &recording.name);
    for connection in recording.connections() {
        let recorded = upgrades(recording, connection)?;
        if recorded != 101 {
            continue;
        }
        play_frames(recording, steps(connection, Side::Server, &mut runs)).await?;
    }
    Ok(())
}

/// The recorded request gets the recorded status, or ours. Returns the recorded one.
fn upgrades(recording: &Recording, connection: &[Sent]) -> Result<u16, String> {
    let heads: Vec<_> = connection
        .iter()
        .filter(|sent| sent.event.as_deref() == Some("http"))
        .map(|sent| sent.text.replace("Key: <redacted>", &format!("Key: {KEY}")))
        .collect();
    let [request, answer] = &heads[..] else {
        return Err(format!("{} heads of HTTP", heads.len()));
    };
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let granted = Upgrade::check(&Method::GET, Version::HTTP_11, &headers(request));
    let ours = granted
        .as_ref()
        .map_or_else(|error| error.status().as_u16(), |_| 101);
    let differs = UPGRADES_DIFFER.iter().find(|(name, ..)| *name == recording.name);
    let wanted = differs.map_or(status, |(_, status, _)| *status);
    if ours != wanted {
        return Err(format!("answered {ours} instead of {wanted}"));
    }
    let recorded = headers(answer).remove(SEC_WEBSOCKET_PROTOCOL);
    let chosen = granted
        .ok()
        .and_then(|upgrade| upgrade.headers().remove(SEC_WEBSOCKET_PROTOCOL));
    let refused = REFUSED.iter().any(|(name, _)| *name == recording.name);
    if chosen != recorded.filter(|_| !refused) {
        return Err(format!("chose {chosen:?}"));
    }
    Ok(status)
}

fn headers(head: &str) -> HeaderMap {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    lines
        .map(|(name, value)| {
            let name = HeaderName::try_from(name).unwrap();
            (name, HeaderValue::try_from(value).unwrap())
        })
        .collect()
}

async fn play_frames(recording: &Recording, steps: Vec<Step>) -> Result<(), String> {
    let slow = Arc::new(Notify::new());
    let (note, mut notes) = mpsc::unbounded_channel();
    let handlers = handlers(Arc::clone(&slow), note);
    let options = options(&recording.name);
    let (starting, end) = accepting(handlers, Framing::Pieces, options, &quiet());
    tokio::spawn(act(recording.name.clone(), starting, slow));
    let mut player = Player::new(end, recording.order_may_vary);
    for step in steps {
        match step {
            Step::Say(frame) => player.say(frame).await,
            Step::Hear(wanted) => player.hear(&wanted).await?,
            Step::End => player.end().await,
            Step::HearEnd => player.hear_end().await?,
        }
    }
    let wanted: &[(&str, &[u8])] = match recording.name.as_str() {
        "ws_js_notify" => &[
            ("a", b"{\"x\":1}"),
            ("b", b"\x01\x02\x03"),
            ("c", b""),
            ("d", b""),
            ("e", b"null"),
        ],
        _ => &[],
    };
    let heard: Vec<_> = std::iter::from_fn(|| notes.try_recv().ok()).collect();
    let same = heard.iter().map(|(name, payload)| (name.as_str(), &payload[..]));
    if same.eq(wanted.iter().copied()) {
        Ok(())
    } else {
        Err(format!("notified of {heard:?}"))
    }
}

/// The options that the recorded program had, where they were not the usual ones.
fn options(name: &str) -> Options {
    let mut options = common::quiet();
    match name {
        "ws_js_read_timeout" => options.read_timeout = Some(Duration::from_millis(100)),
        "ws_js_server_heartbeats" => options.heartbeat_interval = Some(Duration::from_millis(50)),
        "ws_js_stream_disabled" => options.limits.streams_max = 0,
        _ => {}
    }
    options
}

/// What the recorded server did when it was called.
fn handlers(slow: Arc<Notify>, note: mpsc::UnboundedSender<(String, Bytes)>) -> Handlers {
    Handlers::new()
        .handle_raw("echo", |_, payload| async { Ok(payload) })
        .handle_raw("slow", move |_, payload| {
            slow.notify_one();
            async {
                tokio::time::sleep(SLOW).await;
                Ok(payload)
            }
        })
        .handle_raw("fail", |_, _| async { Err(Fault::failed("it failed")) })
        .handle_raw("void", |_, _| async { Ok(Bytes::new()) })
        .handle("greet", |_, person: Value| async move {
            let name = person["name"].as_str().unwrap_or_default();
            Ok(serde_json::json!({ "greeting": format!("Hello {name}") }))
        })
        .handle("jecho", |_, value: Value| async { Ok(value) })
        .handle_stream("scat", collect_then_answer)
        .on_any(move |context, payload| {
            let _ = note.send((context.operation().to_string(), payload));
            async {}
        })
}

async fn collect_then_answer(_: Context, body: PartReceiver, results: Results) -> Result<(), Fault> {
    let whole = tokio::time::timeout(END_WITHIN, body.collect(usize::MAX)).await;
    let whole = whole.map_err(|_| Fault::failed("no end of stream within 300ms"))??;
    for part in whole.chunks(SCAT_BYTES) {
        // A caller that is gone wants no more parts.
        let _ = results.send(Bytes::copy_from_slice(part)).await;
    }
    Ok(())
}

/// What the recorded server did by itself.
async fn act(name: String, starting: Starting, slow: Arc<Notify>) {
    let Ok(Ok(peer)) = starting.await else { return };
    let error = |code| peer.close_with(ProtocolErrorCode::from(code));
    match name.as_str() {
        "ws_js_gets_protocol_error_abnormal" => error(0),
        "ws_js_gets_protocol_error_unsupported" => error(1),
        "ws_js_gets_protocol_error_invalid" => error(2),
        "ws_js_gets_protocol_error_timeout" => error(3),
        "ws_js_server_close" => {
            slow.notified().await;
            peer.close();
        }
        "ws_js_gets_stream_request" => {
            let (mut body, reply) = peer.call("x").stream();
            body.send("abc").await.unwrap();
            // The connection ends with the call.
            let _ = reply.await;
        }
        "ws_js_text_protocol_server_request_bug" => {
            let answer = peer.request_raw("prompt", "1").await;
            assert!(answer.unwrap_err().is_retry(), "the connection is lost");
        }
        "ws_js_handles_requests" => call_the_page(&peer).await,
        _ => {}
    }
}

/// The payload, or the text of the fault.
type Answer<'a> = Result<&'a [u8], &'a str>;

async fn call_the_page(peer: &Peer) {
    const QUESTION: &str = "{\"question\":\"q\"}";
    let answers: [(&str, &str, Answer); 9] = [
        ("prompt", QUESTION, Ok(b"{\"answer\":42}")),
        ("buf", QUESTION, Ok(b"\x01\x02")),
        ("nope", QUESTION, Err("no such operation \"nope\"")),
        ("throws", QUESTION, Err("internal error")),
        ("err", QUESTION, Err("my error")),
        ("void", QUESTION, Ok(b"")),
        ("errstr", QUESTION, Err("plain string")),
        ("textres", QUESTION, Ok("naïve".as_bytes())),
        ("prompt", "", Ok(b"{\"answer\":42}")),
    ];
    for (operation, payload, wanted) in answers {
        let answer = peer.request_raw(operation, payload).await;
        let fault = answer.as_ref().map_err(Fault::message);
        assert_eq!(fault.map(|payload| &payload[..]), wanted, "{operation}");
    }
    for (name, payload) in [("note", "1"), ("bnote", "raw"), ("none", "raw")] {
        peer.notify_raw(name, payload).await.unwrap();
    }
}
