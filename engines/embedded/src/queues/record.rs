//! How jobs look on the disk.
//!
//! A job is three records under its id, in the queue's name: its *body*, written once; its *state*, small, written again
//! whenever it changes; and the *reason* for which its last attempt failed, if it did. A dedupe id is one record under
//! its hash. All numbers are big-endian. Each record begins with the version of its format.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use switchboard_engine::queues::{HEADER_BYTES_MAX, HEADERS_MAX, Job, JobId, JobState, Push};
use switchboard_engine::{EngineError, QueueName, Result, Timestamp};

/// The version of what this writes.
const VERSION: u8 = 1;

/// Bytes of a body before its headers: version, priority, attempts, moment, number of headers.
const BODY_HEAD_BYTES: usize = 1 + 1 + 4 + 8 + 1;

/// Bytes of a state.
const STATE_BYTES: usize = 1 + 1 + 1 + 4 + 4 + 8 + 8 + 1;

/// Bytes of a dedupe record.
const DEDUPE_BYTES: usize = 1 + 8 + 8;

// Lengths of header names and values are written with two bytes, their number with one.
const _: () = assert!(HEADER_BYTES_MAX <= u16::MAX as usize && HEADERS_MAX <= u8::MAX as usize);

/// What kind of record it is: the first byte of its key, so that opening reads the small ones only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The first id that was never used, of all queues.
    Ids = 0,
    /// See [`StateRecord`].
    State = 1,
    /// See [`DedupeRecord`].
    Dedupe = 2,
    /// See [`encode_body`].
    Body = 3,
    /// Text.
    Reason = 4,
}

/// Writes the key of a record to the end of a buffer: its kind, the queue's name, a zero, then the id of the job or the
/// hash of the dedupe id.
pub(crate) fn write_key(key: &mut Vec<u8>, kind: Kind, queue: &str, id: u128) {
    key.push(kind as u8);
    key.extend_from_slice(queue.as_bytes());
    key.push(0);
    match u64::try_from(id) {
        Ok(job) if kind != Kind::Dedupe => key.extend_from_slice(&job.to_be_bytes()),
        _ => key.extend_from_slice(&id.to_be_bytes()),
    }
}

/// The key of a record.
pub(crate) fn key(kind: Kind, queue: &str, id: u128) -> Vec<u8> {
    let mut key = Vec::with_capacity(2 + queue.len() + size_of::<u128>());
    write_key(&mut key, kind, queue, id);
    key
}

/// The queue and the id of a key of that kind; `None` if it is none.
pub(crate) fn parse_key(kind: Kind, key: &[u8]) -> Option<(QueueName, u128)> {
    let (first, rest) = key.split_first()?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let (name, id) = rest.split_at(end);
    let id = id.get(1..)?;
    let id = match kind {
        Kind::Dedupe => u128::from_be_bytes(id.try_into().ok()?),
        _ => u64::from_be_bytes(id.try_into().ok()?).into(),
    };
    let name = QueueName::new(std::str::from_utf8(name).ok()?.to_owned()).ok()?;
    (*first == kind as u8).then_some((name, id))
}

/// Where records of one queue go: their kind; the id of the job, or the hash of the dedupe id; what they say, or that
/// they are gone.
pub(crate) type Sink<'a> = dyn FnMut(Kind, u128, Option<&[u8]>) + 'a;

/// What a job's state is on the disk. Moments are by the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateRecord {
    pub(crate) state: JobState,
    pub(crate) priority: u8,
    pub(crate) attempts: u32,
    pub(crate) attempts_max: u32,
    /// When the delay or lease ends; of no meaning in other states.
    pub(crate) until: Timestamp,
    /// Of the lease; of no meaning in other states.
    pub(crate) token: u64,
    /// Whether there is a reason beside it.
    pub(crate) reason: bool,
}

/// What is remembered of a push with a dedupe id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DedupeRecord {
    /// The job it made.
    pub(crate) job: u64,
    /// When it is forgotten.
    pub(crate) until: Timestamp,
}

/// A job as it was pushed, without its id. The caller has checked its bounds.
pub(crate) fn encode_body(push: &Push, pushed: Timestamp) -> Bytes {
    let header_bytes: usize = push
        .headers
        .iter()
        .map(|(name, value)| 4 + name.len() + value.len())
        .sum();
    let mut body = BytesMut::with_capacity(BODY_HEAD_BYTES + header_bytes + push.payload.len());
    body.put_u8(VERSION);
    body.put_u8(push.priority);
    body.put_u32(push.attempts_max);
    body.put_u64(pushed.as_millis());
    body.put_u8(u8::try_from(push.headers.len()).unwrap_or(u8::MAX));
    for (name, value) in &push.headers {
        for text in [name, value] {
            body.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
            body.put_slice(text.as_bytes());
        }
    }
    body.put_slice(&push.payload);
    body.freeze()
}

/// What [`encode_body`] made; payload and headers are slices of it.
///
/// # Errors
/// Damaged.
pub(crate) fn decode_body(id: u64, mut body: Bytes) -> Result<Job> {
    let damaged = || EngineError::Damaged(format!("the body of job {id}"));
    let head = BODY_HEAD_BYTES;
    if body.len() < head || body.get_u8() != VERSION {
        return Err(damaged());
    }
    let priority = body.get_u8();
    let attempts_max = body.get_u32();
    let pushed = Timestamp::from_millis(body.get_u64());
    let headers = (0..body.get_u8())
        .map(|_| Some((take_text(&mut body)?, take_text(&mut body)?)))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(damaged)?;
    Ok(Job {
        id: JobId(id),
        payload: body,
        headers,
        priority,
        attempts_max,
        pushed,
    })
}

fn take_text(from: &mut Bytes) -> Option<ByteString> {
    if from.len() < 2 {
        return None;
    }
    let length = usize::from(from.get_u16());
    if from.len() < length {
        return None;
    }
    ByteString::try_from(from.split_to(length)).ok()
}

impl StateRecord {
    pub(crate) fn encode(self) -> [u8; STATE_BYTES] {
        let mut record = [0; STATE_BYTES];
        let mut rest = record.as_mut_slice();
        rest.put_u8(VERSION);
        rest.put_u8(match self.state {
            JobState::Ready => 0,
            JobState::Delayed => 1,
            JobState::Reserved => 2,
            JobState::Dead => 3,
        });
        rest.put_u8(self.priority);
        rest.put_u32(self.attempts);
        rest.put_u32(self.attempts_max);
        rest.put_u64(self.until.as_millis());
        rest.put_u64(self.token);
        rest.put_u8(u8::from(self.reason));
        record
    }

    /// `None` when it is damaged.
    pub(crate) fn decode(mut record: &[u8]) -> Option<Self> {
        if record.len() != STATE_BYTES || record.get_u8() != VERSION {
            return None;
        }
        let state = match record.get_u8() {
            0 => JobState::Ready,
            1 => JobState::Delayed,
            2 => JobState::Reserved,
            3 => JobState::Dead,
            _ => return None,
        };
        Some(Self {
            state,
            priority: record.get_u8(),
            attempts: record.get_u32(),
            attempts_max: record.get_u32(),
            until: Timestamp::from_millis(record.get_u64()),
            token: record.get_u64(),
            reason: record.get_u8() != 0,
        })
    }
}

impl DedupeRecord {
    pub(crate) fn encode(self) -> [u8; DEDUPE_BYTES] {
        let mut record = [0; DEDUPE_BYTES];
        let mut rest = record.as_mut_slice();
        rest.put_u8(VERSION);
        rest.put_u64(self.job);
        rest.put_u64(self.until.as_millis());
        record
    }

    /// `None` when it is damaged.
    pub(crate) fn decode(mut record: &[u8]) -> Option<Self> {
        if record.len() != DEDUPE_BYTES || record.get_u8() != VERSION {
            return None;
        }
        Some(Self {
            job: record.get_u64(),
            until: Timestamp::from_millis(record.get_u64()),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn push() -> impl Strategy<Value = Push> {
        let text = || ".{0,20}".prop_map(ByteString::from);
        (
            proptest::collection::vec(any::<u8>(), 0..100),
            proptest::collection::vec((text(), text()), 0..5),
            0..=9_u8,
            1..1_000_000_u32,
        )
            .prop_map(|(payload, headers, priority, attempts_max)| Push {
                headers,
                priority,
                attempts_max,
                ..Push::new(payload)
            })
    }

    proptest! {
        #[test]
        fn a_body_reads_back_as_it_was_pushed(push in push(), pushed: u64, id: u64) {
            let pushed = Timestamp::from_millis(pushed);
            let job = decode_body(id, encode_body(&push, pushed)).unwrap();
            prop_assert_eq!(job, Job {
                id: JobId(id),
                payload: push.payload,
                headers: push.headers,
                priority: push.priority,
                attempts_max: push.attempts_max,
                pushed,
            });
        }

        #[test]
        fn damaged_records_are_refused_or_read_but_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode_body(1, bytes.clone().into());
            let _ = StateRecord::decode(&bytes);
            let _ = DedupeRecord::decode(&bytes);
        }

        #[test]
        fn a_state_reads_back(
            state in prop_oneof![
                Just(JobState::Ready), Just(JobState::Delayed), Just(JobState::Reserved), Just(JobState::Dead)
            ],
            priority: u8, attempts: u32, attempts_max: u32, until: u64, token: u64, reason: bool,
        ) {
            let until = Timestamp::from_millis(until);
            let record = StateRecord { state, priority, attempts, attempts_max, until, token, reason };
            prop_assert_eq!(StateRecord::decode(&record.encode()), Some(record));
        }
    }

    #[test]
    fn keys_read_back_and_others_are_refused() {
        let queue = QueueName::new("a.b").unwrap();
        for (kind, id) in [
            (Kind::State, 7),
            (Kind::Dedupe, u128::MAX),
            (Kind::Dedupe, 7),
            (Kind::Body, u64::MAX.into()),
        ] {
            let key = key(kind, queue.as_str(), id);
            assert_eq!(parse_key(kind, &key), Some((queue.clone(), id)));
            assert_eq!(parse_key(Kind::Reason, &key), None);
            for length in 0..key.len() {
                assert_eq!(parse_key(kind, &key[..length]), None);
            }
        }
        assert_eq!(parse_key(Kind::State, &key(Kind::State, "a b", 7)), None);
    }

    #[test]
    fn cut_and_lengthened_records_are_refused() {
        let body = encode_body(
            &Push {
                headers: vec![("a".into(), "b".into())],
                ..Push::new("")
            },
            Timestamp::default(),
        );
        for length in 0..body.len() {
            assert!(decode_body(1, body.slice(..length)).is_err(), "{length}");
        }
        let dedupe = DedupeRecord {
            job: 7,
            until: Timestamp::from_millis(9),
        };
        let record = dedupe.encode();
        assert_eq!(DedupeRecord::decode(&record), Some(dedupe));
        assert_eq!(DedupeRecord::decode(&record[1..]), None);
        assert_eq!(StateRecord::decode(&[VERSION; STATE_BYTES + 1]), None);
    }
}
