//! A message on its way to those who were not ready for it.

use switchboard_peer::Fault;

use crate::retained::keeper::Kept;
use crate::subscription::Wait;

/// What became of a publish, see [`Session::publish_now`](crate::Session::publish_now).
///
/// Dropping it drops the message for the queues that it still waits for.
#[derive(Debug)]
#[must_use = "dropped, the message is dropped for the queues that are full and block"]
pub struct Published {
    pub(crate) subscriptions: usize,
    pub(crate) waits: Vec<Wait>,
    pub(crate) kept: Option<Kept>,
}

impl Published {
    /// How many subscriptions have the message so far.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions
    }

    /// Whether there is nothing to wait for.
    pub fn is_settled(&self) -> bool {
        self.waits.is_empty() && self.kept.is_none()
    }

    /// Waits for the queues that were full and block, at most as long as the longest of their bounds, since all are
    /// waited for at the same time; and, for a last value, until the engine has it. Tells how many subscriptions have
    /// the message in the end.
    ///
    /// # Errors
    /// When the message was published, but is not kept as the last value: Retry while the engine is away or full (it
    /// will be kept as soon as can be), Error if it cannot be kept.
    ///
    /// # Cancel safety
    /// Dropping the future drops the message for the queues that it still waits for. A last value is kept all the same.
    pub async fn settled(self) -> Result<usize, Fault> {
        let mut subscriptions = self.subscriptions;
        for wait in self.waits {
            subscriptions += usize::from(wait.admitted().await);
        }
        if let Some(kept) = self.kept {
            kept.done().await?;
        }
        Ok(subscriptions)
    }
}
