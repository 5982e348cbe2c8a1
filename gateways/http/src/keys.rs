//! `/keys/KEY`: a key of the hub is read and written. `/keys`: keys are listed, and watched.
//!
//! A value is the body as it is; a structure is read as JSON, and the header `kind` says which. Its `ETag` is the number of the write that made it, so that `If-Match` and
//! `If-None-Match` (RFC 9110, section 13) are the conditions that the hub's keys know: what they do not know (several
//! tags for a write) is refused rather than guessed.

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
use switchboard_hub::requests::keys::{ScanRequest, WatchRequest};
use switchboard_hub::{ErrorKind, Fault};

use crate::answer::{self, Answer, AnswerBody, JSON};
use crate::options::BodyOptions;
use crate::problem::Problem;
use crate::query::{duration, parameters, percent_decoded_bytes, quoted, switch};
use crate::upload;
use crate::visitor::Visitor;

mod conditions;
mod watch;

use conditions::Conditions;

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

/// Lists keys, or watches them.
pub(crate) async fn all<B>(visitor: &Visitor, request: &Request<B>) -> Result<Answer, Problem> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Problem::method("GET, HEAD", "keys are listed and watched by GET"));
    }
    let wanted = Wanted::read(request.uri().query())?;
    let answer = match wanted {
        Wanted::Page(page) => scan(visitor, &page).await,
        Wanted::Watch(watch) => watch::answer(visitor, request.headers(), watch).await,
    };
    answer.map_err(|fault| Refusal::from(fault).into_problem(visitor))
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

async fn scan(visitor: &Visitor, page: &ScanRequest) -> Result<Answer, Fault> {
    let (bucket, scan) = page.scan()?;
    let found = keys(visitor)?.scan(&bucket, scan)?.await?;
    // Text and numbers always are JSON.
    let json = serde_json::to_vec(&json::page(&found, page.values)).unwrap_or_default();
    let mut answer = answer::whole(JSON, json);
    answer.headers_mut().insert(CACHE_CONTROL, NO_CACHE);
    Ok(answer)
}

/// What a request for `/keys` asks for.
enum Wanted {
    Page(ScanRequest),
    Watch(WatchRequest),
}

impl Wanted {
    fn read(query: Option<&str>) -> Result<Self, Problem> {
        let (mut page, mut watch) = (ScanRequest::default(), WatchRequest::default());
        let (mut is_watch, mut of_page, mut of_watch) = (false, None, None);
        let known = &[
            "bucket",
            "prefix",
            "prefix_base64",
            "after",
            "after_base64",
            "limit",
            "values",
            "watch",
            "news",
            "last_event_id",
        ];
        for (name, value) in parameters(query, known)? {
            let text = || Some(value.to_string());
            match name {
                "bucket" => page.bucket = text(),
                "prefix" => page.prefix = text(),
                "prefix_base64" => page.prefix_base64 = text(),
                "watch" => is_watch = switch(name, &value)?,
                "news" | "last_event_id" => {
                    of_watch = Some(name);
                    match name {
                        "news" => watch.news_only = switch(name, &value)?,
                        _ => watch.after_revision = value.parse().ok(),
                    }
                }
                _ => {
                    of_page = Some(name);
                    match name {
                        "after" => page.after = text(),
                        "after_base64" => page.after_base64 = text(),
                        "values" => page.values = switch(name, &value)?,
                        _ => page.limit = Some(limit(&value)?),
                    }
                }
            }
        }
        match (if is_watch { of_page } else { of_watch }, is_watch) {
            (Some(name), true) => Err(Problem::bad_request(format!("`{name}` means nothing to a watch"))),
            (Some(name), false) => Err(Problem::bad_request(format!(
                "`{name}` belongs to a watch: add `watch`"
            ))),
            (None, false) => Ok(Self::Page(page)),
            (None, true) => Ok(Self::Watch(WatchRequest {
                bucket: page.bucket,
                prefix: page.prefix,
                prefix_base64: page.prefix_base64,
                ..watch
            })),
        }
    }
}

fn limit(text: &str) -> Result<usize, Problem> {
    text.parse()
        .map_err(|_| Problem::bad_request(format!("`limit` is {}: it takes a number", quoted(text))))
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

    #[test]
    fn parameters_belong_to_pages_or_to_watches() {
        let read = |query| Wanted::read(Some(query)).map_err(|problem| problem.message.into_owned());
        assert!(
            matches!(read("prefix=a&limit=3&values"), Ok(Wanted::Page(page)) if page.limit == Some(3) && page.values)
        );
        assert!(matches!(
            read("watch&prefix=a&last_event_id=7"),
            Ok(Wanted::Watch(watch)) if watch.after_revision == Some(7)
        ));
        assert!(matches!(read("watch=false"), Ok(Wanted::Page(_))));
        for (query, said) in [
            ("watch&limit=3", "means nothing to a watch"),
            ("news", "belongs to a watch"),
            ("limit=x", "takes a number"),
            ("key=x", "unknown parameter"),
        ] {
            match read(query) {
                Err(message) => assert!(message.contains(said), "{query}: {message}"),
                Ok(_) => panic!("{query} is refused"),
            }
        }
    }
}
