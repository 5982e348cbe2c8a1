//! Switchboard's queues: the embedded engine by its Rust API, in this process or behind a peer in another.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use switchboard_engine::queues::{JobId, Lease, Push};
use switchboard_engine::{Durability, Engine, QueueName};
use switchboard_engine_embedded::Embedded;
use switchboard_peer::{Fault, Handlers, Options, Peer, connect, serve};
use tokio_util::sync::CancellationToken;

use crate::address::{Address, Listener};
use crate::contender::Echo;
use crate::keys::open_engine;

/// How long a worker may take.
const LEASE: Duration = Duration::from_secs(30);

/// How long a worker waits for a job: there always is one.
const WAIT: Duration = Duration::from_secs(5);

/// The operations of the serving process.
const PUSH: &str = "push";
const RESERVE: &str = "reserve";
const ACK: &str = "ack";

/// The engine and its one queue.
#[derive(Clone)]
pub struct Inside {
    engine: Arc<Embedded>,
    queue: QueueName,
}

impl Inside {
    /// Opens it.
    pub fn open(directory: &Path, durability: Durability) -> Result<Self> {
        Ok(Self {
            engine: open_engine(&directory.join("engine"), durability)?,
            queue: QueueName::new("bench")?,
        })
    }

    async fn push(&self, payload: Bytes) -> Result<()> {
        self.engine.queues().push(&self.queue, Push::new(payload)).await?;
        Ok(())
    }

    async fn reserve(&self) -> Result<(Lease, Bytes)> {
        let jobs = self.engine.queues().reserve(&self.queue, 1, LEASE, WAIT).await?;
        let reserved = jobs.into_iter().next().context("there is no job")?;
        Ok((reserved.lease, reserved.job.payload))
    }

    async fn ack(&self, lease: &Lease) -> Result<()> {
        Ok(self.engine.queues().ack(&self.queue, lease).await?)
    }
}

impl Echo for Inside {
    async fn echo(&mut self, payload: Bytes) -> Result<Bytes> {
        self.push(payload).await?;
        let (lease, payload) = self.reserve().await?;
        self.ack(&lease).await?;
        Ok(payload)
    }
}

/// Answers for the queue on `listener` until the process ends.
pub async fn serve_queue(listener: Listener, directory: &Path, durability: Durability) -> Result<()> {
    let inside = Inside::open(directory, durability)?;
    let (push, reserve, ack) = (inside.clone(), inside.clone(), inside);
    let handlers = Handlers::new()
        .handle_raw(PUSH, move |_, payload| {
            let inside = push.clone();
            async move { inside.push(payload).await.map(|()| Bytes::new()).map_err(failed) }
        })
        .handle_raw(RESERVE, move |_, _| {
            let inside = reserve.clone();
            async move {
                let (lease, payload) = inside.reserve().await.map_err(failed)?;
                let mut answer = BytesMut::with_capacity(9 + lease.token.len() + payload.len());
                answer.put_u64(lease.job.0);
                answer.put_u8(u8::try_from(lease.token.len()).map_err(failed)?);
                answer.put_slice(lease.token.as_bytes());
                answer.put_slice(&payload);
                Ok(answer.freeze())
            }
        })
        .handle_raw(ACK, move |_, lease| {
            let inside = ack.clone();
            async move {
                let (lease, _) = lease_of(&lease).map_err(failed)?;
                inside.ack(&lease).await.map(|()| Bytes::new()).map_err(failed)
            }
        });
    let (options, never) = (Options::default(), CancellationToken::new());
    match listener {
        Listener::Tcp(listener) => serve(listener, handlers, options, never, Duration::ZERO).await,
        Listener::Unix(listener, _) => serve(listener, handlers, options, never, Duration::ZERO).await,
    }
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> Fault {
    Fault::failed(error.to_string())
}

/// A lease, and what follows it.
fn lease_of(bytes: &Bytes) -> Result<(Lease, Bytes)> {
    let short = "a lease is cut off";
    let job = bytes.first_chunk().context(short)?;
    let end = 9 + usize::from(*bytes.get(8).context(short)?);
    let token = std::str::from_utf8(bytes.get(9..end).context(short)?)?;
    let lease = Lease {
        job: JobId(u64::from_be_bytes(*job)),
        token: ByteString::from(token),
    };
    Ok((lease, bytes.slice(end..)))
}

/// A worker's end of the serving process.
#[derive(Clone)]
pub struct Remote(Peer);

impl Remote {
    /// Connects.
    pub async fn connect(address: &Address) -> Result<Self> {
        Ok(Self(connect(&address.to_string(), Handlers::new()).await?))
    }
}

impl Echo for Remote {
    async fn echo(&mut self, payload: Bytes) -> Result<Bytes> {
        self.0.request_raw(PUSH, payload).await?;
        let reserved = self.0.request_raw(RESERVE, Bytes::new()).await?;
        let (_, payload) = lease_of(&reserved)?;
        let lease = reserved.slice(..reserved.len() - payload.len());
        self.0.request_raw(ACK, lease).await?;
        Ok(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_read_with_what_follows() {
        let bytes = Bytes::from_static(b"\0\0\0\0\0\0\0\x07\x02abrest");
        let (lease, rest) = lease_of(&bytes).unwrap();
        assert_eq!(
            (lease.job, &*lease.token, &rest[..]),
            (JobId(7), "ab", &b"rest"[..])
        );
        for end in 0..11 {
            assert!(lease_of(&bytes.slice(..end)).is_err(), "{end}");
        }
    }
}
