//! Changes of keys as Server-Sent Events, each one of the default type, with what changed as a JSON object:
//!
//! ```text
//! id: 17
//! data: {"event":"put","key":"greeting","value":"hi","revision":17,"created_unix_ms":…}
//! ```
//!
//! The id is the revision, and says that all changes up to it have been told. What there was at first comes in the order
//! of keys, and so has none; `current` ends it. A browser that comes back says the last id, and gets what has changed
//! since, or `reset` and everything where that is not known any more. Revisions outlast a restart of the daemon.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::StreamExt;
use hyper::Response;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use switchboard_hub::keys::{Changes, Revision, WatchEvent, WatchFrom, json};
use switchboard_hub::requests::keys::WatchRequest;
use switchboard_hub::{Fault, Replier};
use switchboard_peer::Reply;
use tokio::time::timeout;

use crate::answer::{Answer, AnswerBody, ResultStream};
use crate::gateway::Shared;
use crate::visitor::Visitor;

/// Where a watch goes on that was broken off: the id of the last event.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Asks proxies such as nginx not to hold events back.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Said at the begin, so that the browser knows the stream is open, and when there is nothing else to say.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

pub(super) async fn answer(
    visitor: &Visitor,
    headers: &HeaderMap,
    mut watch: WatchRequest,
) -> Result<Answer, Fault> {
    // The header says more: it is the browser's, which reconnects to the same address again and again.
    if let Some(id) = headers.get(LAST_EVENT_ID) {
        let known = id.to_str().ok().and_then(|id| id.parse().ok());
        if known.is_some() {
            watch.news_only = false;
        }
        watch.after_revision = known;
    }
    let (bucket, prefix, from) = watch.watch()?;
    let changes = super::keys(visitor)?.watch(&bucket, prefix, from)?.await?;
    let shared = &visitor.shared;
    let (reply, events) = Replier::pair(shared.options.body.stream_bytes_max);
    tokio::spawn(Watcher::new(Arc::clone(shared)).send(changes, Phase::of(from), reply));
    let body = match events.await? {
        Reply::Stream(rest) => AnswerBody::result(ResultStream {
            first: Some(COMMENT),
            rest,
            upload: None,
        }),
        Reply::Single(event) => AnswerBody::whole(event),
    };
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(answer)
}

/// What a watch is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// At what there was.
    Was,
    /// At what changes.
    Changes,
}

impl Phase {
    fn of(from: WatchFrom) -> Self {
        match from {
            WatchFrom::Everything => Self::Was,
            WatchFrom::After(_) | WatchFrom::Now => Self::Changes,
        }
    }

    /// The id that an event has here.
    fn id(&mut self, event: &WatchEvent) -> Option<Revision> {
        let revision = match event {
            WatchEvent::Put { entry, .. } => entry.revision,
            WatchEvent::Delete { revision, .. } => *revision,
            WatchEvent::Current { revision } => {
                *self = Self::Changes;
                *revision
            }
            WatchEvent::Reset => {
                *self = Self::Was;
                return None;
            }
        };
        (*self == Self::Changes).then_some(revision)
    }
}

/// One who watches; counted for as long as he does.
struct Watcher(Arc<Shared>);

impl Watcher {
    fn new(shared: Arc<Shared>) -> Self {
        shared.counters.watchers.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }

    /// Sends what changes, until the client has gone, the daemon drains, or the engine cannot tell any more: then the
    /// browser comes back.
    async fn send(self, mut changes: Changes, mut phase: Phase, reply: Replier) {
        let gone = reply.cancellation();
        let interval: Duration = self.0.options.events.comment_interval;
        let mut events = reply.stream();
        loop {
            let next = tokio::select! {
                biased;
                () = gone.cancelled() => return,
                () = self.0.shutdown.draining() => return events.finish(),
                next = timeout(interval, changes.next()) => next,
            };
            let event = match next {
                Err(_) => COMMENT,
                Ok(Some(Ok(change))) => written(phase.id(&change), &change),
                Ok(Some(Err(fault))) => {
                    self.0.counters.add_fault(&fault);
                    return events.finish();
                }
                Ok(None) => return events.finish(),
            };
            if events.send(event).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.counters.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

fn written(id: Option<Revision>, change: &WatchEvent) -> Bytes {
    let mut event = BytesMut::new().writer();
    // JSON has no line ends within, so its data is one line. Memory takes all that is written.
    if let Some(id) = id {
        let _ = writeln!(event, "id: {id}");
    }
    let _ = event.write_all(b"data: ");
    let _ = serde_json::to_writer(&mut event, &json::change(change));
    let _ = event.write_all(b"\n\n");
    event.into_inner().freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_leaves_nothing_behind_has_an_id() {
        let delete = |revision| WatchEvent::Delete {
            key: switchboard_hub::keys::Key::new("k").unwrap(),
            revision: Revision(revision),
            expired: false,
        };
        let current = WatchEvent::Current {
            revision: Revision(9),
        };
        let mut phase = Phase::of(WatchFrom::Everything);
        let ids = [
            delete(3),
            current.clone(),
            delete(10),
            WatchEvent::Reset,
            delete(12),
            current,
            delete(13),
        ]
        .map(|event| phase.id(&event).map(|id| id.0));
        assert_eq!(ids, [None, Some(9), Some(10), None, None, Some(9), Some(13)]);
        assert_eq!(Phase::of(WatchFrom::Now).id(&delete(1)), Some(Revision(1)));
        let text = written(Some(Revision(4)), &delete(4));
        assert_eq!(
            text,
            "id: 4\ndata: {\"event\":\"delete\",\"key\":\"k\",\"revision\":4}\n\n"
        );
    }
}
