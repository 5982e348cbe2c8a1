//! `/keys/KEY`: a key of the hub is read and written. `/keys`: keys are listed, and watched.
//!
//! A value is the body as it is; a structure is read as JSON, and the header `kind` says which. Its `ETag` is the number of
//! the write that made it, so that `If-Match` and `If-None-Match` (RFC 9110, section 13) are the conditions that the hub's
//! keys know: what they do not know (several tags for a write) is refused rather than guessed.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, ETAG, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use switchboard_hub::keys::{
    Bucket, Change, Entry, Expiry, Key, Kind, SessionKeys, Stored, Timestamp, VALUE_BYTES_MAX, Write,
    Written, json,
};
use switchboard_hub::requests::EXPIRES_S_MAX;
use switchboard_hub::{ErrorKind, Fault};

use crate::answer::{self, Answer, AnswerBody, JSON};
use crate::options::BodyOptions;
use crate::problem::Problem;
use crate::query::{duration, parameters, percent_decoded_bytes, quoted, switch};
use crate::upload;
use crate::visitor::Visitor;

mod conditions;
mod listing;
mod watch;

use conditions::Conditions;
pub(crate) use listing::all;

/// What begins the path of a key.
pub(crate) const PREFIX: &str = "/keys/";

/// The path of all of them.
pub(crate) const PATH: &str = "/keys";

/// How a key can be asked for.
pub(crate) const METHODS: &str = "GET, HEAD, PUT, DELETE, POST";

/// What a value is served as: nobody said what it is, and no browser is to take it for a page.
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Which kind of structure a key has.
const KIND: HeaderName = HeaderName::from_static("kind");

/// It may be kept, and is to be asked for by its tag each time.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// Reads or writes the key that the path names.
pub(crate) async fn one(
    visitor: &Visitor,
    request: Request<Incoming>,
    name: &str,
) -> Result<Answer, Problem> {
    let key =
        Key::new(percent_decoded_bytes(name)?).map_err(|error| Problem::bad_request(error.to_string()))?;
    let answer = match *request.method() {
        Method::GET | Method::HEAD => read(visitor, &request, &key).await,
        Method::PUT => put(visitor, request, key).await,
        Method::DELETE => delete(visitor, &request, key).await,
        Method::POST => post(visitor, request, key).await,
        _ => Err(Refusal::Problem(Problem::method(
            METHODS,
            "a key is read by GET, set by PUT, changed by POST and taken away by DELETE",
        ))),
    };
    answer.map_err(|refusal| refusal.into_problem(visitor))
}

/// Why a request is not fulfilled: by the door, or by the hub, whose faults are counted.
enum Refusal {
    Problem(Problem),
    Fault(Fault),
}

impl Refusal {
    fn into_problem(self, visitor: &Visitor) -> Problem {
        match self {
            Self::Problem(problem) => problem,
            Self::Fault(fault) => {
                visitor.shared.counters.add_fault(&fault);
                fault.into()
            }
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

fn keys(visitor: &Visitor) -> Result<SessionKeys<'_>, Fault> {
    visitor.session()?.keys()
}

async fn read<B>(visitor: &Visitor, request: &Request<B>, key: &Key) -> Result<Answer, Refusal> {
    let mut bucket = Bucket::default();
    for (_, value) in parameters(request.uri().query(), &["bucket"])? {
        bucket = named_bucket(&value)?;
    }
    let Some(entry) = keys(visitor)?.get(&bucket, key)?.await? else {
        return Err(no_such_key(&bucket, key).into());
    };
    let conditions = Conditions::of(request.headers());
    if !conditions.matched_by(entry.revision) {
        return Err(unmet(Some(&entry)).into());
    }
    let mut answer = if conditions.is_known(entry.revision) {
        let mut answer = Response::new(AnswerBody::empty());
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        answer
    } else {
        let content_type = if entry.kind == Kind::Plain { BYTES } else { JSON };
        answer::whole(content_type, json::readable(&entry)?)
    };
    tag(&mut answer, Some(&entry));
    if let Some(kind) = json::kind_name(entry.kind) {
        answer.headers_mut().insert(KIND, HeaderValue::from_static(kind));
    }
    answer.headers_mut().insert(CACHE_CONTROL, NO_CACHE);
    Ok(answer)
}

async fn put(visitor: &Visitor, request: Request<Incoming>, key: Key) -> Result<Answer, Refusal> {
    let (mut bucket, mut expiry) = (Bucket::default(), Expiry::Never);
    for (name, value) in parameters(request.uri().query(), &["bucket", "expires"])? {
        match name {
            "bucket" => bucket = named_bucket(&value)?,
            _ => expiry = expires(name, &value)?,
        }
    }
    let condition = Conditions::of(request.headers()).of_write()?;
    let value = value(visitor, request).await?;
    let write = Write::put(value).when(condition).expiring(expiry);
    let (before, after) = written(keys(visitor)?.write(&bucket, key, write)?).await?;
    Ok(stored(before.is_none(), after.as_ref()))
}

async fn delete<B>(visitor: &Visitor, request: &Request<B>, key: Key) -> Result<Answer, Refusal> {
    let mut bucket = Bucket::default();
    for (_, value) in parameters(request.uri().query(), &["bucket"])? {
        bucket = named_bucket(&value)?;
    }
    let condition = Conditions::of(request.headers()).of_write()?;
    let write = Write::delete().when(condition);
    match written(keys(visitor)?.write(&bucket, key.clone(), write)?).await? {
        (Some(_), _) => Ok(stored(false, None)),
        (None, _) => Err(no_such_key(&bucket, &key).into()),
    }
}

/// `?incr=N` or `?append`.
async fn post(visitor: &Visitor, request: Request<Incoming>, key: Key) -> Result<Answer, Refusal> {
    let (mut bucket, mut expiry) = (Bucket::default(), Expiry::Keep);
    let (mut increment, mut append) = (None, false);
    for (name, value) in parameters(request.uri().query(), &["bucket", "expires", "incr", "append"])? {
        match name {
            "bucket" => bucket = named_bucket(&value)?,
            "expires" => expiry = expires(name, &value)?,
            "append" => append = switch(name, &value)?,
            _ => increment = Some(increment_by(&value)?),
        }
    }
    let condition = Conditions::of(request.headers()).of_write()?;
    let change = match (increment, append) {
        (Some(_), true) | (None, false) => {
            return Err(Problem::bad_request(
                "say how to change the key, by ?incr=N or by ?append; it is set by PUT",
            )
            .into());
        }
        (Some(increment), false) => {
            if !value(visitor, request).await?.is_empty() {
                return Err(
                    Problem::bad_request("`incr` takes no body: say by how much with ?incr=N").into(),
                );
            }
            increment
        }
        (None, true) => Change::Append(value(visitor, request).await?),
    };
    let write = Write::change(change).when(condition).expiring(expiry);
    let (before, after) = written(keys(visitor)?.write(&bucket, key, write)?).await?;
    match after {
        // A number always is JSON.
        Some(after) if !append => {
            let mut answer = answer::whole(JSON, after.value.clone());
            tag(&mut answer, Some(&after));
            Ok(answer)
        }
        after => Ok(stored(before.is_none(), after.as_ref())),
    }
}

fn named_bucket(name: &str) -> Result<Bucket, Problem> {
    Bucket::new(name).map_err(|error| Problem::bad_request(error.to_string()))
}

fn expires(name: &str, text: &str) -> Result<Expiry, Problem> {
    let time = duration(name, text, Duration::from_secs(EXPIRES_S_MAX))?;
    if time.is_zero() {
        return Err(Problem::bad_request("`expires` is more than nothing"));
    }
    Ok(Expiry::At(Timestamp::from(SystemTime::now()).after(time)))
}

/// By how much: an integer, or a decimal number. Nothing is 1.
fn increment_by(text: &str) -> Result<Change, Problem> {
    if text.is_empty() {
        return Ok(Change::Increment(1));
    }
    if let Ok(by) = text.parse() {
        return Ok(Change::Increment(by));
    }
    let is_decimal = text.contains(['.', 'e', 'E']) && !text.contains(char::is_whitespace);
    match text.parse::<f64>() {
        Ok(by) if by.is_finite() && is_decimal => Ok(Change::IncrementFloat(by)),
        _ => Err(Problem::bad_request(format!(
            "`incr` is {}: it takes an integer of 64 bits, or a decimal number",
            quoted(text)
        ))),
    }
}

/// The body, as large as a value may be.
async fn value(visitor: &Visitor, request: Request<Incoming>) -> Result<Bytes, Problem> {
    let shared = &visitor.shared;
    let options = &shared.options.body;
    let bytes_max =
        usize::try_from(options.bytes_max).map_or(VALUE_BYTES_MAX, |max| max.min(VALUE_BYTES_MAX));
    let options = BodyOptions {
        single_bytes_max: bytes_max,
        ..options.clone()
    };
    upload::gather(request.into_body(), &options, &shared.gathering).await
}

/// What the key had before, and has now.
async fn written(writing: Stored<Written>) -> Result<(Option<Entry>, Option<Entry>), Refusal> {
    match writing.await? {
        Written::Done { before, after } => Ok((before, after)),
        Written::Unmet { current } => Err(unmet(current.as_ref()).into()),
    }
}

fn stored(is_new: bool, after: Option<&Entry>) -> Answer {
    let mut answer = Response::new(AnswerBody::empty());
    *answer.status_mut() = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::NO_CONTENT
    };
    tag(&mut answer, after);
    answer
}

fn tag(answer: &mut Answer, entry: Option<&Entry>) {
    if let Some(tag) = entry.and_then(tag_of) {
        answer.headers_mut().insert(ETAG, tag);
    }
}

fn tag_of(entry: &Entry) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("\"{}\"", entry.revision)).ok()
}

fn no_such_key(bucket: &Bucket, key: &Key) -> Problem {
    let key = key.as_ref().escape_ascii().to_string();
    Problem::not_found(format!("no key {} in the bucket {bucket}", quoted(&key)))
}

/// The condition is not met; the answer says what is there.
fn unmet(current: Option<&Entry>) -> Problem {
    let message = match current {
        Some(_) => "the key has another value, whose tag this answer has: nothing was changed",
        None => "the key has no value: nothing was changed",
    };
    let tag = current.and_then(tag_of).map(|tag| (ETAG, tag));
    Problem::new(
        StatusCode::PRECONDITION_FAILED,
        ErrorKind::Conflict.as_str(),
        message,
    )
    .with(tag.into_iter().collect::<HeaderMap>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn increments_are_integers_or_decimals() {
        for (text, change) in [
            ("", Change::Increment(1)),
            ("-5", Change::Increment(-5)),
            ("9223372036854775807", Change::Increment(i64::MAX)),
            ("1.5", Change::IncrementFloat(1.5)),
            ("-1e2", Change::IncrementFloat(-100.0)),
        ] {
            assert_eq!(increment_by(text).unwrap(), change, "{text:?}");
        }
        for text in ["9223372036854775808", "x", "nan", "inf", "1e999", " 1", "0x1"] {
            assert!(increment_by(text).is_err(), "{text:?}");
        }
    }
}
