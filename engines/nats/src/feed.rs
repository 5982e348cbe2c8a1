//! What a stream brings, message after message: an ephemeral consumer without acknowledgements.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use futures_util::StreamExt;

use crate::link::{Link, Stored, Trouble, stored_of_delivery};
use crate::names::Stream;

/// Most messages that wait here to be read: of whole ones, and of headers only.
const WHOLE_MAX: usize = 64;
const HEADERS_MAX: usize = 1_024;

/// A feed that is not read for so long is ended by the server; it is opened again where it stopped.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// How often the server says that it is there, while nothing comes. Two that fail to come end the feed.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// Where a feed begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// With what comes after that sequence.
    After(u64),
    /// With the last message of each subject.
    LastOfEach,
}

/// See the module.
pub(crate) struct Feed {
    messages: pull::Stream,
    /// Messages that were there when it was opened, of what it brings.
    pub(crate) pending: u64,
    delivered: u64,
}

/// A message, and how many are still to come.
#[derive(Debug)]
pub(crate) struct Fed {
    pub(crate) stored: Stored,
    pub(crate) pending: u64,
}

impl Feed {
    pub(crate) async fn open(
        link: &Arc<Link>,
        stream: Stream,
        filters: Vec<String>,
        start: Start,
        headers_only: bool,
    ) -> Result<Self, Trouble> {
        link.check_connected()?;
        let config = pull::Config {
            deliver_policy: match start {
                Start::After(sequence) => DeliverPolicy::ByStartSequence {
                    start_sequence: sequence + 1,
                },
                Start::LastOfEach => DeliverPolicy::LastPerSubject,
            },
            filter_subjects: filters,
            headers_only,
            ..ephemeral()
        };
        let consumer = link
            .js
            .create_consumer_on_stream(config, link.names.stream(stream))
            .await
            .map_err(|error| Trouble::NotDone(format!("the NATS cluster makes no consumer: {error}")))?;
        let pending = consumer.cached_info().num_pending;
        let messages = consumer
            .stream()
            .max_messages_per_batch(if headers_only { HEADERS_MAX } else { WHOLE_MAX })
            .heartbeat(HEARTBEAT)
            .messages()
            .await
            .map_err(|error| Trouble::NotDone(error.to_string()))?;
        Ok(Self {
            messages,
            pending,
            delivered: 0,
        })
    }

    /// The next message. After an error the feed has ended, and is to be opened anew.
    ///
    /// # Cancel safety
    /// A message is either returned or still to come.
    pub(crate) async fn next(&mut self) -> Result<Fed, Trouble> {
        let lost = || Trouble::NotDone("the feed was interrupted".to_owned());
        let message = self
            .messages
            .next()
            .await
            .ok_or_else(lost)?
            .map_err(|error| Trouble::NotDone(error.to_string()))?;
        let info = message.info().map_err(|_| lost())?;
        self.delivered += 1;
        if info.consumer_sequence != self.delivered {
            return Err(lost());
        }
        Ok(Fed {
            pending: info.pending,
            stored: stored_of_delivery(info.stream_sequence, &message.message),
        })
    }
}

/// The first sequence of a stream that is not older than that.
pub(crate) async fn sequence_since(link: &Arc<Link>, stream: Stream, age: Duration) -> Result<u64, Trouble> {
    link.check_connected()?;
    let config = pull::Config {
        deliver_policy: DeliverPolicy::ByStartTime {
            start_time: (std::time::SystemTime::now() - age).into(),
        },
        ..ephemeral()
    };
    let consumer = link
        .js
        .create_consumer_on_stream(config, link.names.stream(stream))
        .await
        .map_err(|error| Trouble::NotDone(error.to_string()))?;
    let info = consumer.cached_info();
    let (name, stream_name) = (info.name.clone(), info.stream_name.clone());
    let since = info.delivered.stream_sequence + 1;
    // It would end by itself soon.
    let _ = link.js.delete_consumer_from_stream(name, stream_name).await;
    Ok(since)
}

/// How many subjects match, as the server counts.
pub(crate) async fn count(link: &Arc<Link>, stream: Stream, filter: String) -> Result<u64, Trouble> {
    link.check_connected()?;
    let config = pull::Config {
        deliver_policy: DeliverPolicy::LastPerSubject,
        filter_subject: filter,
        headers_only: true,
        ..ephemeral()
    };
    let consumer = link
        .js
        .create_consumer_on_stream(config, link.names.stream(stream))
        .await
        .map_err(|error| Trouble::NotDone(error.to_string()))?;
    let info = consumer.cached_info();
    let (name, stream_name) = (info.name.clone(), info.stream_name.clone());
    let pending = info.num_pending;
    let _ = link.js.delete_consumer_from_stream(name, stream_name).await;
    Ok(pending)
}

fn ephemeral() -> pull::Config {
    pull::Config {
        ack_policy: AckPolicy::None,
        memory_storage: true,
        num_replicas: 1,
        inactive_threshold: IDLE_MAX,
        ..pull::Config::default()
    }
}
