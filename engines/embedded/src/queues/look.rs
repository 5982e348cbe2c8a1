//! What goes over many jobs: looking at them, and taking all of a state away. In steps, so that no worker waits long.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use switchboard_engine::queues::{JobState, Peeked};
use switchboard_engine::{EngineError, QueueName, Result, Timestamp};

use super::core::{Core, Seen};
use super::record::{Kind, decode_body};
use super::shared::Shared;

/// Jobs that one step goes over under the lock of the queue: about a millisecond.
const STEP_JOBS: usize = 10_000;

/// Looks at jobs in a state, from an id on.
pub(crate) async fn peek(
    shared: Arc<Shared>,
    name: QueueName,
    state: JobState,
    from: u64,
    limit: usize,
) -> Result<Vec<Peeked>> {
    let mut sights = Vec::new();
    let mut next = Some(from);
    while let Some(from) = next.filter(|_| sights.len() < limit) {
        shared.check_open()?;
        let looked = shared.with_existing(&name, |core, now| {
            let walked = core.look(state, from, limit - sights.len(), STEP_JOBS);
            let until = |seen: &Seen| Core::due(&seen.slot).map(|due| now.wall_at(due));
            let seen = walked.outcome.into_iter().map(|seen| (until(&seen), seen));
            (seen.collect::<Vec<_>>(), walked.next)
        });
        let Some((seen, after)) = looked else { break };
        sights.extend(seen);
        next = after;
        tokio::task::yield_now().await;
    }
    let read = tokio::task::spawn_blocking(move || {
        let peeked = sights
            .into_iter()
            .map(|(until, seen)| whole(&shared, &name, until, seen));
        peeked.filter_map(Result::transpose).collect()
    });
    read.await
        .unwrap_or_else(|error| Err(EngineError::Failed(format!("reading jobs: {error}"))))
}

/// Adds what is only in the store; `None` if the job has ended meanwhile.
fn whole(shared: &Shared, queue: &QueueName, until: Option<Timestamp>, seen: Seen) -> Result<Option<Peeked>> {
    let body = match seen.body {
        Some(body) => Some(body),
        None => shared.read(Kind::Body, queue, seen.id)?,
    };
    let Some(body) = body else { return Ok(None) };
    let reason = match seen.reason {
        None if seen.slot.marks.reason => shared.read(Kind::Reason, queue, seen.id)?.map(text),
        reason => reason,
    };
    Ok(Some(Peeked {
        job: decode_body(seen.id, body)?,
        state: seen.slot.state,
        attempts: seen.slot.attempts,
        until,
        reason,
    }))
}

fn text(bytes: Bytes) -> ByteString {
    ByteString::try_from(bytes).unwrap_or_default()
}

/// Takes away all jobs that are in a state now.
pub(crate) async fn purge(shared: Arc<Shared>, name: QueueName, state: JobState) -> Result<u64> {
    let mut purged = 0;
    let mut next = Some(0);
    let mut end = None;
    while let Some(from) = next {
        shared.ready().await?;
        shared.check_open()?;
        // Jobs of later ids came later: without an end, they might come forever.
        let end = match end {
            Some(end) => end,
            None => *end.insert(shared.ids.peek()),
        };
        let walked = shared.with_existing(&name, |core, _| core.purge(state, from, end, STEP_JOBS));
        let Some(walked) = walked else { break };
        purged += walked.outcome;
        next = walked.next;
        tokio::task::yield_now().await;
    }
    Ok(purged)
}
