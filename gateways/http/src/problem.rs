//! What went wrong, as HTTP says it.
//!
//! | fault | status |
//! | --- | --- |
//! | Error: invalid, failed | 400 |
//! | Error: denied | 403 |
//! | Error: unknown | 404 |
//! | Error: conflict | 409 |
//! | Error: too large | 413 |
//! | Error: unsupported | 501 |
//! | Retry | 503, with `Retry-After` in whole seconds, rounded up, and the wait itself in `Retry-After-Ms` |
//!
//! A failed call is 400 and not 500: an Error is one that the same call meets again, and what stands between client
//! and server takes a 5xx for something that may pass. The body is the message and a line end, or, for who asks for
//! JSON by `Accept`, an object: `{"error": MESSAGE, "kind": KIND}`.

use std::borrow::Cow;
use std::time::Duration;

use hyper::header::{
    ACCEPT, ALLOW, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use hyper::{Response, StatusCode};
use serde::Serialize;
use switchboard_hub::{ErrorKind, Fault};

use crate::answer::{Answer, AnswerBody, JSON, TEXT};
use crate::negotiation;
use crate::stats::RETRY_KIND;

/// The wait of a Retry in milliseconds, where `Retry-After` has only seconds.
pub(crate) const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// An answer that says why there is no better one.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) kind: &'static str,
    pub(crate) message: Cow<'static, str>,
    pub(crate) retry: Option<Duration>,
    /// Header fields of the answer beside those that follow from the others.
    pub(crate) headers: Option<Box<HeaderMap>>,
    /// The rest of what the client sends is of no use.
    pub(crate) close: bool,
}

#[derive(Serialize)]
struct JsonProblem<'a> {
    error: &'a str,
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, kind: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
            retry: None,
            headers: None,
            close: false,
        }
    }

    pub(crate) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorKind::Invalid.as_str(), message)
    }

    pub(crate) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorKind::Unknown.as_str(), message)
    }

    pub(crate) fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorKind::Denied.as_str(), message)
    }

    pub(crate) fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::TooLarge.as_str(),
            message,
        )
        .closing()
    }

    /// Another method is wanted: one of `allow`.
    pub(crate) fn method(allow: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let kind = ErrorKind::Unsupported.as_str();
        let headers = [(ALLOW, HeaderValue::from_static(allow))];
        Self::new(StatusCode::METHOD_NOT_ALLOWED, kind, message).with(headers.into_iter().collect())
    }

    /// The same, with header fields of its own.
    #[must_use]
    pub(crate) fn with(mut self, headers: HeaderMap) -> Self {
        self.headers = Some(Box::new(headers));
        self
    }

    /// The same, and the connection ends with it.
    #[must_use]
    pub(crate) fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// The answer, as a line of text or as JSON.
    pub(crate) fn into_answer(self, as_json: bool) -> Answer {
        let retry_after_ms = self.retry.map(millis_up);
        let (content_type, body) = if as_json {
            let problem = JsonProblem {
                error: &self.message,
                kind: self.kind,
                retry_after_ms,
            };
            // An object of strings always is JSON.
            (JSON, serde_json::to_vec(&problem).unwrap_or_default())
        } else {
            (TEXT, format!("{}\n", self.message).into_bytes())
        };
        let mut answer = Response::new(AnswerBody::whole(body));
        *answer.status_mut() = self.status;
        *answer.headers_mut() = self.headers.map(|headers| *headers).unwrap_or_default();
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, content_type);
        if let Some(millis) = retry_after_ms {
            headers.insert(RETRY_AFTER, HeaderValue::from(millis.div_ceil(1000)));
            headers.insert(RETRY_AFTER_MS, HeaderValue::from(millis));
        }
        if self.close {
            headers.append(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Error { kind, message } => Self::new(status(kind), kind.as_str(), message),
            Fault::Retry { wait, message } => Self {
                retry: Some(wait),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, RETRY_KIND, message)
            },
        }
    }
}

fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Invalid | ErrorKind::Failed => StatusCode::BAD_REQUEST,
        ErrorKind::Denied => StatusCode::FORBIDDEN,
        ErrorKind::Unknown => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
    }
}

/// Whole milliseconds, rounded up so that nobody comes back too early.
fn millis_up(wait: Duration) -> u64 {
    u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// Whether problems are to be told in JSON.
pub(crate) fn wants_json(request: &HeaderMap) -> bool {
    request
        .get_all(ACCEPT)
        .iter()
        .any(|value| negotiation::quality(value, "application/json").is_some_and(|quality| quality > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(fault: Fault, accept: Option<&'static str>) -> (StatusCode, HeaderMap, String) {
        let mut request = HeaderMap::new();
        if let Some(accept) = accept {
            request.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        let (parts, body) = Problem::from(fault)
            .into_answer(wants_json(&request))
            .into_parts();
        let body = String::from_utf8(body.bytes().unwrap().to_vec()).unwrap();
        (parts.status, parts.headers, body)
    }

    #[test]
    fn errors_have_the_status_of_their_kind() {
        for (kind, expected) in [
            (ErrorKind::Invalid, 400),
            (ErrorKind::Failed, 400),
            (ErrorKind::Denied, 403),
            (ErrorKind::Unknown, 404),
            (ErrorKind::Conflict, 409),
            (ErrorKind::TooLarge, 413),
            (ErrorKind::Unsupported, 501),
        ] {
            let (status, headers, body) = answer(Fault::error(kind, "it is so"), None);
            assert_eq!((status.as_u16(), body.as_str()), (expected, "it is so\n"));
            assert_eq!(headers[CONTENT_TYPE], "text/plain; charset=utf-8");
            assert!(!headers.contains_key(RETRY_AFTER));
        }
    }

    #[test]
    fn a_retry_says_when_to_come_back_and_never_too_early() {
        for (wait, seconds, millis) in [
            (Duration::ZERO, "0", "0"),
            (Duration::from_micros(1), "1", "1"),
            (Duration::from_millis(1500), "2", "1500"),
            (Duration::from_secs(3), "3", "3000"),
        ] {
            let (status, headers, _) = answer(Fault::retry(wait, "busy"), None);
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(
                (
                    headers[RETRY_AFTER].to_str().unwrap(),
                    headers[RETRY_AFTER_MS].to_str().unwrap()
                ),
                (seconds, millis)
            );
        }
    }

    #[test]
    fn who_asks_for_json_gets_it() {
        for accept in ["application/json", "text/html, application/json;q=0.5"] {
            let (_, headers, body) = answer(Fault::unknown_operation("x\"y"), Some(accept));
            assert_eq!(headers[CONTENT_TYPE], "application/json");
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(
                body,
                serde_json::json!({ "error": "unknown operation \"x\"y\"", "kind": "unknown" })
            );
        }
        let (_, _, body) = answer(
            Fault::retry(Duration::from_millis(1), "busy"),
            Some("application/json"),
        );
        assert_eq!(body, r#"{"error":"busy","kind":"retry","retry_after_ms":1}"#);
        for accept in ["*/*", "text/html", "application/json;q=0"] {
            let (_, headers, _) = answer(Fault::failed("x"), Some(accept));
            assert_eq!(headers[CONTENT_TYPE], "text/plain; charset=utf-8", "{accept}");
        }
    }
}
