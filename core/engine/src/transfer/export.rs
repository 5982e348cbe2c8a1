//! From an engine to bytes.

use std::pin::pin;

use futures_util::StreamExt;
use tokio::io::{AsyncWrite, BufWriter};

use super::frames::FrameWriter;
use super::records::{
    self, BLOB, BLOB_END, BUCKET, END, JOB, KEY, PART, QUEUE, STRUCTURE, STRUCTURE_PART, STRUCTURE_PART_BYTES,
};
use super::{Totals, TransferError, while_doing};
use crate::blobs::LIST_MAX;
use crate::keys::Scan;
use crate::queues::{JOBS_MAX, JobId, JobState, Peeked};
use crate::{Bucket, Engine, Kind, QueueName};

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 256 * 1024;

/// Jobs of one queue are read from these at once, merged by id.
const LIVE_STATES: [JobState; 3] = [JobState::Ready, JobState::Delayed, JobState::Reserved];

/// Writes all that an engine holds. `progress` is told every now and then how far that is.
///
/// Memory is bounded by a page of a scan, or by the largest value or structure.
///
/// # Errors
/// Those of the engine and of the stream. What was written until then is no export: its end is missing, and
/// [`import`](super::import) says so.
///
/// # Cancel safety
/// Dropping it is as an error.
pub async fn export(
    engine: &dyn Engine,
    to: impl AsyncWrite + Unpin,
    progress: &mut (dyn FnMut(&Totals) + Send),
) -> Result<Totals, TransferError> {
    let frames = FrameWriter::begin(BufWriter::with_capacity(BUFFER_BYTES, to)).await?;
    let mut export = Export {
        engine,
        frames,
        totals: Totals::default(),
        progress,
    };
    let buckets = engine.keys().buckets().await;
    for bucket in buckets.map_err(while_doing("cannot read which buckets there are"))? {
        export.keys(&bucket).await?;
    }
    let queues = engine.queues().names().await;
    for queue in queues.map_err(while_doing("cannot read which queues there are"))? {
        export.jobs(&queue).await?;
    }
    let buckets = engine.blobs().buckets().await;
    for bucket in buckets.map_err(while_doing("cannot read which buckets of blobs there are"))? {
        export.blobs(&bucket).await?;
    }
    let Export {
        mut frames, totals, ..
    } = export;
    frames.write(END, &[&records::encode_end(&totals)]).await?;
    let bytes = frames.bytes();
    frames.end().await?;
    Ok(Totals { bytes, ..totals })
}

struct Export<'a, W> {
    engine: &'a dyn Engine,
    frames: FrameWriter<W>,
    totals: Totals,
    progress: &'a mut (dyn FnMut(&Totals) + Send),
}

impl<W: AsyncWrite + Unpin> Export<'_, W> {
    fn tell(&mut self) {
        self.totals.bytes = self.frames.bytes();
        (self.progress)(&self.totals);
    }

    async fn keys(&mut self, bucket: &Bucket) -> Result<(), TransferError> {
        let payload = records::encode_texts(&[bucket.as_str()]);
        self.frames.write(BUCKET, &[&payload]).await?;
        let mut scan = Scan {
            values: true,
            ..Scan::default()
        };
        loop {
            let page = self.engine.keys().scan(bucket, scan.clone()).await;
            let page = page.map_err(while_doing(format!(
                "cannot read the keys of the bucket {bucket}"
            )))?;
            for (key, entry) in &page.entries {
                let head = records::encode_key(key, entry.kind, entry.expires);
                if entry.kind == Kind::Plain {
                    self.frames.write(KEY, &[&head, &entry.value]).await?;
                } else {
                    let mut rest = entry.value.clone();
                    while rest.len() > STRUCTURE_PART_BYTES {
                        let part = rest.split_to(STRUCTURE_PART_BYTES);
                        self.frames.write(STRUCTURE_PART, &[&part]).await?;
                    }
                    self.frames.write(STRUCTURE, &[&head, &rest]).await?;
                }
                self.totals.keys += 1;
            }
            self.tell();
            match page.cursor {
                Some(cursor) => scan.after = Some(cursor),
                None => return Ok(()),
            }
        }
    }

    /// Jobs that failed before come first: whoever imports them lets them fail again, while nothing else is there.
    async fn jobs(&mut self, queue: &QueueName) -> Result<(), TransferError> {
        let payload = records::encode_texts(&[queue.as_str()]);
        self.frames.write(QUEUE, &[&payload]).await?;
        self.jobs_in(queue, &[JobState::Dead], |_| true).await?;
        self.jobs_in(queue, &LIVE_STATES, has_failed).await?;
        self.jobs_in(queue, &LIVE_STATES, |job| !has_failed(job)).await
    }

    /// The jobs in these states, by id.
    async fn jobs_in(
        &mut self,
        queue: &QueueName,
        states: &[JobState],
        is_wanted: fn(&Peeked) -> bool,
    ) -> Result<(), TransferError> {
        let mut lines: Vec<_> = states.iter().map(|state| Line::new(*state)).collect();
        loop {
            for line in &mut lines {
                line.fill(self.engine, queue).await?;
            }
            let first = lines
                .iter_mut()
                .filter_map(|line| Some((line.jobs.last()?.job.id, line)))
                .min_by_key(|(id, _)| *id);
            let Some(job) = first.and_then(|(_, line)| line.jobs.pop()) else {
                self.tell();
                return Ok(());
            };
            if is_wanted(&job) {
                self.frames.write(JOB, &[&records::encode_job(&job)]).await?;
                self.totals.jobs += 1;
            }
        }
    }

    async fn blobs(&mut self, bucket: &Bucket) -> Result<(), TransferError> {
        let mut after = None;
        loop {
            let page = self
                .engine
                .blobs()
                .list(bucket, "", after.as_deref(), LIST_MAX)
                .await;
            let page = page.map_err(while_doing(format!(
                "cannot list the blobs of the bucket {bucket}"
            )))?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.name.clone());
            for info in &page {
                self.blob(bucket, &info.name).await?;
            }
        }
    }

    async fn blob(&mut self, bucket: &Bucket, name: &str) -> Result<(), TransferError> {
        let cannot = || while_doing(format!("cannot read the blob {name:?} of the bucket {bucket}"));
        let reader = self
            .engine
            .blobs()
            .get(bucket, name, None)
            .await
            .map_err(cannot())?;
        // It went since it was listed.
        let Some(reader) = reader else { return Ok(()) };
        let content_type = reader.info.content_type.as_deref().unwrap_or_default();
        let payload = records::encode_texts(&[bucket.as_str(), name, content_type]);
        self.frames.write(BLOB, &[&payload]).await?;
        let mut parts = pin!(reader.parts);
        while let Some(part) = parts.next().await {
            self.frames.write(PART, &[&part.map_err(cannot())?]).await?;
            self.tell();
        }
        self.frames.write(BLOB_END, &[&reader.info.sha256]).await?;
        self.totals.blobs += 1;
        Ok(())
    }
}

fn has_failed(job: &Peeked) -> bool {
    super::import::failed_attempts(job) > 0
}

/// The jobs of one state, page by page.
struct Line {
    state: JobState,
    /// The first one last.
    jobs: Vec<Peeked>,
    after: Option<JobId>,
    ended: bool,
}

impl Line {
    fn new(state: JobState) -> Self {
        Self {
            state,
            jobs: Vec::new(),
            after: None,
            ended: false,
        }
    }

    async fn fill(&mut self, engine: &dyn Engine, queue: &QueueName) -> Result<(), TransferError> {
        if self.ended || !self.jobs.is_empty() {
            return Ok(());
        }
        let page = engine
            .queues()
            .peek(queue, self.state, self.after, JOBS_MAX)
            .await;
        self.jobs = page.map_err(while_doing(format!("cannot read the jobs of the queue {queue}")))?;
        match self.jobs.last() {
            Some(last) => self.after = Some(last.job.id),
            None => self.ended = true,
        }
        self.jobs.reverse();
        Ok(())
    }
}
