//! A call that somebody watches: told when it is over, and how it went.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::cork;
use crate::fault::Fault;
use crate::reply::unanswered;

/// Is told of the end of calls: counts and measures them, for one who hands calls on.
pub trait CallWatch: Send + Sync {
    /// A call is over: it was answered, or its streamed answer has ended; with a fault or without.
    ///
    /// `tag` and `time` are what [`Watched::new`] was given, and how long ago it was since. Runs in the task of whoever
    /// answers, before the caller has the answer: it must not block.
    fn ended(&self, tag: usize, time: Duration, fault: Option<&Fault>);
}

/// The watch over one call: given to its [`Replier`](crate::Replier::hold), it ends when the call does. Dropped before
/// that, the call counts as one that nobody answered.
pub struct Watched {
    /// Until the end.
    watch: Option<Arc<dyn CallWatch>>,
    tag: usize,
    since: Instant,
}

impl Watched {
    /// A call that began at `since`, such as its [`arrival`](crate::arrival). `tag` is whatever its watch wants to know
    /// it by.
    pub fn new(watch: Arc<dyn CallWatch>, tag: usize, since: Instant) -> Self {
        Self {
            watch: Some(watch),
            tag,
            since,
        }
    }

    /// The call is over.
    pub(crate) fn end(mut self, fault: Option<&Fault>) {
        self.tell(fault);
    }

    fn tell(&mut self, fault: Option<&Fault>) {
        if let Some(watch) = self.watch.take() {
            let arrival = cork::arrival();
            // Answered in the batch that it came with, as by one who answers at once: how long that took, only the
            // clock can tell.
            let time = if arrival > self.since {
                arrival - self.since
            } else {
                self.since.elapsed()
            };
            watch.ended(self.tag, time, fault);
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.watch.is_some() {
            self.tell(Some(&unanswered()));
        }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("tag", &self.tag)
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}
