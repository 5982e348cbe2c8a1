//! `/call/OP`: an operation is called.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use hyper::body::Incoming;
use hyper::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, Version};
use switchboard_hub::names::is_reserved_operation;
use switchboard_hub::{Body, ErrorKind, Fault, MediaType, Replier, requests};
use switchboard_peer::PartReceiver;
use tokio::time::{Instant, timeout_at};

use crate::answer::{self, Answer, AnswerBody, ResultStream};
use crate::exchange::Exchange;
use crate::problem::Problem;
use crate::query::{WAIT_MAX, duration, parameters, percent_decoded};
use crate::upload::{self, Upload};
use crate::visitor::Visitor;

/// What begins the path of a call.
pub(crate) const PREFIX: &str = "/call/";

/// Operations that each connection has for itself: those of this door say nothing from one request to the next.
const CONNECTION_OPERATIONS: [&str; 5] = [
    requests::LOGIN,
    requests::SERVE,
    requests::UNSERVE,
    requests::SUBSCRIBE,
    requests::UNSUBSCRIBE,
];

/// What results are served as whose responder does not say what they are: bytes that no browser takes for a page.
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Goes with results whose responder says what they are. Whoever serves an operation could else have a page run scripts
/// as one of this door's own pages, which may do whatever their visitor may.
const SANDBOX: HeaderValue = HeaderValue::from_static("sandbox");

/// How long to wait before a call is tried again whose time was over.
const TIMEOUT_RETRY_WAIT: Duration = Duration::from_millis(500);

/// The methods that an operation can be called by.
pub(crate) fn methods(visitor: &Visitor, operation: ByteString) -> &'static str {
    let found = visitor.session().and_then(|session| session.find(operation));
    if found.is_ok_and(|found| found.is_safe()) {
        SAFE_METHODS
    } else {
        "POST"
    }
}

const SAFE_METHODS: &str = "GET, HEAD, POST";

/// Calls the operation that the path names.
pub(crate) async fn answer(
    visitor: &Visitor,
    exchange: &Exchange,
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
    let (method, version) = (request.method().clone(), request.version());
    let query = request.uri().query();
    // An answer would come too late to be of use: what is no media type is not passed on.
    let content_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| MediaType::parse(value.to_str().ok()?).ok());
    let (timeout, body, upload) = match method {
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
        Method::GET | Method::HEAD => {
            let (timeout, argument) = read(query, &["timeout", "arg"])?;
            (timeout, Body::Single(argument.into_bytes()), None)
        }
        _ => {
            let methods = methods(visitor, operation);
            return Err(Problem::method(methods, format!("call by {methods}")));
        }
    };
    let timeout = timeout
        .unwrap_or(visitor.shared.options.call_timeout)
        .min(WAIT_MAX);
    let call = Call {
        operation,
        content_type,
        must_be_safe: method != Method::POST,
        version,
        deadline: exchange.since() + timeout,
        upload,
    };
    call.run(visitor, body).await
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
    content_type: Option<MediaType>,
    /// The caller said by its method that it wants nothing changed.
    must_be_safe: bool,
    version: Version,
    deadline: Instant,
    upload: Option<Upload>,
}

impl Call {
    /// Calls, and answers once the result has come or its first part. When this is dropped the call is given up.
    async fn run(self, visitor: &Visitor, body: Body) -> Result<Answer, Problem> {
        let found = visitor.session()?.find(self.operation.clone())?;
        if self.must_be_safe && !found.is_safe() {
            return Err(self.not_safe());
        }
        let result_type = found.result_type().cloned();
        let options = &visitor.shared.options.body;
        let (reply, result) = Replier::pair(options.stream_bytes_max);
        found
            .content_type(self.content_type.clone())
            .call(body, Some(self.deadline), reply);
        let begun = self.begun(visitor, self.in_time(visitor, result).await?).await?;
        let answer = self.answer(visitor, begun, options.single_bytes_max).await?;
        Ok(typed(answer, result_type))
    }

    fn not_safe(&self) -> Problem {
        let operation = &self.operation;
        Problem::method(
            "POST",
            format!("{operation:?} may change something: call it by POST, with its argument as the body"),
        )
    }

    /// Awaits one step of the call, up to its deadline.
    async fn in_time<T>(
        &self,
        visitor: &Visitor,
        step: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        timeout_at(self.deadline, step).await.unwrap_or_else(|_| {
            let fault = Fault::retry(TIMEOUT_RETRY_WAIT, "the call was not answered in time");
            visitor.shared.counters.add_fault(&fault);
            Err(fault)
        })
    }

    /// A result of which something is known to come: a stream that fails at once can still be answered as such.
    async fn begun(&self, visitor: &Visitor, result: Body) -> Result<Begun, Fault> {
        let mut rest = match result {
            Body::Single(payload) => return Ok(Begun::Whole(payload)),
            Body::Stream(rest) => rest,
        };
        let first = async { rest.next().await.transpose() };
        let first = self.in_time(visitor, first).await?;
        Ok(match first {
            Some(first) => Begun::Stream(first, rest),
            None => Begun::Whole(Bytes::new()),
        })
    }

    async fn answer(
        self,
        visitor: &Visitor,
        result: Begun,
        single_bytes_max: usize,
    ) -> Result<Answer, Fault> {
        match result {
            Begun::Whole(payload) => Ok(answer::whole(BYTES, payload)),
            // Where only the end of the connection ends a body, one that broke off would look whole.
            Begun::Stream(first, rest) if self.version < Version::HTTP_11 => {
                let rest = self.in_time(visitor, rest.collect(single_bytes_max)).await?;
                Ok(answer::whole(BYTES, [first, rest].concat()))
            }
            Begun::Stream(first, rest) => {
                let stream = ResultStream {
                    first: Some(first),
                    rest,
                    upload: self.upload,
                };
                let mut answer = Response::new(AnswerBody::result(stream));
                answer.headers_mut().insert(CONTENT_TYPE, BYTES);
                Ok(answer)
            }
        }
    }
}

/// The answer with what its responder says that it is.
fn typed(mut answer: Answer, result_type: Option<MediaType>) -> Answer {
    let value = result_type.map(|known| HeaderValue::from_maybe_shared(known.text().as_bytes().clone()));
    if let Some(Ok(value)) = value {
        answer.headers_mut().insert(CONTENT_TYPE, value);
        answer.headers_mut().insert(CONTENT_SECURITY_POLICY, SANDBOX);
    }
    answer
}

/// A result that has begun.
enum Begun {
    Whole(Bytes),
    Stream(Bytes, PartReceiver),
}
