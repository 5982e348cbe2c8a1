//! Writes one blob: a task that has a few parts on their way at a time.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use ring::digest;
use switchboard_engine::blobs::{BlobInfo, BlobWriter};
use switchboard_engine::keys::{Write, Written};
use switchboard_engine::{Answer, Bucket, EngineError, Result};
use tokio::sync::{mpsc, oneshot};

use super::meta::Meta;
use super::sweep::{Work, discard};
use super::{key, take_away, unwanted};
use crate::keys::Shared;
use crate::link::{Committed, Outgoing};
use crate::names::{Family, Stream};

/// Bytes in a part, unless the server takes less in a message.
const PART_BYTES: usize = 128 * 1024;

/// What a message needs besides its part.
const MESSAGE_OVERHEAD_MAX: usize = 4 * 1024;

/// Parts on their way at a time: 1 MiB.
const ON_THEIR_WAY_MAX: usize = 8;

/// Pieces that wait to become parts.
const WAITING_MAX: usize = 2;

enum Order {
    Write(Bytes),
    /// Finish, if so many bytes have come.
    Finish(u64, oneshot::Sender<Result<BlobInfo>>),
}

/// See the module.
pub(super) struct Writer {
    orders: mpsc::Sender<Order>,
    /// What was handed in, whether it arrived or not.
    handed: u64,
    failed: Arc<Mutex<Option<EngineError>>>,
}

/// Begins to write.
///
/// # Errors
/// Unavailable.
pub(super) async fn begin(
    shared: Arc<Shared>,
    bucket: Bucket,
    name: ByteString,
    content_type: Option<ByteString>,
) -> Result<Writer> {
    shared.link.check_open()?;
    let id = format!("{:032x}", fastrand::u128(..));
    let noted = Work::Writing(shared.link.clock.now()).message(&shared, &id, Some(0));
    let Committed::Stored(noted) = shared.link.commit(Stream::Keys, &[noted]).await? else {
        return Err(EngineError::Failed("two blobs got one id by chance".to_owned()));
    };
    let part_bytes = shared
        .link
        .message_bytes_max()
        .saturating_sub(MESSAGE_OVERHEAD_MAX);
    let upload = Upload {
        part_bytes: PART_BYTES.min(part_bytes).max(1),
        shared: Arc::clone(&shared),
        bucket,
        name,
        content_type,
        id,
        noted,
        buffer: BytesMut::new(),
        size: 0,
        parts: 0,
        sha256: digest::Context::new(&digest::SHA256),
    };
    let (orders, waiting) = mpsc::channel(WAITING_MAX);
    let failed = Arc::default();
    let closed = shared.link.closed.clone();
    tokio::spawn(closed.run_until_cancelled_owned(upload.run(waiting, Arc::clone(&failed))));
    Ok(Writer {
        orders,
        handed: 0,
        failed,
    })
}

impl BlobWriter for Writer {
    fn write(&mut self, part: Bytes) -> Answer<()> {
        self.handed += part.len() as u64;
        let (orders, failed) = (self.orders.clone(), Arc::clone(&self.failed));
        Answer::later(async move { orders.send(Order::Write(part)).await.map_err(|_| why(&failed)) })
    }

    fn finish(self: Box<Self>) -> Answer<BlobInfo> {
        Answer::later(async move {
            let (sender, outcome) = oneshot::channel();
            let order = Order::Finish(self.handed, sender);
            self.orders.send(order).await.map_err(|_| why(&self.failed))?;
            outcome.await.map_err(|_| why(&self.failed))?
        })
    }
}

fn why(failed: &Mutex<Option<EngineError>>) -> EngineError {
    failed.lock().clone().unwrap_or_else(|| {
        EngineError::unavailable(
            std::time::Duration::ZERO,
            "the engine was closed: the blob was not written",
        )
    })
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("handed", &self.handed)
            .finish_non_exhaustive()
    }
}

/// The task's side.
struct Upload {
    shared: Arc<Shared>,
    bucket: Bucket,
    name: ByteString,
    content_type: Option<ByteString>,
    id: String,
    /// The sequence of the note that it is being written.
    noted: u64,
    part_bytes: usize,
    buffer: BytesMut,
    size: u64,
    parts: u64,
    sha256: digest::Context,
}

impl Upload {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>, failed: Arc<Mutex<Option<EngineError>>>) {
        match self.receive(&mut orders).await {
            Ok(Some((handed, outcome))) => {
                let finished = self.finish(handed).await;
                let is_over = finished.is_err();
                // The caller may have given up.
                let _ = outcome.send(finished);
                if !is_over {
                    return;
                }
            }
            Ok(None) => {}
            Err(error) => *failed.lock() = Some(error),
        }
        drop(orders);
        if let Err(error) = discard(&self.shared, &self.id).await {
            tracing::debug!("the parts of a blob that was not finished are left to the sweep: {error}");
        }
    }

    /// Sends off what comes, until it is to be finished. None when the writer was dropped.
    async fn receive(
        &mut self,
        orders: &mut mpsc::Receiver<Order>,
    ) -> Result<Option<(u64, oneshot::Sender<Result<BlobInfo>>)>> {
        let shared = Arc::clone(&self.shared);
        let mut on_their_way = FuturesUnordered::new();
        loop {
            let last = match orders.recv().await {
                None => return Ok(None),
                Some(Order::Write(piece)) => {
                    self.sha256.update(&piece);
                    self.size += piece.len() as u64;
                    self.buffer.extend_from_slice(&piece);
                    None
                }
                Some(Order::Finish(handed, outcome)) => Some((handed, outcome)),
            };
            while self.buffer.len() >= self.part_bytes || (last.is_some() && !self.buffer.is_empty()) {
                let length = self.buffer.len().min(self.part_bytes);
                let part = self.part(length);
                let shared = Arc::clone(&shared);
                on_their_way.push(async move { shared.link.commit(Stream::Parts, &[part]).await });
                if on_their_way.len() >= ON_THEIR_WAY_MAX {
                    on_their_way.next().await.transpose()?;
                }
            }
            if last.is_some() {
                while on_their_way.next().await.transpose()?.is_some() {}
                return Ok(last);
            }
        }
    }

    fn part(&mut self, length: usize) -> Outgoing {
        let body = self.buffer.split_to(length).freeze();
        let number = self.parts;
        self.parts += 1;
        Outgoing {
            subject: self.shared.link.names.part(&self.id, number),
            expected: None,
            about: None,
            again: false,
            record: String::new(),
            ttl: None,
            body,
        }
    }

    /// Makes it visible.
    async fn finish(&mut self, handed: u64) -> Result<BlobInfo> {
        if handed != self.size {
            return Err(EngineError::Failed(format!(
                "of {handed} bytes only {} were written: a write was given up; nothing was changed",
                self.size
            )));
        }
        let shared = &self.shared;
        let sha256 = self.sha256.clone().finish();
        let meta = Meta::new(
            self.id.clone(),
            self.size,
            self.part_bytes as u64,
            sha256.as_ref(),
            shared.link.clock.now(),
            self.content_type.as_ref(),
        );
        let write = Write::put(meta.bytes());
        let besides = |before: Option<&_>| {
            let mut messages = unwanted(shared, before);
            messages.insert(0, Work::Finished.message(shared, &self.id, Some(self.noted)));
            messages
        };
        let written = shared
            .write(Family::Blobs, &self.bucket, key(&self.name)?, &write, besides)
            .await?;
        if let Written::Done {
            before: Some(before), ..
        } = written
        {
            take_away(shared, &before);
        }
        Ok(meta.info(self.name.clone()))
    }
}
