//! Answers that are several messages.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::{Client, Message};
use futures_util::StreamExt;
use parking_lot::Mutex;
use switchboard_engine::{EngineError, Result};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

type Open = Arc<Mutex<HashMap<u64, mpsc::UnboundedSender<Message>>>>;

/// One subscription under which all requests get their answers.
#[derive(Debug)]
pub(super) struct Inboxes {
    stem: String,
    open: Open,
    next: AtomicU64,
}

/// Where the answers to one request arrive. What was asked for bounds how many they are.
#[derive(Debug)]
pub(super) struct Inbox {
    number: u64,
    pub(super) subject: String,
    pub(super) messages: mpsc::UnboundedReceiver<Message>,
    open: Open,
}

impl Inboxes {
    pub(super) async fn open(client: &Client, closed: CancellationToken) -> Result<Self> {
        let stem = client.new_inbox();
        let mut answers = client
            .subscribe(format!("{stem}.*"))
            .await
            .map_err(|error| EngineError::Failed(error.to_string()))?;
        let open = Open::default();
        let inboxes = Arc::clone(&open);
        tokio::spawn(closed.run_until_cancelled_owned(async move {
            while let Some(message) = answers.next().await {
                let number = message
                    .subject
                    .rsplit_once('.')
                    .and_then(|(_, token)| token.parse().ok());
                if let Some(inbox) = number.and_then(|number: u64| inboxes.lock().get(&number).cloned()) {
                    // Nobody waits for it any more: that is all right.
                    let _ = inbox.send(message);
                }
            }
        }));
        Ok(Self {
            stem,
            open,
            next: AtomicU64::new(0),
        })
    }

    pub(super) fn inbox(&self) -> Inbox {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, messages) = mpsc::unbounded_channel();
        self.open.lock().insert(number, sender);
        Inbox {
            number,
            subject: format!("{}.{number}", self.stem),
            messages,
            open: Arc::clone(&self.open),
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.open.lock().remove(&self.number);
    }
}
