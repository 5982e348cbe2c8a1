//! Tells of keys that expire, which happens without a command: by watching every database.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use switchboard_hub::keys::{WatchEvent, WatchFrom};
use switchboard_hub::{Changes, Fault, Session};

use crate::call::{Class, Event};
use crate::gateway::Shared;

/// How long to wait before watching again when a watch ended.
const AGAIN_WAIT: Duration = Duration::from_secs(1);

impl Shared {
    /// Begins to tell of keys that expire, if that is wanted and was not begun.
    pub(crate) fn watch_expiry(self: &Arc<Self>) {
        if !self.keyspace.wants_expired() || self.watches_expiry.swap(true, Ordering::AcqRel) {
            return;
        }
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            while shared.keyspace.wants_expired() && !shared.is_draining() {
                if let Err(fault) = shared.tell_expiry().await {
                    tracing::debug!(%fault, "keys that expire are told to nobody for now");
                }
                tokio::time::sleep(AGAIN_WAIT).await;
            }
            shared.watches_expiry.store(false, Ordering::Release);
        });
    }

    /// Tells of them until that is wanted no more, or a watch ends.
    async fn tell_expiry(self: &Arc<Self>) -> Result<(), Fault> {
        let session = self.open("keyspace events")?;
        let mut watches = Vec::new();
        for database in 0..self.options.databases {
            let changes = watch(&session, self, database).await?;
            watches.push(changes.map(move |event| (database, event)).boxed());
        }
        let mut events = futures_util::stream::select_all(watches);
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                // Nothing may happen for long, while that it is not wanted any more, or the end, is to be noticed.
                () = tokio::time::sleep(AGAIN_WAIT) => {
                    if !self.keyspace.wants_expired() || self.is_draining() {
                        return Ok(());
                    }
                    continue;
                }
            };
            let Some((database, event)) = event else {
                return Ok(());
            };
            if let WatchEvent::Delete {
                key, expired: true, ..
            } = event?
            {
                let expired = Event {
                    class: Class::Expired,
                    name: "expired",
                    key,
                };
                self.keyspace.tell(&session, database, &[expired]);
            }
        }
    }
}

async fn watch(session: &Session, shared: &Shared, database: u32) -> Result<Changes, Fault> {
    let watch = session.keys()?;
    let watch = watch.watch(shared.bucket(database), Bytes::new(), WatchFrom::Now)?;
    watch.await
}
