//! The streams: made when they are missing, with as many copies as wanted.

use std::time::{Duration, SystemTime};

use async_nats::jetstream::context::RequestErrorKind;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use switchboard_engine::{EngineError, Result};
use tokio::time::Instant;

use super::commit::trouble_of_code;
use super::{Committed, Link, Outgoing, Patience, Read, Trouble};
use crate::names::Stream;

/// In which format we keep things in the streams.
const FORMAT: &str = "1";

/// What tells watchers that a key is gone is kept so long. Who comes back later is told everything anew.
pub(crate) const DELETED_KEPT: Duration = Duration::from_secs(3600);

/// The streams are looked at no more often than this, while something is wrong.
const ENSURE_EVERY: Duration = Duration::from_millis(500);

/// What a stream says of itself.
#[derive(Debug, Deserialize)]
pub(crate) struct StreamInfo {
    config: StreamSettings,
    state: StreamState,
}

#[derive(Debug, Deserialize)]
struct StreamSettings {
    num_replicas: usize,
    #[serde(default)]
    first_seq: u64,
}

#[derive(Debug, Deserialize)]
struct StreamState {
    last_seq: u64,
}

impl Link {
    /// Makes the streams that are missing, and checks their format.
    pub(super) async fn ensure(&self) -> Result<(), Trouble> {
        self.check_connected()?;
        for stream in Stream::ALL {
            let info: Result<StreamInfo, Trouble> = self.info(stream).await;
            match info {
                Ok(info) => self.set_replicas(stream, &info).await?,
                Err(Trouble::NotDone(why)) if why.contains("not found") => self.make(stream).await?,
                Err(trouble) => return Err(trouble),
            }
            self.check_format(stream).await?;
        }
        Ok(())
    }

    /// The same, now and then, for those who wait for a stream.
    pub(super) async fn ensure_again(&self) {
        let Ok(mut last) = self.ensuring.try_lock() else {
            return;
        };
        if last.is_some_and(|last| last.elapsed() < ENSURE_EVERY) {
            return;
        }
        // Its own writes wait for streams too: those must not wait for this.
        if let Err(trouble) = self.ensure().await {
            tracing::debug!("the streams cannot be looked at: {trouble:?}");
        }
        *last = Some(Instant::now());
    }

    async fn make(&self, stream: Stream) -> Result<(), Trouble> {
        let config = Config {
            name: self.names.stream(stream),
            subjects: vec![self.names.subjects(stream)],
            description: Some("Switchboard: see docs/engine-nats.md".to_owned()),
            retention: RetentionPolicy::Limits,
            // Full is an error for who writes, not the end of what is oldest.
            discard: DiscardPolicy::New,
            max_messages_per_subject: -1,
            max_messages: -1,
            max_bytes: -1,
            storage: StorageType::File,
            num_replicas: self.replicas,
            allow_direct: true,
            allow_message_ttl: true,
            allow_atomic_publish: true,
            allow_rollup: true,
            // So that watchers hear of what the servers themselves found expired.
            subject_delete_marker_ttl: (stream == Stream::Keys).then_some(DELETED_KEPT),
            first_sequence: Some(first_sequence().max(self.seen(stream) + 1)),
            ..Config::default()
        };
        let body = serde_json::to_value(&config).map_err(|error| EngineError::Failed(error.to_string()))?;
        let made: Result<Value, Trouble> = self.api(format!("STREAM.CREATE.{}", config.name), &body).await;
        match made {
            Ok(_) => {
                tracing::info!("made the stream {}", config.name);
                Ok(())
            }
            // Another hub was quicker.
            Err(Trouble::Error(EngineError::Failed(why))) if why.contains("already in use") => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }

    async fn set_replicas(&self, stream: Stream, info: &StreamInfo) -> Result<(), Trouble> {
        if info.config.num_replicas == self.replicas {
            return Ok(());
        }
        let name = self.names.stream(stream);
        let mut whole: Value = self.api(format!("STREAM.INFO.{name}"), &json!({})).await?;
        let Some(config) = whole.get_mut("config") else {
            return Err(Trouble::NotDone(format!(
                "the stream {name} has no configuration"
            )));
        };
        config["num_replicas"] = json!(self.replicas);
        let _: Value = self.api(format!("STREAM.UPDATE.{name}"), config).await?;
        tracing::info!("the stream {name} is to have {} copies", self.replicas);
        Ok(())
    }

    async fn check_format(&self, stream: Stream) -> Result<(), Trouble> {
        let subject = self.names.format(stream);
        let name = self.names.stream(stream);
        let request = Bytes::from(json!({ "last_by_subj": subject }).to_string());
        let found = self
            .ask(format!("$JS.API.DIRECT.GET.{name}"), None, request)
            .await?;
        if found.status.is_some() {
            let headers = None;
            let written = Bytes::from_static(FORMAT.as_bytes());
            // Whoever else writes it at the same time writes the same.
            self.ask(subject, headers, written).await?;
            return Ok(());
        }
        if found.payload == FORMAT {
            return Ok(());
        }
        Err(Trouble::Error(EngineError::Unsupported(format!(
            "the stream {name} is in format {:?}, this version of Switchboard knows only {FORMAT:?}: run the version \
             that wrote it, or export with that and import with this",
            String::from_utf8_lossy(&found.payload)
        ))))
    }

    pub(super) async fn info(&self, stream: Stream) -> Result<StreamInfo, Trouble> {
        let name = self.names.stream(stream);
        self.api(format!("STREAM.INFO.{name}"), &json!({})).await
    }

    /// One try to ask the leader of a stream, or of the cluster, for something.
    pub(crate) async fn api<T: DeserializeOwned>(&self, subject: String, body: &Value) -> Result<T, Trouble> {
        self.check_connected()?;
        let asked = tokio::select! {
            asked = self.js.request(subject, body) => asked,
            () = self.closed.cancelled() => return Err(Trouble::Unsure("the engine was closed".to_owned())),
        };
        match asked {
            Ok(Response::Ok(answer)) => {
                self.status.well();
                Ok(answer)
            }
            Ok(Response::Err { error }) => Err(trouble_of_code(error.code(), error.error_code(), &error)),
            Err(error) => Err(match error.kind() {
                RequestErrorKind::NoResponders => {
                    Trouble::NotDone("the NATS cluster has no JetStream now, or no leader".to_owned())
                }
                _ => Trouble::Unsure(format!("the NATS cluster does not answer: {error}")),
            }),
        }
    }

    /// The same with patience, for what may be asked twice.
    pub(crate) async fn api_patiently<T: DeserializeOwned>(&self, subject: &str, body: &Value) -> Result<T> {
        let mut patience = Patience::new(self);
        loop {
            match self.api(subject.to_owned(), body).await {
                Ok(answer) => return Ok(answer),
                Err(trouble) => patience.rest(trouble).await?,
            }
        }
    }

    /// The last sequence that the leader of a stream has given.
    ///
    /// # Errors
    /// Unavailable.
    pub(crate) async fn last_sequence(&self, stream: Stream) -> Result<u64> {
        Ok(self.info_patiently(stream).await?.state.last_seq)
    }

    /// The first sequence that a stream could give. It grows whenever the stream is made anew.
    pub(crate) async fn first_and_last(&self, stream: Stream) -> Result<(u64, u64)> {
        let info = self.info_patiently(stream).await?;
        Ok((info.config.first_seq, info.state.last_seq))
    }

    async fn info_patiently(&self, stream: Stream) -> Result<StreamInfo> {
        let name = self.names.stream(stream);
        self.api_patiently(&format!("STREAM.INFO.{name}"), &json!({}))
            .await
    }

    /// Takes away all messages that match, up to a sequence where one is given.
    ///
    /// # Errors
    /// Unavailable.
    pub(crate) async fn purge(&self, stream: Stream, filter: &str, up_to: Option<u64>) -> Result<()> {
        let mut patience = Patience::new(self);
        loop {
            match self.try_purge(stream, filter, up_to).await {
                Ok(()) => return Ok(()),
                Err(trouble) => patience.rest(trouble).await?,
            }
        }
    }

    /// The same, once.
    pub(crate) async fn try_purge(
        &self,
        stream: Stream,
        filter: &str,
        up_to: Option<u64>,
    ) -> Result<(), Trouble> {
        let name = self.names.stream(stream);
        let mut body = json!({ "filter": filter });
        if let Some(up_to) = up_to {
            // The server keeps what has this sequence.
            body["seq"] = json!(up_to + 1);
        }
        let _: Value = self.api(format!("STREAM.PURGE.{name}"), &body).await?;
        Ok(())
    }

    /// Remembers in the stream that there is something of a name.
    ///
    /// # Errors
    /// Unavailable.
    pub(crate) async fn register(&self, stream: Stream, subject: String) -> Result<()> {
        let Read::All(found) = self.latest(stream, std::slice::from_ref(&subject)).await? else {
            return Ok(());
        };
        if !found.is_empty() {
            return Ok(());
        }
        let message = Outgoing {
            subject,
            expected: Some(0),
            about: None,
            again: false,
            record: String::new(),
            ttl: None,
            body: Bytes::new(),
        };
        match self.commit(stream, &[message]).await? {
            // A conflict says that somebody else has done it.
            Committed::Stored(_) | Committed::Conflict => Ok(()),
        }
    }
}

/// Sequences begin with the millisecond in which their stream is made, so that those of a stream that is made anew are
/// greater than all before it, as long as fewer than 1024 messages a millisecond were written on average. They stay
/// below 2^53, which JSON numbers of JavaScript hold.
fn first_sequence() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(1, |since| (since.as_millis() as u64) << 10)
}
