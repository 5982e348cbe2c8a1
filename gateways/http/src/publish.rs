//! `POST /publish/TOPIC`: a message is published.

use std::time::Duration;

use bytestring::ByteString;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Method, Request};
use switchboard_hub::requests::EXPIRES_S_MAX;
use switchboard_hub::{CONTENT_TYPE as CONTENT_TYPE_OF_MESSAGE, Publish, PublishReply};

use crate::answer::{self, Answer, JSON};
use crate::problem::Problem;
use crate::query::{duration, parameters, percent_decoded, switch};
use crate::upload;
use crate::visitor::Visitor;

/// What begins the path of a publish.
pub(crate) const PREFIX: &str = "/publish/";

/// What forms and curl say a body is if nobody told them: nothing that a subscriber could use.
const FORM: &str = "application/x-www-form-urlencoded";

/// Publishes to the topic that the path names. A client that goes away meanwhile has published all the same, save to
/// those that block and are full.
pub(crate) async fn answer(
    visitor: &Visitor,
    request: Request<Incoming>,
    name: &str,
) -> Result<Answer, Problem> {
    let topic = percent_decoded(name)?;
    if request.method() != Method::POST {
        return Err(Problem::method(
            "POST",
            "publish by POST, with the message as the body",
        ));
    }
    let mut publish = Publish::new(topic, bytes::Bytes::new());
    for (name, value) in parameters(request.uri().query(), &["retain", "expires"])? {
        match name {
            "retain" => publish.retain = switch(name, &value)?,
            _ => publish.expires_after = Some(expiry(name, &value)?),
        }
    }
    if let Some(content_type) = content_type(request.headers()) {
        publish = publish.header(CONTENT_TYPE_OF_MESSAGE, content_type);
    }
    let shared = &visitor.shared;
    publish.payload = upload::gather(request.into_body(), &shared.options.body, &shared.gathering).await?;
    let subscriptions = visitor.session()?.publish(publish).await?;
    let reply = PublishReply { subscriptions };
    // A number always is JSON.
    Ok(answer::whole(
        JSON,
        serde_json::to_vec(&reply).unwrap_or_default(),
    ))
}

fn expiry(name: &str, value: &str) -> Result<Duration, Problem> {
    let expiry = duration(name, value, Duration::from_secs(EXPIRES_S_MAX))?;
    if expiry.is_zero() {
        return Err(Problem::bad_request("`expires` is more than nothing"));
    }
    Ok(expiry)
}

/// What the client says the message is.
fn content_type(headers: &HeaderMap) -> Option<ByteString> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    (!value.is_empty() && !value.starts_with(FORM)).then(|| ByteString::from(value))
}
