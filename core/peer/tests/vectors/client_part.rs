//! Our peer takes the part of the recorded client, the test that of the server.
//!
//! Each request and notification of the recorded client is made by our peer; what it says must be the same message,
//! but for the request id; and what each call comes to must be what the recorded server answered.

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use switchboard_peer::{
    Body, Caller, Fault, Handlers, Options, PartSender, Peer, Reply, ReplyFuture, RequestId, RetryPolicy,
    Side as PeerSide,
};
use switchboard_wire::gotalk::{Bounds, Message, decode};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::listener::{Listener, Wanted};
use crate::table::options;
use crate::vector_file::{Side, Vector};

/// What a call comes to: the parts of its result, and the fault at the end if there is one.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    parts: Vec<Bytes>,
    fault: Option<Fault>,
}

/// A call of our peer.
struct Call {
    /// Its id on our wire.
    id: RequestId,
    outcome: JoinHandle<Outcome>,
    body: Option<PartSender>,
    /// As the recorded server answered it.
    recorded: Option<Outcome>,
}

struct Play {
    peer: Peer,
    server: Listener,
    /// By the id in the recording.
    calls: HashMap<RequestId, Call>,
    /// Whether a request that follows a Retry is the same call again.
    retries: bool,
}

/// Plays a recording against a live peer. What comes out wrong is an error.
pub async fn play(vector: &Vector) -> Result<(), String> {
    let (theirs, ours) = tokio::io::duplex(64 * 1024);
    let mut server = Listener::new(theirs);
    let (note, mut notes) = mpsc::unbounded_channel();
    let handlers = Handlers::new().on_any(move |context, payload| {
        let _ = note.send((context.operation().to_string(), payload));
        async {}
    });
    server.say(b"01").await?;
    let starting = Peer::start(
        ours,
        PeerSide::Connecting,
        handlers,
        client_options(&vector.name),
        Caller::default(),
    );
    let peer = starting.await.map_err(|error| error.to_string())?;
    let version = Wanted {
        bytes: b"01".into(),
        free: vec![],
    };
    server.hear(&version, false).await?;
    let mut play = Play {
        peer,
        server,
        calls: HashMap::new(),
        retries: vector.name == "client_retry_wait_0",
    };
    play.messages(vector).await?;
    let sent: Vec<_> = std::iter::from_fn(|| notes.try_recv().ok()).collect();
    check(sent == notifications(vector), format!("notified of {sent:?}"))?;
    play.outcomes().await
}

fn client_options(name: &str) -> Options {
    match name {
        "go_default_idle_30s" | "heartbeat_client_default" => Options::default(),
        "heartbeat_both_50ms" => options(name),
        // The limits in the table are the server's.
        _ => crate::common::quiet(),
    }
}

/// `None` for the version, and for half a message.
fn recorded_message(bytes: &[u8]) -> Option<Message> {
    let decoded = decode(&mut BytesMut::from(bytes), &Bounds::default());
    decoded.ok().flatten()
}

fn notifications(vector: &Vector) -> Vec<(String, Bytes)> {
    let sent = vector.messages.iter().filter(|sent| sent.from == Side::Server);
    sent.filter_map(|sent| match recorded_message(&sent.bytes()[..]) {
        Some(Message::Notification { name, payload }) => Some((name.to_string(), payload)),
        _ => None,
    })
    .collect()
}

impl Play {
    async fn messages(&mut self, vector: &Vector) -> Result<(), String> {
        for sent in &vector.messages {
            let bytes = sent.bytes();
            match (sent.from, sent.event.as_deref()) {
                // Ours reads a streamed answer to its end: it closes only after the server's last message.
                (Side::Client, Some(_)) => {}
                (Side::Server, Some(_)) => self.server.end().await,
                _ if bytes == b"01" => {}
                (Side::Client, None) => self.client_message(&bytes, sent.into()).await?,
                (Side::Server, None) => self.server_message(bytes).await?,
            }
        }
        if !self.peer.is_closed() {
            // What the server said is read before this side closes.
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.peer.close();
        }
        self.server.hear_end().await
    }

    /// Has our peer do what the recorded client did, and hears it.
    async fn client_message(&mut self, bytes: &[u8], wanted: Wanted) -> Result<(), String> {
        match recorded_message(bytes).ok_or("the recorded client said half a message")? {
            Message::SingleRequest {
                id,
                operation,
                payload,
            } => self.request(id, &operation, payload).await,
            Message::StreamRequest {
                id,
                operation,
                payload,
            } => self.stream(id, &operation, payload).await,
            Message::StreamPart { id, payload } => self.part(id, payload).await,
            Message::Notification { name, payload } => {
                let sent = self.peer.notify_raw(&name, payload).await;
                sent.map_err(|fault| fault.to_string())?;
                self.server.hear(&wanted, false).await
            }
            // Sent by themselves.
            Message::Heartbeat { .. } | Message::ProtocolError(_) => self.server.hear(&wanted, false).await,
            other => Err(format!("no recorded client says {other:?}")),
        }
    }

    async fn request(&mut self, id: RequestId, operation: &str, payload: Bytes) -> Result<(), String> {
        let again = self.retries && !self.calls.is_empty();
        let outcome = if again {
            let first = self.calls.drain().next().expect("one call");
            first.1.outcome
        } else {
            tokio::spawn(call(
                self.peer.clone(),
                operation.to_owned(),
                payload.clone(),
                self.retries,
            ))
        };
        match self.server.next_message().await? {
            Message::SingleRequest {
                id: ours,
                operation: said,
                payload: carried,
            } => {
                check(
                    said == operation && carried == payload,
                    format!("called {said} {carried:?}"),
                )?;
                self.enter(id, ours, outcome, None)
            }
            other => Err(format!("wanted a call of {operation}, heard {other:?}")),
        }
    }

    /// Our streams begin with an empty first message; the recorded client's begin with the first part.
    async fn stream(&mut self, id: RequestId, operation: &str, payload: Bytes) -> Result<(), String> {
        let (body, reply) = self.peer.call(operation).stream();
        let outcome = tokio::spawn(outcome(reply));
        match self.server.next_message().await? {
            Message::StreamRequest {
                id: ours,
                operation: said,
                payload: first,
            } => {
                check(
                    said == operation && first.is_empty(),
                    format!("called {said} {first:?}"),
                )?;
                self.enter(id, ours, outcome, Some(body))?;
            }
            other => return Err(format!("wanted a stream to {operation}, heard {other:?}")),
        }
        self.part(id, payload).await
    }

    async fn part(&mut self, id: RequestId, payload: Bytes) -> Result<(), String> {
        let call = self.calls.get_mut(&id).ok_or("a part without a start")?;
        let mut body = call.body.take().ok_or("a part after the end")?;
        if payload.is_empty() {
            body.finish();
        } else {
            body.send(payload.clone())
                .await
                .map_err(|unread| unread.to_string())?;
            call.body = Some(body);
        }
        let wanted = Message::StreamPart { id: call.id, payload };
        let heard = self.server.next_message().await?;
        check(heard == wanted, format!("wanted {wanted:?}, heard {heard:?}"))
    }

    fn enter(
        &mut self,
        recorded: RequestId,
        ours: RequestId,
        outcome: JoinHandle<Outcome>,
        body: Option<PartSender>,
    ) -> Result<(), String> {
        check(
            self.calls
                .values()
                .all(|call| call.id != ours || call.recorded.is_some()),
            format!("the id {ours} is in use"),
        )?;
        let call = Call {
            id: ours,
            outcome,
            body,
            recorded: None,
        };
        self.calls.insert(recorded, call);
        Ok(())
    }

    /// Says what the recorded server said, with our ids.
    async fn server_message(&mut self, bytes: Vec<u8>) -> Result<(), String> {
        let message = recorded_message(&bytes).ok_or("the recorded server said half a message")?;
        let mut said = BytesMut::new();
        self.answered(message).encode(&mut said).expect("it was decoded");
        self.server.say(&said).await
    }

    /// Notes what an answer comes to, and puts our id into it.
    fn answered(&mut self, mut message: Message) -> Message {
        let (id, part, fault) = match &mut message {
            Message::SingleResult { id, payload } => (id, Some(payload.clone()), None),
            Message::StreamResult { id, payload } if payload.is_empty() => (id, None, None),
            Message::StreamResult { id, payload } => (id, Some(payload.clone()), None),
            Message::ErrorResult { id, payload } => (id, None, Some(error(payload))),
            Message::RetryResult { id, wait_ms, payload } => {
                let wait = Duration::from_millis((*wait_ms).into());
                let text = String::from_utf8_lossy(payload).into_owned();
                (id, None, Some(Fault::retry(wait, text)))
            }
            _ => return message,
        };
        let call = self.calls.get_mut(id).expect("the recorded server answers calls");
        *id = call.id;
        let outcome = call.recorded.get_or_insert_default();
        outcome.parts.extend(part);
        outcome.fault = outcome.fault.take().or(fault);
        message
    }

    /// Each call came to what the recorded server answered; the others are lost with the connection.
    async fn outcomes(self) -> Result<(), String> {
        for call in self.calls.into_values() {
            let outcome = call.outcome.await.map_err(|error| error.to_string())?;
            let as_recorded = match &call.recorded {
                Some(recorded) => outcome == *recorded,
                None => outcome.parts.is_empty() && outcome.fault.as_ref().is_some_and(Fault::is_retry),
            };
            check(as_recorded, format!("{outcome:?} instead of {:?}", call.recorded))?;
        }
        Ok(())
    }
}

fn error(payload: &Bytes) -> Fault {
    let text = String::from_utf8_lossy(payload).into_owned();
    match text
        .strip_prefix("unknown operation \"")
        .and_then(|rest| rest.strip_suffix('"'))
    {
        Some(operation) => Fault::unknown_operation(operation),
        None => Fault::failed(text),
    }
}

async fn call(peer: Peer, operation: String, payload: Bytes, retries: bool) -> Outcome {
    let call = peer.call(&operation);
    if retries {
        return read(call.retry(RetryPolicy::default()).send(payload).await).await;
    }
    read(call.send_body(Body::Single(payload)).await).await
}

async fn outcome(reply: ReplyFuture) -> Outcome {
    read(reply.await).await
}

async fn read(reply: Result<Reply, Fault>) -> Outcome {
    let mut outcome = Outcome::default();
    match reply {
        Ok(Reply::Single(payload)) => outcome.parts.push(payload),
        Ok(Reply::Stream(mut parts)) => {
            while let Some(part) = parts.next().await {
                match part {
                    Ok(part) => outcome.parts.push(part),
                    Err(fault) => outcome.fault = Some(fault),
                }
            }
        }
        Err(fault) => outcome.fault = Some(fault),
    }
    outcome
}

fn check(holds: bool, otherwise: String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise) }
}
