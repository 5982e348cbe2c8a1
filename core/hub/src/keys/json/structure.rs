//! Structures as JSON, without loss.
//!
//! | kind | JSON |
//! | --- | --- |
//! | hash | an object, the value by the field; if a field is no text, an array of `[field, value]` |
//! | list, set | an array |
//! | sorted set | an array of `[member, score]`, in order; a score without end is `"inf"` or `"-inf"` |
//!
//! Bytes that are plain text are a string, others `{"base64": …}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use switchboard_engine::keys::Entry;
use switchboard_engine::structures::{Hash, Structure};
use switchboard_engine::{EngineError, Kind};
use switchboard_peer::Fault;

use super::plain_text;
use crate::keys::{VALUE_BYTES_MAX, fault};

/// What a kind is called in JSON and in headers; `None` for plain values, of which nothing is said.
pub fn kind_name(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Plain => return None,
        Kind::Hash => "hash",
        Kind::List => "list",
        Kind::Set => "set",
        Kind::SortedSet => "sorted_set",
    })
}

/// What a reader of a key gets: a plain value as it is, a structure as JSON.
///
/// # Errors
/// Too large, for a structure of more bytes than a value may have; failed, for a damaged one.
pub fn readable(entry: &Entry) -> Result<Bytes, Fault> {
    if entry.kind == Kind::Plain {
        return Ok(entry.value.clone());
    }
    let bytes = entry.value.len();
    if bytes > VALUE_BYTES_MAX {
        return Err(fault(EngineError::TooLarge(format!(
            "the {} has {bytes} bytes: at most {VALUE_BYTES_MAX} are shown at once",
            entry.kind
        ))));
    }
    let shown = shown(entry).map_err(fault)?;
    let json = serde_json::to_vec(&shown).map_err(|error| Fault::failed(error.to_string()))?;
    Ok(json.into())
}

/// The structure of an entry.
pub(super) fn shown(entry: &Entry) -> Result<Value, EngineError> {
    Ok(match &Structure::decode(entry.kind, &entry.value)? {
        Structure::Hash(hash) => shown_hash(hash),
        Structure::List(list) => list.iter().map(shown_bytes).collect(),
        Structure::Set(set) => set.iter().map(shown_bytes).collect(),
        Structure::SortedSet(set) => set
            .iter()
            .map(|(member, score)| json!([shown_bytes(member), shown_score(score)]))
            .collect(),
    })
}

fn shown_hash(hash: &Hash) -> Value {
    let fields = hash.iter();
    let object: Option<Map<String, Value>> = fields
        .map(|(field, value)| Some((plain_text(field)?.to_owned(), shown_bytes(value))))
        .collect();
    match object {
        Some(object) => Value::Object(object),
        None => hash
            .iter()
            .map(|(field, value)| json!([shown_bytes(field), shown_bytes(value)]))
            .collect(),
    }
}

fn shown_bytes(bytes: &[u8]) -> Value {
    match plain_text(bytes) {
        Some(text) => text.into(),
        None => json!({"base64": STANDARD.encode(bytes)}),
    }
}

fn shown_score(score: f64) -> Value {
    if score.is_finite() {
        return score.into();
    }
    if score > 0.0 { "inf" } else { "-inf" }.into()
}

#[cfg(test)]
mod tests {
    use switchboard_engine::Timestamp;
    use switchboard_engine::keys::Revision;
    use switchboard_peer::ErrorKind;

    use super::*;

    fn entry(structure: &Structure) -> Entry {
        Entry {
            value: structure.encode().into(),
            kind: structure.kind(),
            revision: Revision(7),
            created: Timestamp::from_millis(5),
            expires: None,
        }
    }

    fn read(structure: &Structure) -> Value {
        serde_json::from_slice(&readable(&entry(structure)).expect("readable")).expect("JSON")
    }

    fn structure(kind: Kind, names: &[&[u8]]) -> Structure {
        let mut structure = Structure::new(kind).expect("a structure");
        for (place, name) in names.iter().enumerate() {
            match &mut structure {
                Structure::Hash(hash) => {
                    hash.insert(name, name);
                }
                Structure::List(list) => list.push_back(name),
                Structure::Set(set) => {
                    set.insert(name);
                }
                Structure::SortedSet(set) => {
                    set.insert(name, place as f64 + 0.5);
                }
            }
        }
        structure
    }

    #[test]
    fn structures_are_read_as_json() {
        let text = ["a", "ä\n", ""].map(str::as_bytes);
        assert_eq!(
            read(&structure(Kind::Hash, &text)),
            json!({"a": "a", "ä\n": "ä\n", "": ""})
        );
        assert_eq!(read(&structure(Kind::List, &text)), json!(["a", "ä\n", ""]));
        assert_eq!(read(&structure(Kind::Set, &text)), json!(["a", "ä\n", ""]));
        assert_eq!(
            read(&structure(Kind::SortedSet, &text)),
            json!([["a", 0.5], ["ä\n", 1.5], ["", 2.5]])
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_kept() {
        let odd: [&[u8]; 2] = [b"\xff", b"x"];
        let shown = json!({"base64": "/w=="});
        assert_eq!(
            read(&structure(Kind::Hash, &odd)),
            json!([[shown, shown], ["x", "x"]])
        );
        assert_eq!(read(&structure(Kind::List, &odd)), json!([shown, "x"]));
        let mut hash = Hash::default();
        hash.insert(b"field", b"\0");
        assert_eq!(read(&Structure::Hash(hash)), json!({"field": {"base64": "AA=="}}));
        let mut set = switchboard_engine::structures::SortedSet::default();
        set.insert(b"least", f64::NEG_INFINITY);
        set.insert(b"most", f64::INFINITY);
        assert_eq!(
            read(&Structure::SortedSet(set)),
            json!([["least", "-inf"], ["most", "inf"]])
        );
    }

    #[test]
    fn what_is_damaged_or_huge_is_told() {
        let damaged = Entry {
            value: "\u{9}x".into(),
            ..entry(&structure(Kind::List, &[b"a"]))
        };
        assert!(matches!(readable(&damaged), Err(Fault::Error { kind, .. }) if kind == ErrorKind::Failed));
        let huge = Entry {
            value: vec![0; VALUE_BYTES_MAX + 1].into(),
            ..damaged
        };
        assert!(matches!(readable(&huge), Err(Fault::Error { kind, .. }) if kind == ErrorKind::TooLarge));
    }
}
