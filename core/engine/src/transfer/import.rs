//! From bytes to an engine.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::io::{AsyncRead, BufReader};

use super::frames::FrameReader;
use super::records::{self, Record, STRUCTURE};
use super::{RETURN_WAIT, Totals, TransferError, while_doing};
use crate::blobs::BlobWriter;
use crate::keys::{BATCH_WRITES_MAX, Change, Expiry, Write};
use crate::names::STRUCTURE_BYTES_MAX;
use crate::queues::{DELAY_MAX, JobState, Peeked, Push};
use crate::{Bucket, Engine, EngineError, Key, Kind, QueueName, Timestamp};

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// Keys are written in batches of at most so many bytes.
const BATCH_BYTES: usize = 1024 * 1024;

/// Writes that are under way at once where the engine has no batches, or none so large.
const WRITES_AT_ONCE: usize = 64;

/// For how long a job is reserved while it is made to fail as it had failed.
const LEASE: Duration = Duration::from_secs(60);

/// What the last failure of a job is said to be if nobody had said.
const NO_REASON: ByteString = ByteString::from_static("it failed before the import");

/// Reads an export to its end, and tells how much is in it.
///
/// # Errors
/// What is wrong with it, and where.
pub async fn verify(
    from: impl AsyncRead + Unpin,
    progress: &mut (dyn FnMut(&Totals) + Send),
) -> Result<Totals, TransferError> {
    let mut records = Records::begin(from).await?;
    loop {
        match records.next().await? {
            Record::End(_) => return Ok(records.totals),
            _ => progress(&records.totals),
        }
    }
}

/// Takes all of an export into an engine that holds nothing and that nobody uses. `progress` is told every now and then
/// how far that is.
///
/// An export that breaks off, or is damaged, is noticed only where that is: what came before it is in the engine by
/// then. Whoever can read it twice [verifies](verify) it first.
///
/// # Errors
/// What is wrong with it, those of the engine, and [`TransferError::NotEmpty`].
///
/// # Cancel safety
/// Dropping it leaves what was taken in until then.
pub async fn import(
    engine: &dyn Engine,
    from: impl AsyncRead + Unpin,
    progress: &mut (dyn FnMut(&Totals) + Send),
) -> Result<Totals, TransferError> {
    check_empty(engine).await?;
    let mut records = Records::begin(from).await?;
    let mut import = Import::new(engine);
    loop {
        let record = records.next().await?;
        if !matches!(record, Record::Key { .. }) {
            import.write_keys().await?;
        }
        match record {
            Record::Bucket(bucket) => import.bucket = bucket,
            Record::Key {
                key,
                kind,
                value,
                expires,
            } => import.key(key, kind, value, expires).await?,
            // They come as whole structures.
            Record::StructurePart(_) => {}
            Record::Queue(queue) => import.queue = Some(queue),
            Record::Job(job) => import.job(*job).await?,
            Record::Blob {
                bucket,
                name,
                content_type,
            } => import.begin_blob(bucket, name, content_type).await?,
            Record::Part(part) => import.part(part).await?,
            Record::BlobEnd(sha256) => import.end_blob(sha256).await?,
            Record::End(_) => break,
        }
        progress(&records.totals);
    }
    let flushed = engine.flush().await;
    flushed.map_err(while_doing("cannot bring what was imported to the disk"))?;
    Ok(Totals {
        attempts_forgotten: import.attempts_forgotten,
        ..records.totals
    })
}

async fn check_empty(engine: &dyn Engine) -> Result<(), TransferError> {
    let cannot = || while_doing("cannot read what the engine holds");
    let keys = engine.keys().buckets().await.map_err(cannot())?;
    let queues = engine.queues().names().await.map_err(cannot())?;
    let blobs = engine.blobs().buckets().await.map_err(cannot())?;
    let counts = [
        ("buckets of keys", keys.len()),
        ("queues", queues.len()),
        ("buckets of blobs", blobs.len()),
    ];
    let held: Vec<_> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(what, count)| format!("{what}: {count}"))
        .collect();
    if held.is_empty() {
        return Ok(());
    }
    Err(TransferError::NotEmpty(held.join(", ")))
}

/// How many attempts of a job failed: one that is under way has not.
pub(super) fn failed_attempts(job: &Peeked) -> u32 {
    match job.state {
        JobState::Reserved => job.attempts.saturating_sub(1),
        JobState::Ready | JobState::Delayed | JobState::Dead => job.attempts,
    }
}

/// The records of an export, in an order that makes sense.
struct Records<R> {
    frames: FrameReader<BufReader<R>>,
    totals: Totals,
    place: Place,
    /// What the encoding of a structure begins with whose end is still to come.
    begun: BytesMut,
}

/// What the next record may belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Begin,
    Bucket,
    Structure,
    Queue,
    Blob,
}

impl<R: AsyncRead + Unpin> Records<R> {
    async fn begin(from: R) -> Result<Self, TransferError> {
        Ok(Self {
            frames: FrameReader::begin(BufReader::with_capacity(BUFFER_BYTES, from)).await?,
            totals: Totals::default(),
            place: Place::Begin,
            begun: BytesMut::new(),
        })
    }

    /// The next record, structures being whole; the last one is the end, which says that all was there.
    async fn next(&mut self) -> Result<Record, TransferError> {
        loop {
            match self.next_part().await? {
                Record::StructurePart(part) => self.begin_structure(&part)?,
                record => return Ok(record),
            }
        }
    }

    /// Memory is taken only for what has come.
    fn begin_structure(&mut self, part: &[u8]) -> Result<(), TransferError> {
        if self.begun.len() + part.len() > STRUCTURE_BYTES_MAX {
            return Err(self.frames.damaged("a structure is larger than any can be"));
        }
        self.begun.extend_from_slice(part);
        Ok(())
    }

    async fn next_part(&mut self) -> Result<Record, TransferError> {
        let (kind, payload) = self.frames.next().await?;
        let begun = match kind {
            STRUCTURE => std::mem::take(&mut self.begun),
            _ => BytesMut::new(),
        };
        let record = records::decode(kind, payload, begun).ok_or_else(|| {
            self.frames
                .damaged(format!("a record of the kind {kind} makes no sense"))
        })?;
        let place = match (&record, self.place) {
            (Record::Bucket(_), Place::Begin | Place::Bucket | Place::Queue) => Place::Bucket,
            (Record::Queue(_), Place::Begin | Place::Bucket | Place::Queue) => Place::Queue,
            (Record::Blob { .. }, Place::Begin | Place::Bucket | Place::Queue) => Place::Blob,
            (Record::StructurePart(_), Place::Bucket | Place::Structure) => Place::Structure,
            (Record::Key { kind, .. }, Place::Structure) if *kind != Kind::Plain => Place::Bucket,
            (Record::Key { .. }, Place::Bucket)
            | (Record::Job(_), Place::Queue)
            | (Record::Part(_), Place::Blob) => self.place,
            (Record::BlobEnd(_), Place::Blob)
            | (Record::End(_), Place::Begin | Place::Bucket | Place::Queue) => Place::Begin,
            _ => return Err(self.frames.damaged("a record stands where it makes no sense")),
        };
        self.place = place;
        match &record {
            Record::Key { .. } => self.totals.keys += 1,
            Record::Job(_) => self.totals.jobs += 1,
            Record::BlobEnd(_) => self.totals.blobs += 1,
            Record::End(said) => {
                let there = (self.totals.keys, self.totals.jobs, self.totals.blobs);
                if there != (said.keys, said.jobs, said.blobs) {
                    return Err(self.frames.damaged("it does not hold as much as it says"));
                }
                self.frames.end().await?;
            }
            _ => {}
        }
        self.totals.bytes = self.frames.bytes();
        Ok(record)
    }
}

struct Import<'a> {
    engine: &'a dyn Engine,
    bucket: Bucket,
    /// Keys that are to be written together.
    writes: Vec<(Key, Write)>,
    write_bytes: usize,
    queue: Option<QueueName>,
    blob: Option<(ByteString, Box<dyn BlobWriter>)>,
    attempts_forgotten: u64,
}

impl<'a> Import<'a> {
    fn new(engine: &'a dyn Engine) -> Self {
        Self {
            engine,
            bucket: Bucket::default(),
            writes: Vec::new(),
            write_bytes: 0,
            queue: None,
            blob: None,
            attempts_forgotten: 0,
        }
    }

    async fn key(
        &mut self,
        key: Key,
        kind: Kind,
        value: Bytes,
        expires: Option<Timestamp>,
    ) -> Result<(), TransferError> {
        self.write_bytes += key.as_bytes().len() + value.len();
        let expiry = expires.map_or(Expiry::Never, Expiry::At);
        let change = match kind {
            Kind::Plain => Change::Put(value),
            kind => Change::PutStructure { kind, encoded: value },
        };
        self.writes.push((key, Write::change(change).expiring(expiry)));
        if self.writes.len() >= BATCH_WRITES_MAX || self.write_bytes >= BATCH_BYTES {
            self.write_keys().await?;
        }
        Ok(())
    }

    async fn write_keys(&mut self) -> Result<(), TransferError> {
        let writes = std::mem::take(&mut self.writes);
        self.write_bytes = 0;
        if writes.is_empty() {
            return Ok(());
        }
        let (keys, bucket) = (self.engine.keys(), &self.bucket);
        let cannot = |doing: String| while_doing(doing);
        match keys.batch(bucket, writes.clone()).await {
            Ok(_) => Ok(()),
            Err(EngineError::Unsupported(_) | EngineError::TooLarge(_)) => {
                stream::iter(writes)
                    .map(Ok)
                    .try_for_each_concurrent(WRITES_AT_ONCE, async |(key, write)| {
                        let doing = format!("cannot write {key:?} in the bucket {bucket}");
                        keys.write(bucket, key, write)
                            .await
                            .map(drop)
                            .map_err(cannot(doing))
                    })
                    .await
            }
            Err(error) => Err(while_doing(format!("cannot write keys in the bucket {bucket}"))(
                error,
            )),
        }
    }

    async fn job(&mut self, peeked: Peeked) -> Result<(), TransferError> {
        // Records come in an order that makes sense.
        let Some(queue) = self.queue.clone() else {
            return Ok(());
        };
        let failed = failed_attempts(&peeked);
        let wait = wait_left(&peeked);
        let push = Push {
            headers: peeked.job.headers,
            delay: if failed == 0 { wait } else { Duration::ZERO },
            priority: peeked.job.priority,
            attempts_max: peeked.job.attempts_max,
            ..Push::new(peeked.job.payload)
        };
        let cannot = || while_doing(format!("cannot add a job to the queue {queue}"));
        self.engine.queues().push(&queue, push).await.map_err(cannot())?;
        let reason = peeked.reason.unwrap_or(NO_REASON);
        for attempt in 1..=failed {
            let last_wait = if wait.is_zero() { RETURN_WAIT } else { wait };
            let wait = if attempt == failed {
                last_wait
            } else {
                Duration::ZERO
            };
            let failed = fail(self.engine, &queue, wait, reason.clone()).await;
            if !failed.map_err(cannot())? {
                self.attempts_forgotten += 1;
                break;
            }
        }
        Ok(())
    }

    async fn begin_blob(
        &mut self,
        bucket: Bucket,
        name: ByteString,
        content_type: Option<ByteString>,
    ) -> Result<(), TransferError> {
        let writer = self.engine.blobs().put(&bucket, name.clone(), content_type).await;
        let writer = writer.map_err(cannot_write_blob(&name))?;
        self.blob = Some((name, writer));
        Ok(())
    }

    async fn part(&mut self, part: Bytes) -> Result<(), TransferError> {
        match &mut self.blob {
            Some((name, writer)) => writer.write(part).await.map_err(cannot_write_blob(name)),
            None => Ok(()),
        }
    }

    async fn end_blob(&mut self, sha256: [u8; 32]) -> Result<(), TransferError> {
        let Some((name, writer)) = self.blob.take() else {
            return Ok(());
        };
        let info = writer.finish().await.map_err(cannot_write_blob(&name))?;
        if info.sha256 == sha256 {
            return Ok(());
        }
        Err(cannot_write_blob(&name)(EngineError::Damaged(
            "its content is not what was exported".to_owned(),
        )))
    }
}

/// Lets the only job that is ready fail. False if it is not the only one.
async fn fail(
    engine: &dyn Engine,
    queue: &QueueName,
    wait: Duration,
    reason: ByteString,
) -> crate::Result<bool> {
    let queues = engine.queues();
    if queues.counts(queue).await?.ready != 1 {
        return Ok(false);
    }
    let reserved = queues.reserve(queue, 1, LEASE, Duration::ZERO).await?;
    let Some(reserved) = reserved.first() else {
        return Ok(false);
    };
    queues.nack(queue, &reserved.lease, wait, reason).await?;
    Ok(true)
}

fn cannot_write_blob(name: &str) -> impl FnOnce(EngineError) -> TransferError + use<> {
    while_doing(format!("cannot write the blob {name:?}"))
}

/// How long a job still has to wait.
fn wait_left(job: &Peeked) -> Duration {
    match (job.state, job.until) {
        (JobState::Delayed, Some(until)) => until.since(SystemTime::now().into()).min(DELAY_MAX),
        _ => Duration::ZERO,
    }
}
