//! `/call/OP`: an operation is called.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, Version};
use switchboard_hub::names::is_reserved_operation;
use switchboard_hub::{Body, ErrorKind, Fault, Replier, requests};
use switchboard_peer::PartReceiver;
use tokio::time::{Instant, timeout_at};

use crate::answer::{self, Answer, AnswerBody, JSON, ResultStream};
use crate::exchange::Exchange;
use crate::problem::Problem;
use crate::query::{WAIT_MAX, duration, parameters, percent_decoded};
use crate::upload::{self, Upload};
use crate::visitor::Visitor;

/// What begins the path of a call.
pub(crate) const PREFIX: &str = "/call/";

/// Operations that change nothing, and so can be called by GET. Others would have to say so themselves, for which the
/// hub has no word yet.
const SAFE_OPERATIONS: [&str; 4] = [
    requests::WHOAMI,
    requests::OPS,
    requests::SESSIONS,
    requests::STATS,
];

/// Operations that each connection has for itself: those of this door say nothing from one request to the next.
const CONNECTION_OPERATIONS: [&str; 5] = [
    requests::LOGIN,
    requests::SERVE,
    requests::UNSERVE,
    requests::SUBSCRIBE,
    requests::UNSUBSCRIBE,
];

/// What results are served as: bytes that no browser takes for a page. A responder cannot yet say what they are, since
/// replies have no headers; here is where that would come in. The hub's own operations answer with JSON.
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// How long to wait before a call is tried again whose time was over.
const TIMEOUT_RETRY_WAIT: Duration = Duration::from_millis(500);

/// The methods that an operation can be called by.
pub(crate) fn methods(operation: &str) -> &'static str {
    if SAFE_OPERATIONS.contains(&operation) {
        "GET, HEAD, POST"
    } else {
        "POST"
    }
}

/// Calls the operation that the path names.
pub(crate) async fn answer(
    visitor: &Visitor,
    exchange: &mut Exchange,
    request: Request<Incoming>,
    name: &str,
) -> Result<Answer, Problem> {
    let operation = percent_decoded(name)?;
    if CONNECTION_OPERATIONS.contains(&&*operation) {
        let kind = ErrorKind::Unsupported;
        let message =
            format!("{operation} is about the connection that it comes over: use gotalk, or WebSocket");
        return Err(Fault::error(kind, message).into());
    }
    let is_safe = SAFE_OPERATIONS.contains(&&*operation);
    let (query, version) = (request.uri().query(), request.version());
    let (timeout, body, upload) = match *request.method() {
        Method::POST => {
            let (timeout, _) = read(query, &["timeout"])?;
            let shared = &visitor.shared;
            let (options, body) = (&shared.options.body, request.into_body());
            if is_reserved_operation(&operation) {
                // The hub's own take one payload, however it comes.
                let payload = upload::gather(body, options, &shared.gathering).await?;
                (timeout, Body::Single(payload), None)
            } else {
                let (body, upload) = upload::receive(body, options, &shared.gathering).await?;
                (timeout, body, upload)
            }
        }
        Method::GET | Method::HEAD if is_safe => {
            let (timeout, argument) = read(query, &["timeout", "arg"])?;
            (timeout, Body::Single(argument.into_bytes()), None)
        }
        _ => {
            let message =
                format!("{operation:?} may change something: call it by POST, with its argument as the body");
            return Err(Problem::method(methods(&operation), message));
        }
    };
    let timeout = timeout
        .unwrap_or(visitor.shared.options.call_timeout)
        .min(WAIT_MAX);
    let call = Call {
        operation,
        version,
        deadline: exchange.since() + timeout,
        upload,
    };
    call.run(visitor, exchange, body).await
}

/// The time that a query allows, and the argument that stands in it.
fn read(query: Option<&str>, known: &[&'static str]) -> Result<(Option<Duration>, ByteString), Problem> {
    let (mut timeout, mut argument) = (None, ByteString::new());
    for (name, value) in parameters(query, known)? {
        match name {
            "timeout" => timeout = Some(duration(name, &value, WAIT_MAX)?),
            _ => argument = value,
        }
    }
    Ok((timeout, argument))
}

struct Call {
    operation: ByteString,
    version: Version,
    deadline: Instant,
    upload: Option<Upload>,
}

impl Call {
    /// Calls, and answers once the result has come or its first part. When this is dropped the call is given up.
    async fn run(self, visitor: &Visitor, exchange: &mut Exchange, body: Body) -> Result<Answer, Problem> {
        let shared = &visitor.shared;
        let result = async {
            let (reply, result) = Replier::pair(shared.options.body.stream_bytes_max);
            visitor
                .session()?
                .call(self.operation.clone(), body, Some(self.deadline), reply);
            self.begun(self.in_time(result).await?).await
        };
        let result = result.await;
        let is_unknown = matches!(
            &result,
            Err(Fault::Error {
                kind: ErrorKind::Unknown,
                ..
            })
        );
        exchange.is_call(if is_unknown {
            shared.calls.unknown()
        } else {
            shared.calls.of(&self.operation)
        });
        match result {
            Ok(begun) => self.answer(begun, shared.options.body.single_bytes_max).await,
            Err(fault) => Err(fault),
        }
        .map_err(|fault| {
            shared.counters.add_fault(&fault);
            Problem::from(fault)
        })
    }

    /// Awaits one step of the call, up to its deadline.
    async fn in_time<T>(&self, step: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        timeout_at(self.deadline, step).await.unwrap_or_else(|_| {
            Err(Fault::retry(
                TIMEOUT_RETRY_WAIT,
                "the call was not answered in time",
            ))
        })
    }

    /// A result of which something is known to come: a stream that fails at once can still be answered as such.
    async fn begun(&self, result: Body) -> Result<Begun, Fault> {
        let mut rest = match result {
            Body::Single(payload) => return Ok(Begun::Whole(payload)),
            Body::Stream(rest) => rest,
        };
        let first = self.in_time(async { rest.next().await.transpose() }).await?;
        Ok(match first {
            Some(first) => Begun::Stream(first, rest),
            None => Begun::Whole(Bytes::new()),
        })
    }

    async fn answer(self, result: Begun, single_bytes_max: usize) -> Result<Answer, Fault> {
        let content_type = if is_reserved_operation(&self.operation) {
            JSON
        } else {
            BYTES
        };
        match result {
            Begun::Whole(payload) => Ok(answer::whole(content_type, payload)),
            // Where only the end of the connection ends a body, one that broke off would look whole.
            Begun::Stream(first, rest) if self.version < Version::HTTP_11 => {
                let rest = self.in_time(rest.collect(single_bytes_max)).await?;
                Ok(answer::whole(content_type, [first, rest].concat()))
            }
            Begun::Stream(first, rest) => {
                let stream = ResultStream {
                    first: Some(first),
                    rest,
                    upload: self.upload,
                };
                let mut answer = Response::new(AnswerBody::result(stream));
                answer.headers_mut().insert(CONTENT_TYPE, content_type);
                Ok(answer)
            }
        }
    }
}

/// A result that has begun.
enum Begun {
    Whole(Bytes),
    Stream(Bytes, PartReceiver),
}
