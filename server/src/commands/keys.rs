//! `put`, `get`, `delete`, `incr`, `keys` and `watch`: keys of the hub. One file a command.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{cli::keys::BucketArgs, output::plain, units::Span};

mod change;
mod get;
mod list;
mod put;
mod watch;

pub(super) use change::{delete, incr};
pub(super) use get::get;
pub(super) use list::keys;
pub(super) use put::put;
pub(super) use watch::watch;

/// A request in the making, as the hub's own operations take it.
struct Request(Map<String, Value>);

impl Request {
    fn of(bucket: &BucketArgs) -> Self {
        let mut request = Self(Map::new());
        request.set("bucket", bucket.bucket.clone());
        request
    }

    /// Sets a field, if there is something to say.
    fn set(&mut self, field: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.0.insert(field.to_owned(), value.into());
        }
    }

    /// Sets a field that may hold any bytes.
    fn set_bytes(&mut self, field: &str, bytes: Option<&OsStr>) {
        let Some(bytes) = bytes else { return };
        match bytes.to_str() {
            Some(text) => self.set(field, Some(text)),
            None => self.set(
                &format!("{field}_base64"),
                Some(STANDARD.encode(bytes.as_bytes())),
            ),
        }
    }

    fn set_expiry(&mut self, expires: Option<Span>) {
        let ms = |span: Span| u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX);
        self.set("expires_ms", expires.map(ms));
    }

    fn json(self) -> Bytes {
        Value::Object(self.0).to_string().into()
    }
}

/// A field of an answer that may hold any bytes, for people.
fn shown(object: &Value, field: &str) -> String {
    if let Some(text) = object.get(field).and_then(Value::as_str) {
        return plain(text).into_owned();
    }
    let base64 = object.get(format!("{field}_base64")).and_then(Value::as_str);
    let bytes = base64
        .and_then(|text| STANDARD.decode(text).ok())
        .unwrap_or_default();
    plain(&String::from_utf8_lossy(&bytes)).into_owned()
}

/// The value of a key, a structure as JSON, or how large it is if it does not stand there.
fn shown_value(entry: &Value) -> String {
    match entry.get("bytes").and_then(Value::as_u64) {
        Some(bytes) => format!("({bytes} bytes)"),
        None => match (entry.get("value"), entry.get("kind").and_then(Value::as_str)) {
            (Some(structure @ (Value::Array(_) | Value::Object(_))), _) => {
                plain(&structure.to_string()).into_owned()
            }
            // A watch does not bring it.
            (None, Some(kind)) => format!("({kind})"),
            _ => shown(entry, "value"),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_say_what_was_said_and_no_more() {
        let mut request = Request::of(&BucketArgs { bucket: None });
        request.set_bytes("key", Some(OsStr::from_bytes(b"\xff")));
        request.set_bytes("prefix", Some(OsStr::new("ä")));
        request.set_bytes("after", None);
        request.set_expiry(Some(Span::from_secs(2)));
        let said: Value = serde_json::from_slice(&request.json()).expect("JSON");
        assert_eq!(
            said,
            json!({"key_base64": "/w==", "prefix": "ä", "expires_ms": 2000})
        );
    }

    #[test]
    fn answers_are_shown_on_one_line() {
        assert_eq!(shown(&json!({"key": "a\nb"}), "key"), "a\\nb");
        assert_eq!(shown(&json!({"key_base64": "/0E="}), "key"), "\u{fffd}A");
        assert_eq!(shown_value(&json!({"value": "x"})), "x");
        assert_eq!(shown_value(&json!({"bytes": 9})), "(9 bytes)");
        assert_eq!(
            shown_value(&json!({"value": ["a\n", "\u{9b}"], "kind": "list"})),
            plain("[\"a\\n\",\"\u{9b}\"]")
        );
        assert_eq!(shown_value(&json!({"kind": "sorted_set"})), "(sorted_set)");
    }
}
