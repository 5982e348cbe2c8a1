//! What a hub is asked.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::whole_seconds;

/// As whom to go on at a hub.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Login {
    account: String,
    #[serde(flatten)]
    secret: Option<Secret>,
}

#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Secret {
    Password(String),
    Token(String),
}

impl Login {
    /// This account, with nothing to show for it yet: enough for the open account `guest`.
    pub fn account(account: impl Into<String>) -> Self {
        Self {
            account: account.into(),
            secret: None,
        }
    }

    /// Shows the account's password, instead of whatever was set before.
    #[must_use]
    pub fn password(self, password: impl Into<String>) -> Self {
        let secret = Some(Secret::Password(password.into()));
        Self { secret, ..self }
    }

    /// Shows a token of the account, instead of whatever was set before.
    #[must_use]
    pub fn token(self, token: impl Into<String>) -> Self {
        let secret = Some(Secret::Token(token.into()));
        Self { secret, ..self }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secret stays out of logs.
        f.debug_struct("Login")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

/// How operations are served: see [`AtHub::serve`](super::AtHub::serve).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServeOptions {
    /// Whether to be told with each request who calls, and until when. Default: no.
    pub caller: bool,
    /// Whether calls change nothing, so that one more or less makes no difference. Then the hub's HTTP door takes them
    /// by GET as well. Where several serve an operation it is safe only if all say so. Default: no.
    pub safe: bool,
    /// What the results are, as a media type of at most 256 bytes, such as `text/plain; charset=utf-8`: the hub's HTTP
    /// door says so with them. Default: not said.
    pub result_type: Option<String>,
}

/// What a hub does when this side is slower than what it subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryPolicy {
    /// The publisher waits, for a bounded time; then the message is dropped, and counted at the hub.
    Block,
    /// The oldest messages make room, and are counted at the hub.
    DropOldest,
    /// One message a topic is pending, the newest.
    Latest,
    /// The subscription ends.
    Disconnect,
}

/// How a message is published: see [`AtHub::publish`](super::AtHub::publish).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PublishOptions {
    /// Whether it stays as the topic's last value. Default: no.
    pub retain: bool,
    /// For how long it is of use: whole seconds, rounded up; 1 s to 136 years. Default: for ever.
    pub expires: Option<Duration>,
}

#[derive(Serialize)]
pub(super) struct ServeRequest<'a> {
    pub(super) ops: Vec<&'a str>,
    /// Not said if not wanted, as a hub that cannot do it need not know the word.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) caller: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) safe: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) result_type: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct OperationsRequest<'a> {
    pub(super) ops: Vec<&'a str>,
}

#[derive(Serialize)]
pub(super) struct SubscribeRequest<'a> {
    pub(super) topics: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<DeliveryPolicy>,
}

#[derive(Serialize)]
pub(super) struct TopicsRequest<'a> {
    pub(super) topics: Vec<&'a str>,
}

#[derive(Serialize)]
pub(super) struct PublishRequest<'a> {
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    retain: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_s: Option<u64>,
}

impl<'a> PublishRequest<'a> {
    pub(super) fn new(topic: &'a str, payload: &'a [u8], options: PublishOptions) -> Self {
        let text = std::str::from_utf8(payload).ok().filter(|text| is_plain(text));
        Self {
            topic,
            payload: text,
            payload_base64: text.is_none().then(|| STANDARD.encode(payload)),
            retain: options.retain,
            expires_s: options.expires.map(whole_seconds),
        }
    }
}

/// Whether JSON writes the text at not much more than its length: a control character takes six bytes there.
fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r'))
}

#[derive(Serialize)]
pub(super) struct PageRequest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<&'a str>,
}

/// A page of any list.
#[derive(Deserialize)]
pub(super) struct Page<T> {
    #[serde(alias = "ops", alias = "sessions")]
    pub(super) entries: Vec<T>,
    #[serde(default = "Option::default")]
    pub(super) next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(value: &impl Serialize) -> String {
        serde_json::to_string(value).unwrap()
    }

    #[test]
    fn a_login_says_one_secret_and_shows_none() {
        let login = Login::account("a");
        assert_eq!(json(&login), r#"{"account":"a"}"#);
        let login = login.password("hush");
        assert_eq!(json(&login), r#"{"account":"a","password":"hush"}"#);
        assert!(!format!("{login:?}").contains("hush"));
        let login = login.token("t0ken");
        assert_eq!(json(&login), r#"{"account":"a","token":"t0ken"}"#);
        assert!(!format!("{login:?}").contains("t0ken"));
    }

    #[test]
    fn a_payload_crosses_as_text_or_as_base64() {
        let options = PublishOptions::default();
        let said = |payload: &[u8]| json(&PublishRequest::new("t", payload, options));
        assert_eq!(said(b"on\n"), r#"{"topic":"t","payload":"on\n"}"#);
        assert_eq!(said(b""), r#"{"topic":"t","payload":""}"#);
        assert_eq!(said(&[0, 255]), r#"{"topic":"t","payload_base64":"AP8="}"#);
        assert_eq!(said(&[0]), r#"{"topic":"t","payload_base64":"AA=="}"#);
    }

    #[test]
    fn options_are_said_only_where_they_differ() {
        let options = PublishOptions {
            retain: true,
            expires: Some(Duration::from_millis(1001)),
        };
        assert_eq!(
            json(&PublishRequest::new("t", b"x", options)),
            r#"{"topic":"t","payload":"x","retain":true,"expires_s":2}"#
        );
        let serve = |caller, safe, result_type| {
            let ops = vec!["a"];
            json(&ServeRequest {
                ops,
                caller,
                safe,
                result_type,
            })
        };
        assert_eq!(serve(false, false, None), r#"{"ops":["a"]}"#);
        assert_eq!(
            serve(true, true, Some("a/b")),
            r#"{"ops":["a"],"caller":true,"safe":true,"result_type":"a/b"}"#
        );
        let subscribe = SubscribeRequest {
            topics: vec!["a/#"],
            policy: Some(DeliveryPolicy::DropOldest),
        };
        assert_eq!(json(&subscribe), r#"{"topics":["a/#"],"policy":"drop-oldest"}"#);
    }

    #[test]
    fn seconds_are_rounded_up() {
        assert_eq!(whole_seconds(Duration::ZERO), 0);
        assert_eq!(whole_seconds(Duration::from_nanos(1)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(60)), 60);
        assert_eq!(whole_seconds(Duration::MAX), u64::MAX);
    }
}
