//! What the frames of an export hold.
//!
//! | kind | payload |
//! | --- | --- |
//! | 1 bucket of keys | its name; the keys that follow are in it |
//! | 2 key | when it expires (u64, milliseconds since 1970; 0 if never), length of the key (u32), key, value |
//! | 3 queue | its name; the jobs that follow are in it |
//! | 4 job | see [`encode_job`] |
//! | 5 blob | its bucket, its name, its type (empty if not said); the parts that follow are its content |
//! | 6 part of a blob | bytes |
//! | 7 end of a blob | SHA-256 of its content |
//! | 9 structure | kind (u8: 1 hash, 2 list, 3 set, 4 sorted set), then as a key; the value is its encoding, or the end of it |
//! | 10 part of a structure | bytes, at least one: the encoding of the structure that follows begins with them |
//! | 8 end | how many keys, jobs and blobs (u64 each) |
//!
//! A text is its length (u32) and its UTF-8.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::Totals;
use crate::queues::{Job, JobId, JobState, Peeked};
use crate::structures::Structure;
use crate::{Bucket, Key, Kind, QueueName, Timestamp};

pub(super) const BUCKET: u8 = 1;
pub(super) const KEY: u8 = 2;
pub(super) const QUEUE: u8 = 3;
pub(super) const JOB: u8 = 4;
pub(super) const BLOB: u8 = 5;
pub(super) const PART: u8 = 6;
pub(super) const BLOB_END: u8 = 7;
pub(super) const END: u8 = 8;
pub(super) const STRUCTURE: u8 = 9;
pub(super) const STRUCTURE_PART: u8 = 10;

/// Most bytes of an encoding in one record that is written; what is read joins them.
pub(super) const STRUCTURE_PART_BYTES: usize = 16 * 1024 * 1024;

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    Bucket(Bucket),
    Key {
        key: Key,
        kind: Kind,
        value: Bytes,
        expires: Option<Timestamp>,
    },
    StructurePart(Bytes),
    Queue(QueueName),
    Job(Box<Peeked>),
    Blob {
        bucket: Bucket,
        name: ByteString,
        content_type: Option<ByteString>,
    },
    Part(Bytes),
    BlobEnd([u8; 32]),
    End(Totals),
}

/// Reads a record; `begun` is what the encoding of a structure begins with. `None` if it is none, though its checksum
/// holds: it was written wrongly.
pub(super) fn decode(kind: u8, mut payload: Bytes, mut begun: BytesMut) -> Option<Record> {
    let record = match kind {
        BUCKET => Record::Bucket(Bucket::new(text(&mut payload)?).ok()?),
        KEY | STRUCTURE => {
            let kind = match kind {
                KEY => Kind::Plain,
                _ => Kind::of_number(payload.try_get_u8().ok()?).filter(|kind| *kind != Kind::Plain)?,
            };
            let expires = payload.try_get_u64_le().ok()?;
            let key = Key::new(bytes(&mut payload)?).ok()?;
            let mut value = std::mem::take(&mut payload);
            if !begun.is_empty() {
                begun.extend_from_slice(&value);
                value = begun.freeze();
            }
            if kind != Kind::Plain && Structure::decode(kind, &value).ok()?.is_empty() {
                return None;
            }
            Record::Key {
                key,
                kind,
                value,
                expires: (expires > 0).then(|| Timestamp::from_millis(expires)),
            }
        }
        STRUCTURE_PART if payload.is_empty() => return None,
        STRUCTURE_PART => Record::StructurePart(std::mem::take(&mut payload)),
        QUEUE => Record::Queue(QueueName::new(text(&mut payload)?).ok()?),
        JOB => Record::Job(Box::new(decode_job(&mut payload)?)),
        BLOB => {
            let bucket = Bucket::new(text(&mut payload)?).ok()?;
            let name = text(&mut payload)?;
            let content_type = text(&mut payload)?;
            Record::Blob {
                bucket,
                name,
                content_type: (!content_type.is_empty()).then_some(content_type),
            }
        }
        PART => Record::Part(std::mem::take(&mut payload)),
        BLOB_END => {
            let mut sum = [0; 32];
            payload.try_copy_to_slice(&mut sum).ok()?;
            Record::BlobEnd(sum)
        }
        END => Record::End(Totals {
            keys: payload.try_get_u64_le().ok()?,
            jobs: payload.try_get_u64_le().ok()?,
            blobs: payload.try_get_u64_le().ok()?,
            ..Totals::default()
        }),
        _ => return None,
    };
    payload.is_empty().then_some(record)
}

pub(super) fn encode_texts(texts: &[&str]) -> Bytes {
    let mut payload = BytesMut::new();
    texts
        .iter()
        .for_each(|text| put_bytes(&mut payload, text.as_bytes()));
    payload.freeze()
}

/// What stands before the value of a key.
pub(super) fn encode_key(key: &Key, kind: Kind, expires: Option<Timestamp>) -> Bytes {
    let mut payload = BytesMut::with_capacity(key.as_bytes().len() + 13);
    if kind != Kind::Plain {
        payload.put_u8(kind.number());
    }
    payload.put_u64_le(expires.map_or(0, Timestamp::as_millis));
    put_bytes(&mut payload, key.as_ref());
    payload.freeze()
}

pub(super) fn encode_end(totals: &Totals) -> Bytes {
    let mut payload = BytesMut::new();
    for count in [totals.keys, totals.jobs, totals.blobs] {
        payload.put_u64_le(count);
    }
    payload.freeze()
}

/// State (u8: 0 ready, 1 delayed, 2 reserved, 3 dead), priority (u8), most attempts and attempts so far (u32 each),
/// when it was pushed and until when it waits (u64 each, milliseconds since 1970, 0 for not), the last reason (text),
/// the number of headers (u32), name and value (texts) for each, the payload.
pub(super) fn encode_job(peeked: &Peeked) -> Bytes {
    let Peeked {
        job,
        state,
        attempts,
        until,
        reason,
    } = peeked;
    let mut payload = BytesMut::with_capacity(job.payload.len() + 64);
    payload.put_u8(match state {
        JobState::Ready => 0,
        JobState::Delayed => 1,
        JobState::Reserved => 2,
        JobState::Dead => 3,
    });
    payload.put_u8(job.priority);
    payload.put_u32_le(job.attempts_max);
    payload.put_u32_le(*attempts);
    payload.put_u64_le(job.pushed.as_millis());
    payload.put_u64_le(until.map_or(0, Timestamp::as_millis));
    put_bytes(&mut payload, reason.as_deref().unwrap_or_default().as_bytes());
    payload.put_u32_le(length(job.headers.len()));
    for text in job.headers.iter().flat_map(|(name, value)| [name, value]) {
        put_bytes(&mut payload, text.as_bytes());
    }
    payload.put_slice(&job.payload);
    payload.freeze()
}

fn decode_job(payload: &mut Bytes) -> Option<Peeked> {
    let state = match payload.try_get_u8().ok()? {
        0 => JobState::Ready,
        1 => JobState::Delayed,
        2 => JobState::Reserved,
        3 => JobState::Dead,
        _ => return None,
    };
    let priority = payload.try_get_u8().ok()?;
    let attempts_max = payload.try_get_u32_le().ok()?;
    let attempts = payload.try_get_u32_le().ok()?;
    let pushed = Timestamp::from_millis(payload.try_get_u64_le().ok()?);
    let until = payload.try_get_u64_le().ok()?;
    let reason = text(payload)?;
    let count = payload.try_get_u32_le().ok()?;
    let mut headers = Vec::new();
    for _ in 0..count {
        let name = text(payload)?;
        headers.push((name, text(payload)?));
    }
    let job = Job {
        id: JobId(0),
        payload: std::mem::take(payload),
        headers,
        priority,
        attempts_max,
        pushed,
    };
    Some(Peeked {
        job,
        state,
        attempts,
        until: (until > 0).then(|| Timestamp::from_millis(until)),
        reason: (!reason.is_empty()).then_some(reason),
    })
}

fn put_bytes(payload: &mut BytesMut, bytes: &[u8]) {
    payload.put_u32_le(length(bytes.len()));
    payload.put_slice(bytes);
}

/// The bounds of everything here are far below this type's, and those of frames below them.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn bytes(payload: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(payload.try_get_u32_le().ok()?).ok()?;
    (length <= payload.len()).then(|| payload.split_to(length))
}

fn text(payload: &mut Bytes) -> Option<ByteString> {
    ByteString::try_from(bytes(payload)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_job() -> Peeked {
        Peeked {
            job: Job {
                id: JobId(0),
                payload: "do it".into(),
                headers: vec![("a".into(), "b".into()), ("c".into(), "".into())],
                priority: 9,
                attempts_max: 3,
                pushed: Timestamp::from_millis(5),
            },
            state: JobState::Delayed,
            attempts: 2,
            until: Some(Timestamp::from_millis(8)),
            reason: Some("no".into()),
        }
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let bucket = Bucket::default();
        let key = Key::new(&b"\0\xff"[..]).unwrap();
        let expires = Some(Timestamp::from_millis(7));
        let whole = |kind, value: &'static [u8]| -> Bytes {
            [encode_key(&key, kind, expires), Bytes::from_static(value)]
                .concat()
                .into()
        };
        let list = b"\x02\x01a";
        let totals = Totals {
            keys: 1,
            jobs: 2,
            blobs: 3,
            ..Totals::default()
        };
        for (kind, payload, record) in [
            (BUCKET, encode_texts(&["default"]), Record::Bucket(bucket.clone())),
            (
                KEY,
                whole(Kind::Plain, b"value"),
                Record::Key {
                    key: key.clone(),
                    kind: Kind::Plain,
                    value: "value".into(),
                    expires,
                },
            ),
            (
                STRUCTURE,
                whole(Kind::List, list),
                Record::Key {
                    key: key.clone(),
                    kind: Kind::List,
                    value: Bytes::from_static(list),
                    expires,
                },
            ),
            (
                STRUCTURE_PART,
                Bytes::from_static(list),
                Record::StructurePart(Bytes::from_static(list)),
            ),
            (JOB, encode_job(&a_job()), Record::Job(Box::new(a_job()))),
            (
                BLOB,
                encode_texts(&["default", "näme", ""]),
                Record::Blob {
                    bucket,
                    name: "näme".into(),
                    content_type: None,
                },
            ),
            (END, encode_end(&totals), Record::End(totals)),
        ] {
            for cut in 0..payload.len() {
                let cut = decode(kind, payload.slice(..cut), BytesMut::new());
                let may_be_shorter = matches!(
                    cut,
                    Some(Record::Key { .. } | Record::Job(_) | Record::StructurePart(_))
                );
                assert!(cut.is_none() || may_be_shorter);
            }
            assert_eq!(decode(kind, payload, BytesMut::new()), Some(record));
        }
    }

    #[test]
    fn a_structure_that_came_in_parts_is_joined() {
        let payload = Bytes::from_static(b"\x02\0\0\0\0\0\0\0\0\x01\0\0\0k\x01a");
        assert_eq!(decode(STRUCTURE, payload.clone(), BytesMut::new()), None);
        let Some(Record::Key { value, .. }) = decode(STRUCTURE, payload, BytesMut::from(&b"\x02"[..])) else {
            panic!("it is whole");
        };
        assert_eq!(value, &b"\x02\x01a"[..]);
    }

    #[test]
    fn what_is_none_is_told() {
        for (kind, payload) in [
            (0, &b""[..]),
            (99, b""),
            (BUCKET, b"\x01\0\0\0/"),
            (BUCKET, b"\x01\0\0\0aa"),
            (BLOB_END, b"short"),
            (STRUCTURE_PART, b""),
            (JOB, b"\x09"),
            (KEY, b"\0\0\0\0\0\0\0\0\xff\xff\xff\xffx"),
            // A plain value, one of no kind, an empty list, one that is none.
            (STRUCTURE, b"\0\0\0\0\0\0\0\0\0\x01\0\0\0k\x02\x01a"),
            (STRUCTURE, b"\x05\0\0\0\0\0\0\0\0\x01\0\0\0k\x02\x01a"),
            (STRUCTURE, b"\x02\0\0\0\0\0\0\0\0\x01\0\0\0k"),
            (STRUCTURE, b"\x02\0\0\0\0\0\0\0\0\x01\0\0\0k\x02\x02a"),
        ] {
            let decoded = decode(kind, Bytes::from_static(payload), BytesMut::new());
            assert_eq!(decoded, None, "{kind}");
        }
    }
}
