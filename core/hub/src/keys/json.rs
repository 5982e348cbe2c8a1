//! Keys, values and changes as JSON: one way for all doors.
//!
//! Bytes that are plain text stand as it, others in base64 under the same name with `_base64` at its end. So nothing
//! grows to more than about twice its size, whatever somebody stored. Structures stand as JSON of their own, beside their
//! `kind`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use switchboard_engine::Kind;
use switchboard_engine::keys::{Entry, Page, WatchEvent};

mod structure;

pub use structure::{kind_name, readable};

/// A larger value does not stand in JSON: its size stands there instead, as `bytes`. 1 MiB, so that whoever reads many
/// of them needs no more memory than for a page. Such a value is read by itself.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;

/// What is known of an entry: `revision`, `created_unix_ms`, `expires_unix_ms` if it will be gone, `kind` if it is a
/// structure, and `value` if that is wanted.
pub fn entry(entry: &Entry, value: bool) -> Map<String, Value> {
    let mut fields = Map::new();
    if value {
        put_value(&mut fields, entry);
    }
    if let Some(kind) = kind_name(entry.kind) {
        fields.insert("kind".to_owned(), kind.into());
    }
    fields.insert("revision".to_owned(), entry.revision.0.into());
    fields.insert("created_unix_ms".to_owned(), entry.created.as_millis().into());
    if let Some(expires) = entry.expires {
        fields.insert("expires_unix_ms".to_owned(), expires.as_millis().into());
    }
    fields
}

fn put_value(fields: &mut Map<String, Value>, entry: &Entry) {
    if entry.value.len() <= VALUE_BYTES_MAX {
        if entry.kind == Kind::Plain {
            return put_bytes(fields, "value", &entry.value);
        }
        // What cannot be read says so where it is read by itself.
        if let Ok(shown) = structure::shown(entry) {
            fields.insert("value".to_owned(), shown);
            return;
        }
    }
    fields.insert("bytes".to_owned(), entry.value.len().into());
}

/// A page of a scan: `keys`, and `next` if there are more.
pub fn page(page: &Page, values: bool) -> Map<String, Value> {
    let entries = page.entries.iter().map(|(key, found)| {
        let mut fields = entry(found, values);
        put_bytes(&mut fields, "key", key.as_ref());
        Value::Object(fields)
    });
    let mut fields = Map::new();
    fields.insert("keys".to_owned(), Value::Array(entries.collect()));
    if let Some(cursor) = &page.cursor {
        put_bytes(&mut fields, "next", cursor.as_ref());
    }
    fields
}

/// A change: `event` says `put`, `delete`, `expire`, `reset` or `current`; the rest is the key's. Structures are told by
/// their `kind`, without a value.
pub fn change(change: &WatchEvent) -> Map<String, Value> {
    let mut fields = Map::new();
    let (event, revision) = match change {
        WatchEvent::Put { key, entry: put } => {
            fields = entry(put, put.kind == Kind::Plain);
            put_bytes(&mut fields, "key", key.as_ref());
            ("put", None)
        }
        WatchEvent::Delete {
            key,
            revision,
            expired,
        } => {
            put_bytes(&mut fields, "key", key.as_ref());
            (if *expired { "expire" } else { "delete" }, Some(revision))
        }
        WatchEvent::Reset => ("reset", None),
        WatchEvent::Current { revision } => ("current", Some(revision)),
    };
    fields.insert("event".to_owned(), event.into());
    if let Some(revision) = revision {
        fields.insert("revision".to_owned(), revision.0.into());
    }
    fields
}

/// The text that bytes are, if they are plain text: control characters would take six characters each.
fn plain_text(bytes: &[u8]) -> Option<&str> {
    let is_plain = |byte: &u8| *byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r');
    let text = std::str::from_utf8(bytes).ok()?;
    bytes.iter().all(is_plain).then_some(text)
}

fn put_bytes(fields: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match plain_text(bytes) {
        Some(text) => fields.insert(name.to_owned(), text.into()),
        None => fields.insert(format!("{name}_base64"), STANDARD.encode(bytes).into()),
    };
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;
    use switchboard_engine::keys::Revision;
    use switchboard_engine::{Key, Timestamp};

    use super::*;

    fn an_entry(value: &[u8]) -> Entry {
        Entry {
            value: Bytes::copy_from_slice(value),
            kind: switchboard_engine::Kind::Plain,
            revision: Revision(7),
            created: Timestamp::from_millis(5),
            expires: None,
        }
    }

    fn value_of(value: &[u8]) -> Value {
        Value::Object(entry(&an_entry(value), true))
    }

    #[test]
    fn bytes_are_text_where_that_loses_nothing_and_costs_little() {
        let common = json!({"revision": 7, "created_unix_ms": 5});
        for (value, name, shown) in [
            (&b"a\tb\n\xc3\xa4"[..], "value", "a\tb\nä"),
            (b"", "value", ""),
            (b"\0", "value_base64", "AA=="),
            (b"\x1b[2J", "value_base64", "G1sySg=="),
            (b"\xff", "value_base64", "/w=="),
        ] {
            let mut expected = common.clone();
            expected[name] = shown.into();
            assert_eq!(value_of(value), expected);
        }
    }

    #[test]
    fn what_is_large_is_only_counted() {
        let large = value_of(&vec![b'x'; VALUE_BYTES_MAX + 1]);
        assert_eq!(
            (large.get("value"), &large["bytes"]),
            (None, &json!(VALUE_BYTES_MAX + 1))
        );
        assert!(value_of(&vec![b'x'; VALUE_BYTES_MAX])["value"].is_string());
    }

    #[test]
    fn structures_are_shown_with_their_kind() {
        let list = Entry {
            kind: Kind::List,
            ..an_entry(b"\x02\x01a")
        };
        assert_eq!(
            Value::Object(entry(&list, true)),
            json!({"value": ["a"], "kind": "list", "revision": 7, "created_unix_ms": 5})
        );
        let told = json!({"kind": "list", "revision": 7, "created_unix_ms": 5});
        assert_eq!(Value::Object(entry(&list, false)), told);
        let put = WatchEvent::Put {
            key: Key::new("k").unwrap(),
            entry: list.told(),
        };
        assert_eq!(
            Value::Object(change(&put)),
            json!({"event": "put", "key": "k", "kind": "list", "revision": 7, "created_unix_ms": 5})
        );
    }

    #[test]
    fn every_change_has_its_word() {
        let key = Key::new("k").unwrap();
        let delete = |expired| WatchEvent::Delete {
            key: key.clone(),
            revision: Revision(9),
            expired,
        };
        let put = WatchEvent::Put {
            key: key.clone(),
            entry: Entry {
                expires: Some(Timestamp::from_millis(8)),
                ..an_entry(b"v")
            },
        };
        for (event, expected) in [
            (
                put,
                json!({"event": "put", "key": "k", "value": "v", "revision": 7, "created_unix_ms": 5,
                       "expires_unix_ms": 8}),
            ),
            (
                delete(false),
                json!({"event": "delete", "key": "k", "revision": 9}),
            ),
            (
                delete(true),
                json!({"event": "expire", "key": "k", "revision": 9}),
            ),
            (WatchEvent::Reset, json!({"event": "reset"})),
            (
                WatchEvent::Current {
                    revision: Revision(3),
                },
                json!({"event": "current", "revision": 3}),
            ),
        ] {
            assert_eq!(Value::Object(change(&event)), expected);
        }
    }

    #[test]
    fn a_page_says_where_the_next_begins() {
        let key = Key::new(&b"\xff"[..]).unwrap();
        let mut of = Page {
            entries: vec![(key.clone(), an_entry(b"v"))],
            cursor: Some(key),
        };
        let expected = json!({
            "keys": [{"key_base64": "/w==", "revision": 7, "created_unix_ms": 5}], "next_base64": "/w=="
        });
        assert_eq!(Value::Object(page(&of, false)), expected);
        of.cursor = None;
        assert_eq!(page(&of, true).get("next_base64"), None);
        assert_eq!(page(&of, true)["keys"][0]["value"], "v");
    }
}
