//! What the operations on keys take. Keys and values that are no text stand in fields that end in `_base64`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use bytestring::ByteString;
use serde::Deserialize;
use serde_json::Number;
use switchboard_engine::keys::{
    BATCH_WRITES_MAX, Change, Condition, Expiry, Revision, SCAN_ENTRIES_MAX, Scan, WatchFrom, Write,
};
use switchboard_engine::{Bucket, Key, Timestamp};
use switchboard_peer::{ErrorKind, Fault};

use super::HubRequest;
use crate::keys::fault;

/// `keys.get`: the value of a key, as it is.
pub const GET: &str = "keys.get";
/// `keys.entry`: the value of a key, and what is known of it.
pub const ENTRY: &str = "keys.entry";
/// `keys.put`.
pub const PUT: &str = "keys.put";
/// `keys.delete`.
pub const DELETE: &str = "keys.delete";
/// `keys.cas`: a put that is done only if the key still has the value of a certain write.
pub const CAS: &str = "keys.cas";
/// `keys.incr`.
pub const INCR: &str = "keys.incr";
/// `keys.append`.
pub const APPEND: &str = "keys.append";
/// `keys.expire`.
pub const EXPIRE: &str = "keys.expire";
/// `keys.scan`.
pub const SCAN: &str = "keys.scan";
/// `keys.watch`.
pub const WATCH: &str = "keys.watch";
/// `keys.batch`.
pub const BATCH: &str = "keys.batch";
/// `keys.buckets`.
pub const BUCKETS: &str = "keys.buckets";

/// `keys.get`, `keys.entry`: which key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct KeyRequest {
    /// The bucket; `default` if not said.
    pub bucket: Option<String>,
    /// The key, if it is text.
    pub key: Option<String>,
    /// The key in standard base64 with padding, if it is not.
    pub key_base64: Option<String>,
}

impl KeyRequest {
    /// The bucket and the key.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn place(&self) -> Result<(Bucket, Key), Fault> {
        let key = bytes("key", self.key.as_deref(), self.key_base64.as_deref())?;
        Ok((bucket(self.bucket.as_deref())?, Key::new(key).map_err(fault)?))
    }
}

impl HubRequest for KeyRequest {
    fn check(&self) -> Result<(), Fault> {
        self.place().map(drop)
    }
}

/// What a write does: the operation `keys.put`, or an entry of `keys.batch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WriteVerb {
    /// Sets a value.
    Put,
    /// Sets a value if the key still has that of a certain write.
    Cas,
    /// Takes the value away.
    Delete,
    /// Adds to a number.
    Incr,
    /// Appends to the value.
    Append,
    /// Says when the key will be gone.
    Expire,
}

/// A write to one key. Which fields it takes depends on the verb: those that would mean nothing are refused.
///
/// Of a stream, the first part is this without a value, and what follows is the value.
#[derive(Debug, Clone, PartialEq, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct WriteRequest {
    /// In a batch: what is to be done.
    pub op: Option<WriteVerb>,
    /// The bucket; `default` if not said. Not in a batch, which has one for all its writes.
    pub bucket: Option<String>,
    /// The key, if it is text.
    pub key: Option<String>,
    /// The key in base64, if it is not.
    pub key_base64: Option<String>,
    /// Put, cas, append: the value, if it is text.
    pub value: Option<String>,
    /// The value in base64, if it is not. Without either it is empty.
    pub value_base64: Option<String>,
    /// Incr: what to add, 1 if not said. A number with a point or an exponent makes the value a decimal number.
    pub by: Option<Number>,
    /// Put: only if the key has no value.
    pub if_absent: Option<bool>,
    /// Only if the key has the value of that write, 0 for no value. Cas must say it.
    pub revision: Option<u64>,
    /// The key will be gone in so many milliseconds. At most one of the three; without, a put never expires, and
    /// what changes a value leaves its expiry.
    pub expires_ms: Option<u64>,
    /// The same, in seconds.
    pub expires_s: Option<u64>,
    /// The key will be gone at that moment, in milliseconds since 1970.
    pub expires_unix_ms: Option<u64>,
}

impl WriteRequest {
    /// The bucket, the key and the write.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn write(&self, verb: WriteVerb, now: Timestamp) -> Result<(Bucket, Key, Write), Fault> {
        self.check_fields(verb)?;
        let key = bytes("key", self.key.as_deref(), self.key_base64.as_deref())?;
        let value = || bytes("value", self.value.as_deref(), self.value_base64.as_deref());
        let change = match verb {
            WriteVerb::Put | WriteVerb::Cas => Change::Put(value()?),
            WriteVerb::Append => Change::Append(value()?),
            WriteVerb::Delete => Change::Delete,
            WriteVerb::Expire => Change::Touch,
            WriteVerb::Incr => self.increment()?,
        };
        let write = Write {
            condition: self.condition(),
            change,
            expiry: self.expiry(verb, now)?,
        };
        let key = Key::new(key).map_err(fault)?;
        Ok((bucket(self.bucket.as_deref())?, key, write))
    }

    /// Whether the value is said here, rather than in a stream's later parts.
    pub(crate) fn has_value(&self) -> bool {
        self.value.is_some() || self.value_base64.is_some()
    }

    fn check_fields(&self, verb: WriteVerb) -> Result<(), Fault> {
        use WriteVerb::{Append, Cas, Delete, Expire, Incr, Put};
        let expires = [self.expires_ms, self.expires_s, self.expires_unix_ms];
        let given = [
            ("value", self.has_value(), &[Put, Cas, Append][..]),
            ("by", self.by.is_some(), &[Incr]),
            ("if_absent", self.if_absent.is_some(), &[Put]),
            (
                "revision",
                self.revision.is_some(),
                &[Put, Cas, Append, Incr, Delete, Expire],
            ),
            (
                "expires_…",
                expires.iter().any(Option::is_some),
                &[Put, Cas, Append, Incr, Expire],
            ),
        ];
        for (field, is_given, verbs) in given {
            if is_given && !verbs.contains(&verb) {
                return Err(Fault::invalid(format!(
                    "`{field}` means nothing to this operation"
                )));
            }
        }
        if expires.iter().flatten().count() > 1 {
            return Err(Fault::invalid(
                "give one of `expires_ms`, `expires_s` and `expires_unix_ms`, not several",
            ));
        }
        if self.if_absent == Some(true) && self.revision.is_some() {
            return Err(Fault::invalid("give `if_absent` or `revision`, not both"));
        }
        if verb == Cas && self.revision.is_none() {
            return Err(Fault::invalid(
                "`revision` is missing: which write's value is to be replaced, or 0 for none",
            ));
        }
        Ok(())
    }

    fn condition(&self) -> Condition {
        match (self.if_absent, self.revision) {
            (Some(true), _) | (_, Some(0)) => Condition::Absent,
            (_, Some(revision)) => Condition::At(Revision(revision)),
            (_, None) => Condition::Always,
        }
    }

    fn increment(&self) -> Result<Change, Fault> {
        let Some(by) = &self.by else {
            return Ok(Change::Increment(1));
        };
        if let Some(by) = by.as_i64() {
            return Ok(Change::Increment(by));
        }
        match by.as_f64() {
            Some(by) if by.is_finite() && !self.is_large_integer() => Ok(Change::IncrementFloat(by)),
            _ => Err(Fault::invalid(
                "`by` is out of range: it takes an integer of 64 bits, or a decimal number",
            )),
        }
    }

    /// An integer that only fits without a sign would lose digits as a decimal number.
    fn is_large_integer(&self) -> bool {
        self.by.as_ref().is_some_and(Number::is_u64)
    }

    fn expiry(&self, verb: WriteVerb, now: Timestamp) -> Result<Expiry, Fault> {
        use std::time::Duration;
        let at = match (self.expires_ms, self.expires_s, self.expires_unix_ms) {
            (Some(millis), _, _) => Some(now.after(Duration::from_millis(millis))),
            (_, Some(seconds), _) => Some(now.after(Duration::from_secs(seconds))),
            (_, _, Some(moment)) => Some(Timestamp::from_millis(moment)),
            _ => None,
        };
        Ok(match (at, verb) {
            (Some(at), _) => Expiry::At(at),
            (None, WriteVerb::Put | WriteVerb::Cas | WriteVerb::Expire) => Expiry::Never,
            (None, _) => Expiry::Keep,
        })
    }
}

impl HubRequest for WriteRequest {
    fn check(&self) -> Result<(), Fault> {
        match self.op {
            Some(_) => Err(Fault::invalid("`op` belongs into the writes of `keys.batch`")),
            None => Ok(()),
        }
    }
}

/// `keys.batch`: several writes in one step, or none.
#[derive(Debug, Clone, PartialEq, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct BatchRequest {
    /// The bucket of them all; `default` if not said.
    pub bucket: Option<String>,
    /// The writes, 1 to [`BATCH_WRITES_MAX`], each with its `op`.
    pub writes: Vec<WriteRequest>,
}

impl BatchRequest {
    /// The bucket and the writes.
    ///
    /// # Errors
    /// What is wrong, and with which of them, counted from 0.
    pub fn writes(&self, now: Timestamp) -> Result<(Bucket, Vec<(Key, Write)>), Fault> {
        let write = |(index, write): (usize, &WriteRequest)| {
            let wrong = |said: &str| Fault::invalid(format!("write {index}: {said}"));
            let verb = write.op.ok_or_else(|| wrong("`op` is missing"))?;
            if write.bucket.is_some() {
                return Err(wrong("all writes of a batch have its bucket"));
            }
            match write.write(verb, now) {
                Ok((_, key, write)) => Ok((key, write)),
                Err(fault) => Err(wrong(fault.message())),
            }
        };
        let writes = self
            .writes
            .iter()
            .enumerate()
            .map(write)
            .collect::<Result<_, _>>()?;
        Ok((bucket(self.bucket.as_deref())?, writes))
    }
}

impl HubRequest for BatchRequest {
    fn check(&self) -> Result<(), Fault> {
        let count = self.writes.len();
        let kind = match count {
            0 => ErrorKind::Invalid,
            1..=BATCH_WRITES_MAX => return Ok(()),
            _ => ErrorKind::TooLarge,
        };
        let message = format!("the batch has {count} writes: 1 to {BATCH_WRITES_MAX} are possible");
        Err(Fault::error(kind, message))
    }
}

/// `keys.scan`: keys in order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct ScanRequest {
    /// The bucket; `default` if not said.
    pub bucket: Option<String>,
    /// Only keys that begin so; all if not said.
    pub prefix: Option<String>,
    /// The prefix in base64, if it is no text.
    pub prefix_base64: Option<String>,
    /// Only keys after this one: the `next` of the page before.
    pub after: Option<String>,
    /// The same in base64: the `next_base64` of the page before.
    pub after_base64: Option<String>,
    /// Most keys, 1 to [`SCAN_ENTRIES_MAX`], which is also the default.
    pub limit: Option<usize>,
    /// Whether values are wanted too.
    pub values: bool,
}

impl ScanRequest {
    /// The bucket and what to look for.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn scan(&self) -> Result<(Bucket, Scan), Fault> {
        let limit = self.limit.unwrap_or(SCAN_ENTRIES_MAX);
        if !(1..=SCAN_ENTRIES_MAX).contains(&limit) {
            return Err(Fault::invalid(format!(
                "`limit` is 1 to {SCAN_ENTRIES_MAX}: ask for the next page with `after`"
            )));
        }
        let after = bytes("after", self.after.as_deref(), self.after_base64.as_deref())?;
        let scan = Scan {
            prefix: bytes("prefix", self.prefix.as_deref(), self.prefix_base64.as_deref())?,
            after: if after.is_empty() {
                None
            } else {
                Some(Key::new(after).map_err(fault)?)
            },
            limit,
            values: self.values,
        };
        Ok((bucket(self.bucket.as_deref())?, scan))
    }
}

impl HubRequest for ScanRequest {
    fn check(&self) -> Result<(), Fault> {
        self.scan().map(drop)
    }
}

/// `keys.watch`: changes, as they happen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct WatchRequest {
    /// The bucket; `default` if not said.
    pub bucket: Option<String>,
    /// Only keys that begin so; all if not said.
    pub prefix: Option<String>,
    /// The prefix in base64, if it is no text.
    pub prefix_base64: Option<String>,
    /// Begin after that write; without, with what there is.
    pub after_revision: Option<u64>,
    /// Begin with what changes from now on.
    pub news_only: bool,
}

impl WatchRequest {
    /// The bucket, the prefix, and where to begin.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn watch(&self) -> Result<(Bucket, Bytes, WatchFrom), Fault> {
        let from = match (self.after_revision, self.news_only) {
            (Some(_), true) => {
                return Err(Fault::invalid("give `after_revision` or `news_only`, not both"));
            }
            (Some(revision), false) => WatchFrom::After(Revision(revision)),
            (None, true) => WatchFrom::Now,
            (None, false) => WatchFrom::Everything,
        };
        let prefix = bytes("prefix", self.prefix.as_deref(), self.prefix_base64.as_deref())?;
        Ok((bucket(self.bucket.as_deref())?, prefix, from))
    }
}

impl HubRequest for WatchRequest {
    fn check(&self) -> Result<(), Fault> {
        self.watch().map(drop)
    }
}

fn bucket(name: Option<&str>) -> Result<Bucket, Fault> {
    match name {
        None => Ok(Bucket::default()),
        Some(name) => Bucket::new(ByteString::from(name)).map_err(fault),
    }
}

/// A field that is text, or base64 under its other name. Neither is empty.
fn bytes(field: &str, text: Option<&str>, base64: Option<&str>) -> Result<Bytes, Fault> {
    match (text, base64) {
        (Some(_), Some(_)) => Err(Fault::invalid(format!(
            "give `{field}` or `{field}_base64`, not both"
        ))),
        (Some(text), None) => Ok(Bytes::copy_from_slice(text.as_bytes())),
        (None, Some(base64)) => STANDARD
            .decode(base64)
            .map(Bytes::from)
            .map_err(|error| Fault::invalid(format!("`{field}_base64` is no standard base64: {error}"))),
        (None, None) => Ok(Bytes::new()),
    }
}

#[cfg(test)]
mod tests;
