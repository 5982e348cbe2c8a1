//! One request and its answer, from the first to the last byte: what is counted, measured and logged about it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, StatusCode};
use switchboard_hub::Fault;
use tokio::time::Instant;

use crate::access_log::Line;
use crate::visitor::Visitor;

/// Names a request in logs, ours and those of others.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Most characters of a request id that is taken from the client.
const REQUEST_ID_CHARS_MAX: usize = 128;

/// One request and its answer. It ends when it is dropped: once the answer was taken by the connection, or when either
/// is given up.
#[derive(Debug)]
pub(crate) struct Exchange {
    visitor: Arc<Visitor>,
    since: Instant,
    status: StatusCode,
    sent: u64,
    line: Option<Box<Line>>,
}

impl Exchange {
    pub(crate) fn begin<B>(visitor: &Arc<Visitor>, request: &Request<B>) -> Self {
        visitor.activity.begin();
        let line = visitor.shared.access_log.is_on().then(|| {
            let host = visitor.log_host();
            Box::new(Line::of(request, host))
        });
        Self {
            visitor: Arc::clone(visitor),
            since: Instant::now(),
            // What is logged when the client goes away before there is an answer, as nginx does.
            status: CLIENT_GONE,
            sent: 0,
            line,
        }
    }

    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// The answer begins.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = status;
    }

    pub(crate) fn add_sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// The answer cannot be completed.
    pub(crate) fn broke_off(&mut self, fault: &Fault) {
        tracing::debug!(address = self.visitor.address, %fault, "a streamed result broke off");
    }
}

/// Not a status that is ever sent: the client was gone before it could be.
const CLIENT_GONE: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => StatusCode::BAD_REQUEST,
};

impl Drop for Exchange {
    fn drop(&mut self) {
        self.visitor.activity.end();
        let shared = &self.visitor.shared;
        shared.counters.add_status(self.status);
        if let Some(line) = &self.line {
            shared.access_log.write(line, self.status, self.sent);
        }
    }
}

/// Makes request ids that no other process makes, as far as chance can do that.
#[derive(Debug)]
pub(crate) struct RequestIds {
    process: u64,
    count: std::sync::atomic::AtomicU64,
}

impl Default for RequestIds {
    fn default() -> Self {
        Self {
            process: fastrand::u64(..),
            count: 0.into(),
        }
    }
}

impl RequestIds {
    /// The id that the client gave, if it is sane, else a new one.
    pub(crate) fn of<B>(&self, request: &Request<B>) -> HeaderValue {
        match request.headers().get(REQUEST_ID) {
            Some(id) if is_sane(id.as_bytes()) => id.clone(),
            _ => {
                let count = self.count.fetch_add(1, Ordering::Relaxed);
                let id = format!("{:016x}-{count:x}", self.process);
                // Hexadecimal digits always are a value.
                HeaderValue::from_maybe_shared(bytes::Bytes::from(id))
                    .unwrap_or(HeaderValue::from_static("0"))
            }
        }
    }
}

/// Short, and of characters that do no harm in any log.
fn is_sane(id: &[u8]) -> bool {
    let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
    (1..=REQUEST_ID_CHARS_MAX).contains(&id.len()) && id.iter().all(harmless)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ids: &RequestIds, given: Option<&str>) -> String {
        let mut request = Request::new(());
        if let Some(given) = given {
            let given = HeaderValue::from_str(given).unwrap();
            request.headers_mut().insert(REQUEST_ID, given);
        }
        ids.of(&request).to_str().unwrap().to_owned()
    }

    #[test]
    fn sane_ids_are_kept_and_others_replaced() {
        let ids = RequestIds::default();
        let longest = "x".repeat(REQUEST_ID_CHARS_MAX);
        for sane in ["a", "5e0b-11/2", &longest] {
            assert_eq!(id(&ids, Some(sane)), sane);
        }
        for bad in ["", "a b", "a\"b", "<x>", &format!("{longest}x")] {
            assert_ne!(id(&ids, Some(bad)), bad);
        }
        assert_ne!(id(&ids, None), id(&ids, None));
        assert_ne!(id(&ids, None), id(&RequestIds::default(), None));
    }
}
