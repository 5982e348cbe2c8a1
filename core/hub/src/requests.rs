//! What the hub's own operations take: JSON, read strictly.
//!
//! `hub.login`, `hub.serve`, `hub.unserve`, `hub.subscribe` and `hub.unsubscribe` concern the connection over which they
//! come, so each gateway answers them itself; all read them with the types here, so that every door takes the same.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use bytestring::ByteString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use switchboard_peer::Fault;

use crate::declaration::Declaration;
use crate::filter::Filter;
use crate::media_type::MediaType;
use crate::message::Publish;
use crate::names;
use crate::operations::{PAGE_MAX, PageRequest};
use crate::policy::Policy;

pub mod keys;

/// `hub.login`.
pub const LOGIN: &str = "hub.login";
/// `hub.serve`.
pub const SERVE: &str = "hub.serve";
/// `hub.unserve`.
pub const UNSERVE: &str = "hub.unserve";
/// `hub.subscribe`.
pub const SUBSCRIBE: &str = "hub.subscribe";
/// `hub.unsubscribe`.
pub const UNSUBSCRIBE: &str = "hub.unsubscribe";
/// `hub.publish`.
pub const PUBLISH: &str = "hub.publish";
/// `hub.whoami`.
pub const WHOAMI: &str = "hub.whoami";
/// `hub.ops`.
pub const OPS: &str = "hub.ops";
/// `hub.sessions`.
pub const SESSIONS: &str = "hub.sessions";
/// `hub.stats`.
pub const STATS: &str = "hub.stats";

/// Most operations in one [`ServeRequest`], and most filters in one [`SubscribeRequest`]. More take more requests.
pub const LIST_MAX: usize = 1024;

/// Most characters of the words for a request that is not understood.
const SAID_CHARS_MAX: usize = 400;

/// The longest expiry that can be asked for, in seconds: what MQTT can say, 136 years.
pub const EXPIRES_S_MAX: u64 = u32::MAX as u64;

/// `hub.login`: as whom to go on.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The account.
    pub account: String,
    /// Its password; or a token. The open account `guest` needs neither, and what is given for it is not looked at.
    pub password: Option<String>,
    /// A token of the account, instead of the password.
    pub token: Option<String>,
}

/// `hub.serve`: which operations the connection answers from now on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServeRequest {
    /// The operations, 1 to [`LIST_MAX`].
    pub ops: Vec<String>,
    /// Whether to be told with each request who calls.
    #[serde(default)]
    pub caller: bool,
    /// Whether calls change nothing: see [`Declaration::safe`].
    #[serde(default)]
    pub safe: bool,
    /// What the results are: see [`Declaration::result_type`].
    #[serde(default, deserialize_with = "media_type")]
    pub result_type: Option<MediaType>,
}

impl ServeRequest {
    /// What it says of the operations.
    pub fn declaration(&self) -> Declaration {
        Declaration {
            safe: self.safe,
            result_type: self.result_type.clone(),
        }
    }
}

/// `hub.unserve`: which operations the connection answers no more.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnserveRequest {
    /// The operations, 1 to [`LIST_MAX`].
    pub ops: Vec<String>,
}

/// `hub.subscribe`: what the connection wants to get.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscribeRequest {
    /// The filters, 1 to [`LIST_MAX`].
    pub topics: Vec<String>,
    /// What happens when the connection is too slow for them; the gateway's default if not said.
    #[serde(default, deserialize_with = "policy")]
    pub policy: Option<Policy>,
}

/// `hub.unsubscribe`: what the connection does not want to get any more.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnsubscribeRequest {
    /// The filters, 1 to [`LIST_MAX`], as they were subscribed to.
    pub topics: Vec<String>,
}

/// `hub.publish`: a message of which one wants to know that it was taken.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishRequest {
    /// The topic.
    pub topic: String,
    /// The payload, if it is text.
    pub payload: Option<String>,
    /// The payload in standard base64 with padding, if it is not. Without either the payload is empty.
    pub payload_base64: Option<String>,
    /// Whether it stays as the topic's last value.
    #[serde(default)]
    pub retain: bool,
    /// For how many seconds it is of use, 1 to [`EXPIRES_S_MAX`].
    pub expires_s: Option<u64>,
}

/// The request of `hub.whoami` and `hub.stats`: nothing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoRequest {}

/// A request of one of the hub's own operations.
pub trait HubRequest: DeserializeOwned {
    /// Checks what JSON cannot say.
    ///
    /// # Errors
    /// What is wrong, in words for whoever wrote the request.
    fn check(&self) -> Result<(), Fault>;
}

/// Reads the request of the hub's own operation of that name. No body, and `null`, stand for `{}`.
///
/// # Errors
/// Invalid, with what is wrong and where: not JSON, a field that is unknown, missing, of another type, or out of
/// bounds.
pub fn parse<T: HubRequest>(operation: &str, body: &[u8]) -> Result<T, Fault> {
    let body = match body.trim_ascii() {
        b"" | b"null" => b"{}",
        body => body,
    };
    let request: T =
        serde_json::from_slice(body).map_err(|error| Fault::invalid(not_understood(operation, &error)))?;
    request.check()?;
    Ok(request)
}

impl fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secrets stay out of logs.
        f.debug_struct("LoginRequest")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl HubRequest for LoginRequest {
    fn check(&self) -> Result<(), Fault> {
        names::Account::parse(&self.account)?;
        if self.password.is_some() && self.token.is_some() {
            return Err(Fault::invalid("hub.login: give a password or a token, not both"));
        }
        Ok(())
    }
}

impl HubRequest for ServeRequest {
    fn check(&self) -> Result<(), Fault> {
        check_list(SERVE, "ops", &self.ops)?;
        Ok(self
            .ops
            .iter()
            .try_for_each(|operation| names::check_operation(operation))?)
    }
}

impl HubRequest for UnserveRequest {
    fn check(&self) -> Result<(), Fault> {
        check_list(UNSERVE, "ops", &self.ops)
    }
}

impl HubRequest for SubscribeRequest {
    fn check(&self) -> Result<(), Fault> {
        check_list(SUBSCRIBE, "topics", &self.topics)?;
        Ok(self
            .topics
            .iter()
            .try_for_each(|filter| Filter::parse(filter).map(drop))?)
    }
}

impl HubRequest for UnsubscribeRequest {
    fn check(&self) -> Result<(), Fault> {
        check_list(UNSUBSCRIBE, "topics", &self.topics)
    }
}

impl HubRequest for PublishRequest {
    fn check(&self) -> Result<(), Fault> {
        if self.payload.is_some() && self.payload_base64.is_some() {
            return Err(Fault::invalid(
                "hub.publish: give `payload` or `payload_base64`, not both",
            ));
        }
        if self
            .expires_s
            .is_some_and(|seconds| !(1..=EXPIRES_S_MAX).contains(&seconds))
        {
            return Err(Fault::invalid(format!(
                "hub.publish: `expires_s` is 1 to {EXPIRES_S_MAX} seconds"
            )));
        }
        Ok(())
    }
}

impl PublishRequest {
    /// What is to be published.
    ///
    /// # Errors
    /// Invalid when the payload is no base64.
    pub fn into_publish(self) -> Result<Publish, Fault> {
        let payload = match (self.payload, self.payload_base64) {
            (_, Some(text)) => Bytes::from(STANDARD.decode(text).map_err(|error| {
                Fault::invalid(format!(
                    "hub.publish: `payload_base64` is no standard base64: {error}"
                ))
            })?),
            (text, None) => Bytes::from(text.unwrap_or_default()),
        };
        let mut publish = Publish::new(ByteString::from(self.topic), payload);
        publish.retain = self.retain;
        publish.expires_after = self.expires_s.map(Duration::from_secs);
        Ok(publish)
    }
}

impl HubRequest for PageRequest {
    fn check(&self) -> Result<(), Fault> {
        if (1..=PAGE_MAX).contains(&self.limit) {
            return Ok(());
        }
        Err(Fault::invalid(format!(
            "`limit` is 1 to {PAGE_MAX}: ask for the next page with `after`"
        )))
    }
}

impl HubRequest for NoRequest {
    fn check(&self) -> Result<(), Fault> {
        Ok(())
    }
}

/// What serde says may quote the request, however long that is.
fn not_understood(operation: &str, error: &serde_json::Error) -> String {
    let said = error.to_string();
    match said.char_indices().nth(SAID_CHARS_MAX) {
        None => format!("{operation}: {said}"),
        Some((end, _)) => format!("{operation}: {}…", said.get(..end).unwrap_or_default()),
    }
}

fn check_list(operation: &str, field: &str, list: &[String]) -> Result<(), Fault> {
    if (1..=LIST_MAX).contains(&list.len()) {
        return Ok(());
    }
    Err(Fault::invalid(format!(
        "{operation}: `{field}` has {} entries: 1 to {LIST_MAX} are possible",
        list.len()
    )))
}

fn policy<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Policy>, D::Error> {
    let word = Option::<String>::deserialize(deserializer)?;
    word.map(|word| word.parse().map_err(serde::de::Error::custom))
        .transpose()
}

fn media_type<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<MediaType>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| MediaType::parse(&text).map_err(serde::de::Error::custom))
        .transpose()
}

#[cfg(test)]
mod tests;
