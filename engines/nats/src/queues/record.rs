//! What the messages in the stream of queues say.
//!
//! A job is a message that is not changed until it is gone. Where it stands is said by another one; without one it is
//! as it was pushed. Both headers `Switchboard` are fields with spaces between them; times are ms since 1970.

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use switchboard_engine::Timestamp;
use switchboard_engine::queues::{Job, JobId, Push};

use crate::bus::{escape, unescaped};

/// What is known of a job without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// The last token of its subject.
    pub(super) name: String,
    pub(super) priority: u8,
    pub(super) attempts_max: u32,
    pub(super) pushed: Timestamp,
    /// It is ready at that moment, and in that many ms if the clock was moved.
    pub(super) ready_at: Timestamp,
    pub(super) delay_ms: u64,
}

impl Head {
    pub(super) fn new(name: String, push: &Push, now: Timestamp) -> Self {
        let ready_at = now.after(push.delay);
        Self {
            name,
            priority: push.priority,
            attempts_max: push.attempts_max,
            pushed: now,
            ready_at,
            delay_ms: ready_at.as_millis().saturating_sub(now.as_millis()),
        }
    }

    pub(super) fn record(&self) -> String {
        format!(
            "j {} {} {} {} {}",
            self.priority,
            self.attempts_max,
            self.pushed.as_millis(),
            self.ready_at.as_millis(),
            self.delay_ms
        )
    }

    /// None if the message is not of a job, or is what is left of one.
    pub(super) fn of(subject: &str, record: &str) -> Option<Self> {
        let mut fields = record.strip_prefix("j ")?.split(' ');
        let (_, name) = subject.rsplit_once('.')?;
        Some(Self {
            name: name.to_owned(),
            priority: fields.next()?.parse().ok()?,
            attempts_max: fields.next()?.parse().ok()?,
            pushed: Timestamp::from_millis(fields.next()?.parse().ok()?),
            ready_at: Timestamp::from_millis(fields.next()?.parse().ok()?),
            delay_ms: fields.next()?.parse().ok()?,
        })
    }
}

/// The body of a job: how long its headers are, as JSON; they; its payload.
pub(super) fn body(push: &Push) -> Bytes {
    let headers: Vec<(&str, &str)> = push
        .headers
        .iter()
        .map(|(name, value)| (&name[..], &value[..]))
        .collect();
    // Texts always are JSON.
    let headers = serde_json::to_vec(&headers).unwrap_or_default();
    let mut body = BytesMut::with_capacity(4 + headers.len() + push.payload.len());
    body.put_u32(u32::try_from(headers.len()).unwrap_or(0));
    body.extend_from_slice(&headers);
    body.extend_from_slice(&push.payload);
    body.freeze()
}

/// The job of a body; none where it is not one.
pub(super) fn job(id: JobId, head: &Head, mut body: Bytes) -> Option<Job> {
    let length: [u8; 4] = body.get(..4)?.try_into().ok()?;
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    let headers = body.get(4..length.checked_add(4)?)?;
    let headers: Vec<(String, String)> = serde_json::from_slice(headers).ok()?;
    let payload = body.split_off(length + 4);
    Some(Job {
        id,
        payload,
        headers: headers
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        priority: head.priority,
        attempts_max: head.attempts_max,
        pushed: head.pushed,
    })
}

/// Where a job stands, as a message says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) attempts: u32,
    pub(super) what: What,
    /// Why the last attempt failed.
    pub(super) reason: Option<ByteString>,
}

/// See [`Standing`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// It is ready then; at once if that has passed.
    Waiting(Until),
    /// It is under a lease until then.
    Leased(Until, ByteString),
    Dead,
    /// It was finished, cancelled or purged.
    Gone,
}

/// A moment, and how far away it was when it was set, for when the clock is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Until {
    pub(super) moment: Timestamp,
    pub(super) length_ms: u64,
}

impl Standing {
    pub(super) fn record(&self) -> String {
        let (letter, until, token) = match &self.what {
            What::Waiting(until) => ('w', *until, NOTHING),
            What::Leased(until, token) => ('l', *until, &token[..]),
            What::Dead => ('d', NEVER, NOTHING),
            What::Gone => return "g".to_owned(),
        };
        let reason = self
            .reason
            .as_ref()
            .map_or(NOTHING.to_owned(), |reason| format!("={}", escape(reason)));
        format!(
            "{letter} {} {} {} {token} {reason}",
            self.attempts,
            until.moment.as_millis(),
            until.length_ms
        )
    }

    pub(super) fn of(record: &str) -> Option<Self> {
        let mut fields = record.split(' ');
        let letter = fields.next()?;
        if letter == "g" {
            return Some(Self::gone());
        }
        let attempts = fields.next()?.parse().ok()?;
        let until = Until {
            moment: Timestamp::from_millis(fields.next()?.parse().ok()?),
            length_ms: fields.next()?.parse().ok()?,
        };
        let token = fields.next()?;
        let reason = fields.next()?.strip_prefix('=').and_then(unescaped);
        let what = match letter {
            "w" => What::Waiting(until),
            "l" => What::Leased(until, token.into()),
            "d" => What::Dead,
            _ => return None,
        };
        Some(Self {
            attempts,
            what,
            reason,
        })
    }

    pub(super) fn gone() -> Self {
        Self {
            attempts: 0,
            what: What::Gone,
            reason: None,
        }
    }
}

/// Stands where a field is empty: servers take spaces at the end of a header away.
const NOTHING: &str = "-";

const NEVER: Until = Until {
    moment: Timestamp::from_millis(0),
    length_ms: 0,
};

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn standings_come_back(attempts in any::<u32>(), moment in any::<u64>(), length_ms in any::<u64>(), kind in 0..3, reason in prop::option::of(".{0,20}")) {
            let until = Until { moment: Timestamp::from_millis(moment), length_ms };
            let what = match kind {
                0 => What::Waiting(until),
                1 => What::Leased(until, "0a1b".into()),
                _ => What::Dead,
            };
            let standing = Standing { attempts, what, reason: reason.map(Into::into) };
            prop_assert_eq!(Standing::of(&standing.record()), Some(standing));
        }

        #[test]
        fn jobs_come_back(payload in prop::collection::vec(any::<u8>(), 0..30), name in ".{0,9}", value in ".{0,9}", priority in 0_u8..10) {
            let push = Push {
                headers: vec![(name.into(), value.into())],
                priority,
                delay: Duration::from_millis(7),
                ..Push::new(payload)
            };
            let now = Timestamp::from_millis(1_000);
            let head = Head::new("0f".to_owned(), &push, now);
            prop_assert_eq!(Head::of("p.q.j.queue.0f", &head.record()), Some(head.clone()));
            prop_assert_eq!(head.ready_at, Timestamp::from_millis(1_007));
            let job = job(JobId(1), &head, body(&push)).expect("it is one");
            prop_assert_eq!((job.payload, job.headers, job.priority), (push.payload, push.headers, priority));
        }

        #[test]
        fn what_is_not_ours_does_no_harm(record in ".{0,30}", bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            let _ = Standing::of(&record);
            let _ = Head::of(&record, &record);
            let head = Head::new(String::new(), &Push::new(""), Timestamp::default());
            let _ = job(JobId(1), &head, bytes.into());
        }
    }
}
