//! `GET /subscribe`: topics are watched, as an event stream or by long poll.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytestring::ByteString;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use switchboard_hub::requests::LIST_MAX;
use switchboard_hub::{Closed, Deliveries, Delivery, Fault, Hub, Policy, Session};
use tokio::time::{Instant, timeout_at};

use crate::answer::{self, Answer, AnswerBody, JSON};
use crate::events::{self, EventId, EventStream, Resume};
use crate::gateway::Shared;
use crate::problem::Problem;
use crate::query::{WAIT_MAX, duration, parameters};
use crate::visitor::Visitor;

/// The path.
pub(crate) const PATH: &str = "/subscribe";

/// Where an event stream goes on that was broken off, and where a long poll does: the id of the last event.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Asks proxies such as nginx not to hold events back.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Most messages in the answer of a long poll.
const POLL_MESSAGES_MAX: usize = 256;

/// Bytes of payloads in the answer of a long poll, after which no further message is added.
const POLL_BYTES_MAX: usize = 1 << 20;

/// What a watcher asked for.
#[derive(Debug, Default)]
struct Wanted {
    topics: HashSet<ByteString>,
    policy: Option<Policy>,
    wait: Option<Duration>,
    resume: Resume,
}

/// One who watches topics, in a session of its own: a session has a topic only once, and a connection may watch it
/// from several pages.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) shared: Arc<Shared>,
    pub(crate) deliveries: Deliveries,
    pub(crate) policy: Policy,
    /// Held, and closed when the watcher goes.
    _session: Session,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.counters.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Subscribes, and answers with what comes.
pub(crate) async fn answer<B>(visitor: &Visitor, request: &Request<B>) -> Result<Answer, Problem> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Problem::method("GET, HEAD", "subscribe by GET"));
    }
    let wanted = Wanted::read(request.uri().query(), request.headers(), &visitor.shared.hub)?;
    let watcher = Watcher::begin(visitor, &wanted)?;
    match wanted.wait {
        Some(wait) => Ok(poll(watcher, wait, wanted.resume).await),
        None => Ok(stream(watcher, wanted.resume)),
    }
}

impl Wanted {
    fn read(query: Option<&str>, headers: &HeaderMap, hub: &Hub) -> Result<Self, Problem> {
        let mut wanted = Self::default();
        if let Some(id) = headers.get(LAST_EVENT_ID) {
            wanted.resume = Resume::after(&String::from_utf8_lossy(id.as_bytes()), hub);
        }
        let known = &["topic", "policy", "wait", "last_event_id"];
        for (name, value) in parameters(query, known)? {
            match name {
                "topic" => {
                    wanted.topics.insert(value);
                }
                "policy" => wanted.policy = Some(policy(&value)?),
                "wait" => wanted.wait = Some(duration(name, &value, WAIT_MAX)?),
                // The header says more: it is the browser's, which reconnects to the same address again and again.
                _ if headers.contains_key(LAST_EVENT_ID) => {}
                _ => wanted.resume = Resume::after(&value, hub),
            }
        }
        match wanted.topics.len() {
            1..=LIST_MAX => Ok(wanted),
            0 => Err(Problem::bad_request(
                "say which topics: /subscribe?topic=home/lamp&topic=home/%23",
            )),
            _ => Err(Problem::bad_request(format!(
                "at most {LIST_MAX} topics are possible"
            ))),
        }
    }
}

fn policy(word: &str) -> Result<Policy, Problem> {
    word.parse()
        .map_err(|error: switchboard_hub::UnknownPolicy| Problem::bad_request(error.to_string()))
}

impl Watcher {
    fn begin(visitor: &Visitor, wanted: &Wanted) -> Result<Self, Fault> {
        let shared = Arc::clone(&visitor.shared);
        let options = &shared.options.events;
        let policy = wanted.policy.unwrap_or(options.policy);
        let opened = visitor.open_session();
        let session = opened.inspect_err(|fault| shared.counters.add_fault(fault))?;
        let (sink, deliveries) = session.sink_with(policy, options.queue);
        let topics: Vec<_> = wanted.topics.iter().collect();
        session.subscribe_all(&topics, &sink)?;
        shared.counters.watchers.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            deliveries,
            policy,
            _session: session,
            shared,
        })
    }
}

fn stream(watcher: Watcher, resume: Resume) -> Answer {
    let mut answer = Response::new(AnswerBody::events(EventStream::new(watcher, resume)));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    answer
}

/// Waits for the first messages: an array of them, or 204 if none came in time.
async fn poll(mut watcher: Watcher, wait: Duration, resume: Resume) -> Answer {
    let shared = Arc::clone(&watcher.shared);
    let until = Instant::now() + wait.min(shared.options.events.wait_max);
    let first = tokio::select! {
        first = timeout_at(until, next_new(&mut watcher.deliveries, resume)) => first.ok().and_then(Result::ok),
        () = shared.shutdown.draining() => None,
    };
    let mut answer = match first {
        Some(first) => {
            let (json, reached) = gathered(&shared.hub, first, &mut watcher.deliveries, resume);
            let mut answer = answer::whole(JSON, json);
            // What to go on after: an id always is a value.
            if let Ok(reached) = HeaderValue::try_from(reached.to_string()) {
                answer.headers_mut().insert(LAST_EVENT_ID, reached);
            }
            answer
        }
        None => {
            let mut answer = Response::new(AnswerBody::empty());
            *answer.status_mut() = StatusCode::NO_CONTENT;
            answer
        }
    };
    answer.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    answer
}

/// The next delivery that the client does not have. One that is there is found without waiting.
async fn next_new(deliveries: &mut Deliveries, resume: Resume) -> Result<Delivery, Closed> {
    loop {
        let delivery = deliveries.recv().await?;
        if resume.wants(&delivery) {
            return Ok(delivery);
        }
    }
}

/// The first delivery, and what else is there; with how far that reaches.
fn gathered(hub: &Hub, first: Delivery, deliveries: &mut Deliveries, resume: Resume) -> (Vec<u8>, EventId) {
    let mut json = vec![b'['];
    events::put_json(&mut json, hub, &first);
    let (mut count, mut bytes) = (1, first.message.payload.len());
    let mut last = first;
    while count < POLL_MESSAGES_MAX && bytes < POLL_BYTES_MAX {
        let Ok(Some(delivery)) = deliveries.try_recv() else {
            break;
        };
        if resume.wants(&delivery) {
            json.push(b',');
            events::put_json(&mut json, hub, &delivery);
            count += 1;
            bytes += delivery.message.payload.len();
            last = delivery;
        }
    }
    json.push(b']');
    (json, EventId::reached(hub, &last))
}
