//! Reads: the latest messages of some subjects, all at one moment.

use std::time::Duration;

use async_nats::Message;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use bytes::Bytes;
use serde_json::json;
use switchboard_engine::Result;

use super::commit::{BATCH_REST, RECORD, WRITE};
use super::{ATTEMPT_TIME_MAX, Link, Patience, Trouble};
use crate::names::Stream;

/// Most bytes of messages in one answer. What is asked for has to be split where more would come.
pub(crate) const READ_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Most subjects that can be named in one request, by number and by bytes: the server gives up to 1024 messages, and
/// takes requests of up to 1 MiB out of the box.
pub(crate) const SUBJECTS_MAX: usize = 1_000;
pub(crate) const SUBJECT_BYTES_MAX: usize = 256 * 1024;

/// Tries that found only copies that are behind, after which their leader is asked how far it is.
const BEHIND_TRIES: u32 = 20;

/// How long to wait for a copy to catch up before it is asked again.
const BEHIND_PAUSE: Duration = Duration::from_millis(2);

/// A message that is stored.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) subject: String,
    pub(crate) sequence: u64,
    /// What we said of it; empty where the server made it.
    pub(crate) record: String,
    /// Of which write it is.
    pub(crate) write: String,
    /// How many messages of its batch come after it.
    pub(crate) rest: u64,
    pub(crate) body: Bytes,
}

/// What there is.
#[derive(Debug)]
pub(crate) enum Read {
    /// The latest message of each subject, in the order of their sequences.
    All(Vec<Stored>),
    /// More than one answer holds.
    TooMany,
}

enum Copy {
    Read(Read),
    /// It has not all that we know to be there.
    Behind,
}

impl Link {
    /// The latest messages of all subjects that match one of the filters.
    ///
    /// # Errors
    /// Unavailable.
    pub(crate) async fn latest(&self, stream: Stream, filters: &[String]) -> Result<Read> {
        let format = self.names.format(stream);
        // That one is always there, so that there always is an answer, which tells how far the copy is.
        let subjects: Vec<&str> = filters
            .iter()
            .map(String::as_str)
            .chain([format.as_str()])
            .collect();
        let request = Bytes::from(json!({ "multi_last": subjects, "max_bytes": READ_BYTES_MAX }).to_string());
        let mut patience = Patience::new(self);
        let mut behind = 0;
        loop {
            match self.try_latest(stream, &format, request.clone()).await {
                Ok(Copy::Read(read)) => {
                    self.status.well();
                    return Ok(read);
                }
                Ok(Copy::Behind) if behind < BEHIND_TRIES => {
                    behind += 1;
                    tokio::time::sleep(BEHIND_PAUSE * behind).await;
                }
                Ok(Copy::Behind) => {
                    self.forget_what_is_lost(stream).await?;
                    let trouble = Trouble::NotDone("no copy of the data has caught up".to_owned());
                    patience.rest(trouble).await?;
                }
                Err(trouble) => patience.rest(trouble).await?,
            }
        }
    }

    async fn try_latest(&self, stream: Stream, format: &str, request: Bytes) -> Result<Copy, Trouble> {
        let known = self.seen(stream);
        let mut inbox = self.inboxes.inbox();
        self.check_connected()?;
        let subject = format!("$JS.API.DIRECT.GET.{}", self.names.stream(stream));
        self.client
            .publish_with_reply(subject, inbox.subject.clone(), request)
            .await
            .map_err(|error| Trouble::NotDone(error.to_string()))?;
        let mut stored = Vec::new();
        let mut last_of_batches = 0;
        loop {
            let message = tokio::time::timeout(ATTEMPT_TIME_MAX, inbox.messages.recv());
            let Ok(Some(message)) = message.await else {
                return Err(Trouble::NotDone(
                    "the NATS cluster does not answer a read".to_owned(),
                ));
            };
            let Some(status) = message.status else {
                let Some(one) = stored_of(&message) else { continue };
                last_of_batches = last_of_batches.max(one.sequence + one.rest);
                if one.subject != format {
                    stored.push(one);
                }
                continue;
            };
            return match status.as_u16() {
                204 => {
                    let up_to = header(&message, "Nats-UpTo-Sequence");
                    if up_to < known || up_to < last_of_batches {
                        return Ok(Copy::Behind);
                    }
                    self.see(stream, up_to);
                    if header(&message, "Nats-Num-Pending") > 0 {
                        return Ok(Copy::Read(Read::TooMany));
                    }
                    Ok(Copy::Read(Read::All(stored)))
                }
                413 => Ok(Copy::Read(Read::TooMany)),
                503 => Err(Trouble::NotDone(
                    "no server of the NATS cluster has this stream".to_owned(),
                )),
                // 404: a message was replaced while it was read, or the stream is new.
                _ => Err(Trouble::NotDone(message.description.unwrap_or_default())),
            };
        }
    }

    /// The message of that sequence, wherever it is; none if there is none (any more).
    ///
    /// # Errors
    /// Unavailable.
    pub(crate) async fn at(&self, stream: Stream, sequence: u64) -> Result<Option<Stored>> {
        let name = self.names.stream(stream);
        let direct = format!("$JS.API.DIRECT.GET.{name}");
        let request = Bytes::from(json!({ "seq": sequence }).to_string());
        let mut patience = Patience::new(self);
        loop {
            match self.ask(direct.clone(), None, request.clone()).await {
                Ok(message) if message.status.is_none() => return Ok(stored_of(&message)),
                // Perhaps this copy is behind; the leader is not.
                Ok(_) => match self.at_leader(stream, sequence).await {
                    Ok(found) => return Ok(found),
                    Err(trouble) => patience.rest(trouble).await?,
                },
                Err(trouble) => patience.rest(trouble).await?,
            }
        }
    }

    /// One message that matches a filter, the first or the last as `which` says.
    ///
    /// # Errors
    /// Unavailable.
    pub(crate) async fn one_of(&self, stream: Stream, which: &str, filter: &str) -> Result<Option<Stored>> {
        let direct = format!("$JS.API.DIRECT.GET.{}", self.names.stream(stream));
        let request = Bytes::from(json!({ which: filter }).to_string());
        let mut patience = Patience::new(self);
        loop {
            match self.ask(direct.clone(), None, request.clone()).await {
                Ok(message) => return Ok(stored_of(&message)),
                Err(trouble) => patience.rest(trouble).await?,
            }
        }
    }

    async fn at_leader(&self, stream: Stream, sequence: u64) -> Result<Option<Stored>, Trouble> {
        if self.replicas == 1 {
            return Ok(None);
        }
        let stream = self
            .js
            .get_stream_no_info(self.names.stream(stream))
            .await
            .map_err(|error| Trouble::NotDone(error.to_string()))?;
        match stream.get_raw_message(sequence).await {
            Ok(message) => {
                let word = |name| {
                    let value = message.headers.get(name);
                    value.map_or(String::new(), |value| value.as_str().to_owned())
                };
                Ok(Some(Stored {
                    record: word(RECORD),
                    write: word(WRITE),
                    rest: word(BATCH_REST).parse().unwrap_or(0),
                    subject: message.subject.to_string(),
                    sequence: message.sequence,
                    body: message.payload,
                }))
            }
            Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => Ok(None),
            Err(error) => Err(Trouble::NotDone(error.to_string())),
        }
    }

    /// Makes later reads see all that any hub has written until now.
    ///
    /// # Errors
    /// Unavailable.
    pub(crate) async fn catch_up(&self, stream: Stream) -> Result<u64> {
        let last = self.last_sequence(stream).await?;
        self.see(stream, last);
        Ok(last)
    }

    /// If the leader itself has less than we have seen, then that is lost: a cluster was set up anew, or from an older
    /// copy. Waiting for it would never end.
    async fn forget_what_is_lost(&self, stream: Stream) -> Result<()> {
        let known = self.seen(stream);
        let last = self.last_sequence(stream).await?;
        if last < known {
            tracing::error!(
                "the NATS cluster has lost what it had acknowledged: {known} of {stream:?}, it has {last}"
            );
            let seen = &self.seen[stream as usize];
            let _ = seen.compare_exchange(
                known,
                last,
                std::sync::atomic::Ordering::AcqRel,
                std::sync::atomic::Ordering::Acquire,
            );
        }
        Ok(())
    }
}

/// A number in a header; 0 where there is none.
fn header(message: &Message, name: &'static str) -> u64 {
    text(message, name).parse().unwrap_or(0)
}

fn text<'a>(message: &'a Message, name: &'static str) -> &'a str {
    let headers = message.headers.as_ref();
    headers
        .and_then(|headers| headers.get(name))
        .map_or("", |value| value.as_str())
}

fn stored_of(message: &Message) -> Option<Stored> {
    let sequence = header(message, "Nats-Sequence");
    let subject = text(message, "Nats-Subject").to_owned();
    (sequence > 0).then(|| stored(sequence, subject, message))
}

/// A message that a consumer brought.
pub(crate) fn stored_of_delivery(sequence: u64, message: &Message) -> Stored {
    stored(sequence, message.subject.to_string(), message)
}

fn stored(sequence: u64, subject: String, message: &Message) -> Stored {
    Stored {
        subject,
        sequence,
        record: text(message, RECORD).to_owned(),
        write: text(message, WRITE).to_owned(),
        rest: header(message, BATCH_REST),
        body: message.payload.clone(),
    }
}
