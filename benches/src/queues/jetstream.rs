//! A JetStream work queue with async-nats, as fast as its documentation shows how: one pull consumer that has jobs sent
//! ahead for all workers of the process, an ack that is answered.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType};
use async_nats::jetstream::{self};
use async_nats::{Client, Subject};
use bytes::Bytes;
use futures_util::StreamExt;
use switchboard_engine::Durability;
use tokio::sync::Mutex;

use crate::address::Address;
use crate::broker::{connect_nats, start_nats};
use crate::contender::Echo;
use crate::process::Process;

const SUBJECT: Subject = Subject::from_static("bench.jobs");

/// What an ack says.
const ACK: Bytes = Bytes::from_static(b"+ACK");

/// Starts the server with its files in `directory`.
pub async fn start(directory: &Path, durability: Durability) -> Result<Process> {
    let sync = match durability {
        Durability::Always => "always",
        Durability::Second | Durability::Never => "\"1s\"",
    };
    let configuration = format!(
        "listen: \"127.0.0.1:-1\"\njetstream {{ store_dir: \"{}\", sync_interval: {sync} }}\n",
        directory.join("store").display()
    );
    let path = directory.join("nats.conf");
    std::fs::write(&path, configuration)?;
    start_nats(&["--config", &path.display().to_string()]).await
}

/// One connection, shared by its clones.
#[derive(Clone)]
pub struct Worker {
    client: Client,
    context: jetstream::Context,
    jobs: Arc<Mutex<pull::Stream>>,
}

impl Worker {
    /// Connects, and creates the queue.
    pub async fn connect(address: &Address) -> Result<Self> {
        let client = connect_nats(address).await?;
        let context = jetstream::new(client.clone());
        let stream = context
            .create_stream(Config {
                name: "bench".to_owned(),
                subjects: vec![SUBJECT.to_string()],
                retention: RetentionPolicy::WorkQueue,
                storage: StorageType::File,
                ..Config::default()
            })
            .await?;
        let consumer = stream
            .create_consumer(pull::Config {
                durable_name: Some("workers".to_owned()),
                ..pull::Config::default()
            })
            .await?;
        let jobs = Arc::new(Mutex::new(consumer.messages().await?));
        Ok(Self {
            client,
            context,
            jobs,
        })
    }
}

impl Echo for Worker {
    async fn echo(&mut self, payload: Bytes) -> Result<Bytes> {
        self.context.publish(SUBJECT, payload).await?.await?;
        let next = self.jobs.lock().await.next().await;
        let job = next.context("there are no more jobs")??.message;
        let reply = job.reply.context("a job cannot be acknowledged")?;
        // As `double_ack`, by the client's one inbox instead of a subscription for each.
        self.client.request(reply, ACK).await?;
        Ok(job.payload)
    }
}
