//! Writes: one message or an atomic batch of them, on the condition that nobody was quicker.

use async_nats::HeaderMap;
use async_nats::jetstream::ErrorCode;
use bytes::Bytes;
use serde::Deserialize;
use std::time::Duration;
use switchboard_engine::{EngineError, Result};

use super::{Link, Patience, Read, Trouble};
use crate::names::Stream;

/// What we say of a message, in its own words.
pub(crate) const RECORD: &str = "Switchboard";

/// Tells the messages of one write from all others, so that a try of it that was thought lost is recognized.
pub(crate) const WRITE: &str = "Switchboard-Write";

/// How many messages of the same batch come after this one.
pub(crate) const BATCH_REST: &str = "Switchboard-Batch-Rest";

/// Most messages in an atomic batch: the server's `max_batch_size` out of the box.
pub(crate) const BATCH_MESSAGES_MAX: usize = 1_000;

/// The server answers with one of these when a subject has changed: as it stands, and while another change of it is on
/// its way to the other servers.
const CHANGED: [u64; 2] = [10_071, 10_164];

/// A message to be written.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) subject: String,
    /// The sequence that its subject has to have now, 0 for none.
    pub(crate) expected: Option<u64>,
    /// The subject that has to have it, if that is another one.
    pub(crate) about: Option<String>,
    /// Whether an earlier message of the same batch has its subject.
    pub(crate) again: bool,
    pub(crate) record: String,
    /// After so long the server clears it away; it counts in seconds.
    pub(crate) ttl: Option<Duration>,
    pub(crate) body: Bytes,
}

/// What came of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Committed {
    /// It is stored; the sequence is that of its last message, and those before have the numbers before.
    Stored(u64),
    /// Something has changed meanwhile: nothing was stored.
    Conflict,
}

#[derive(Deserialize)]
struct Ack {
    #[serde(default)]
    seq: u64,
    error: Option<ApiError>,
}

#[derive(Deserialize)]
pub(super) struct ApiError {
    #[serde(default)]
    code: u64,
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

impl Link {
    /// Stores messages in one step, or none of them. Tries again after silence, which does no harm where a message has
    /// an expected sequence.
    ///
    /// # Errors
    /// Too large; unavailable.
    pub(crate) async fn commit(&self, stream: Stream, messages: &[Outgoing]) -> Result<Committed> {
        if messages.len() > BATCH_MESSAGES_MAX {
            return Err(EngineError::TooLarge(format!(
                "a batch in a NATS cluster has at most {BATCH_MESSAGES_MAX} messages: this one has {}",
                messages.len()
            )));
        }
        let write = format!("{:016x}", fastrand::u64(..));
        let mut patience = Patience::new(self);
        loop {
            match self.try_commit(messages, &write).await {
                Ok(Committed::Stored(sequence)) => {
                    self.status.well();
                    self.see(stream, sequence);
                    return Ok(Committed::Stored(sequence));
                }
                Ok(Committed::Conflict) if patience.is_unsure() => {
                    return self.landed(stream, messages, &write, &patience).await;
                }
                Ok(Committed::Conflict) => return Ok(Committed::Conflict),
                Err(trouble) => patience.rest(trouble).await?,
            }
        }
    }

    async fn try_commit(&self, messages: &[Outgoing], write: &str) -> Result<Committed, Trouble> {
        let Some((last, before)) = messages.split_last() else {
            return Ok(Committed::Stored(0));
        };
        let mut permit = None;
        let mut headers = headers(last, write, 0);
        if !before.is_empty() {
            self.check_connected()?;
            permit = self.batches.acquire().await.ok();
            let batch = format!("{:032x}", fastrand::u128(..));
            for (number, message) in (1..).zip(before) {
                let mut headers = self::headers(message, write, messages.len() - number);
                in_batch(&mut headers, &batch, number);
                self.client
                    .publish_with_headers(message.subject.clone(), headers, message.body.clone())
                    .await
                    .map_err(|error| match error.kind() {
                        async_nats::client::PublishErrorKind::MaxPayloadExceeded => {
                            Trouble::Error(self.too_large())
                        }
                        _ => Trouble::NotDone(error.to_string()),
                    })?;
            }
            in_batch(&mut headers, &batch, messages.len());
            headers.insert("Nats-Batch-Commit", "1");
        }
        let answer = self
            .ask(last.subject.clone(), Some(headers), last.body.clone())
            .await;
        drop(permit);
        let answer = answer?;
        let ack: Ack = serde_json::from_slice(&answer.payload)
            .map_err(|_| Trouble::Unsure("the NATS cluster answered with something else".to_owned()))?;
        match ack.error {
            None => Ok(Committed::Stored(ack.seq)),
            Some(error) if CHANGED.contains(&error.err_code) => Ok(Committed::Conflict),
            Some(error) => Err(self.trouble_of(error)),
        }
    }

    /// After a conflict that an earlier try of ours may have made: whether it was ours.
    async fn landed(
        &self,
        stream: Stream,
        messages: &[Outgoing],
        write: &str,
        patience: &Patience<'_>,
    ) -> Result<Committed> {
        let unsure = || patience.give_up("a write met with silence, and then with somebody else's");
        let Some(message) = messages.iter().find(|message| message.expected.is_some()) else {
            return Err(unsure());
        };
        self.catch_up(stream).await?;
        let Read::All(stored) = self
            .latest(stream, std::slice::from_ref(&message.subject))
            .await?
        else {
            return Err(unsure());
        };
        match stored.first() {
            Some(stored) if stored.write == write => {
                let last = stored.sequence + stored.rest;
                self.see(stream, last);
                Ok(Committed::Stored(last))
            }
            _ => Err(unsure()),
        }
    }

    /// What an error of JetStream means for us.
    pub(super) fn trouble_of(&self, error: ApiError) -> Trouble {
        let ApiError {
            code,
            err_code,
            description,
        } = error;
        trouble(code, err_code, description)
    }
}

/// What an error of JetStream means for us. The numbers are those of the server's `errors.json`.
pub(super) fn trouble(code: u64, err_code: u64, description: String) -> Trouble {
    match (code, err_code) {
        // A message is larger than its stream allows.
        (_, 10_054) => Trouble::Error(EngineError::TooLarge(description)),
        // The account or the disk is full.
        (_, 10_002 | 10_023 | 10_028 | 10_047 | 10_076 | 10_077) => Trouble::Error(EngineError::unavailable(
            Duration::from_secs(10),
            format!("the NATS cluster is full ({description}); nothing was changed"),
        )),
        // A server by itself keeps one copy.
        (_, 10_074) => Trouble::Error(EngineError::Invalid(format!(
            "more than one replica takes a cluster of NATS servers: {description}"
        ))),
        // Too few servers for the copies: more may be about to come.
        (_, 10_005) => Trouble::NotDone(format!("the NATS cluster has too few servers now: {description}")),
        // No stream or consumer of that name, or none that is led.
        (404 | 429 | 500 | 503, _) => {
            Trouble::NotDone(format!("the NATS cluster is not ready: {description}"))
        }
        _ if description.contains("batch") => Trouble::NotDone(description),
        _ => Trouble::Error(EngineError::Failed(format!(
            "the NATS cluster refuses: {description} ({err_code})"
        ))),
    }
}

/// See [`trouble`].
pub(super) fn trouble_of_code(
    code: usize,
    error: ErrorCode,
    description: &impl std::fmt::Display,
) -> Trouble {
    trouble(code as u64, error.0, description.to_string())
}

fn headers(message: &Outgoing, write: &str, rest: usize) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(RECORD, message.record.as_str());
    headers.insert(WRITE, write);
    if rest > 0 {
        headers.insert(BATCH_REST, rest.to_string());
    }
    if let Some(expected) = message.expected {
        headers.insert("Nats-Expected-Last-Subject-Sequence", expected.to_string());
    }
    if let Some(about) = &message.about {
        headers.insert("Nats-Expected-Last-Subject-Sequence-Subject", about.as_str());
    }
    if message.expected != Some(0) && !message.again {
        // What was said before on this subject is taken away, and that is written down. With the limit of one message a
        // subject (`max_msgs_per_subject`) it would not be: when the newer message is removed and the server is killed
        // within minutes, the older one is there again (seen with 2.15).
        headers.insert("Nats-Rollup", "sub");
    }
    if let Some(ttl) = message.ttl {
        let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        headers.insert("Nats-TTL", seconds.max(1).to_string());
    }
    headers
}

fn in_batch(headers: &mut HeaderMap, batch: &str, number: usize) {
    headers.insert("Nats-Batch-Id", batch);
    headers.insert("Nats-Batch-Sequence", number.to_string());
}
