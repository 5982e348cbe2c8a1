//! Parts that nobody wants: what their taking away needs to know, and who sees to it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use switchboard_engine::{Result, Timestamp};

use crate::keys::Shared;
use crate::link::{Committed, Outgoing, Read};
use crate::names::Stream;

/// Longest time to write a blob. What was begun before that and is not finished is taken away.
const WRITING_MAX: Duration = Duration::from_secs(24 * 3600);

/// How often what was left lying is looked for, at each hub.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// The note that a blob was finished is kept so long.
const FINISHED_KEPT: Duration = Duration::from_secs(60);

/// What is noted of the parts under one id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// They are being written, since then.
    Writing(Timestamp),
    /// They are those of a blob.
    Finished,
    /// They are to be taken away.
    Unwanted,
}

impl Work {
    pub(super) fn message(self, shared: &Shared, id: &str, expected: Option<u64>) -> Outgoing {
        Outgoing {
            subject: shared.link.names.work(id),
            expected,
            about: None,
            again: false,
            record: match self {
                Self::Writing(since) => format!("w {}", since.as_millis()),
                Self::Finished => "f".to_owned(),
                Self::Unwanted => "u".to_owned(),
            },
            ttl: (self == Self::Finished).then_some(FINISHED_KEPT),
            body: Bytes::new(),
        }
    }

    fn of(record: &str) -> Option<Self> {
        match record.split_once(' ') {
            Some(("w", since)) => Some(Self::Writing(Timestamp::from_millis(since.parse().ok()?))),
            None if record == "u" => Some(Self::Unwanted),
            None if record == "f" => Some(Self::Finished),
            _ => None,
        }
    }
}

/// Takes the parts under an id away, then what was noted of them.
///
/// # Errors
/// Unavailable.
pub(super) async fn discard(shared: &Shared, id: &str) -> Result<()> {
    let names = &shared.link.names;
    shared.link.purge(Stream::Parts, &names.parts(id), None).await?;
    shared.link.purge(Stream::Keys, &names.work(id), None).await
}

/// Looks at first, and then now and again, for what was left lying.
pub(super) fn start(shared: &Arc<Shared>) {
    let (shared, closed) = (Arc::clone(shared), shared.link.closed.clone());
    tokio::spawn(closed.run_until_cancelled_owned(async move {
        loop {
            if let Err(error) = sweep(&shared).await {
                tracing::debug!("parts of blobs that nobody wants are left for later: {error}");
            }
            // Not all hubs that were started together at one time.
            tokio::time::sleep(SWEEP_EVERY.mul_f64(0.5 + fastrand::f64())).await;
        }
    }));
}

async fn sweep(shared: &Arc<Shared>) -> Result<()> {
    let filter = shared.link.names.work("*");
    let ids = shared.register.all(&shared.link, Stream::Keys, &filter).await?;
    for id in ids {
        let subject = shared.link.names.work(&id);
        let Read::All(found) = shared.link.latest(Stream::Keys, &[subject]).await? else {
            continue;
        };
        let Some(found) = found.first() else { continue };
        match Work::of(&found.record) {
            Some(Work::Unwanted) => discard(shared, &id).await?,
            Some(Work::Writing(since)) if shared.link.clock.now().since(since) > WRITING_MAX => {
                // Whoever is still at it cannot finish it then.
                let unwanted = Work::Unwanted.message(shared, &id, Some(found.sequence));
                if shared.link.commit(Stream::Keys, &[unwanted]).await? != Committed::Conflict {
                    discard(shared, &id).await?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}
