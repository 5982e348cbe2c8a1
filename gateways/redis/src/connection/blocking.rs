//! Commands that wait for elements.

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::{End, Talk, until};
use crate::clients::Order;
use crate::command::Patience;
use crate::conversation::returned;
use crate::edit::KeyCommands;
use crate::refusal::Refusal;

const UNBLOCKED: Refusal = Refusal::new("UNBLOCKED client unblocked via CLIENT UNBLOCK");

/// What came of a try.
enum Try {
    /// It is answered.
    Done,
    /// There is nothing yet.
    Nothing(Box<KeyCommands>),
}

impl Talk {
    /// Tries, and waits until it is worth while to try again.
    pub(super) async fn wait(&mut self, edit: Box<KeyCommands>, patience: Patience) -> Result<(), End> {
        let timeout = edit.first_args().map_or(Ok(None), |args| patience.timeout(args));
        let deadline = match timeout {
            Ok(timeout) => timeout.map(|timeout| Instant::now() + timeout),
            Err(refusal) => {
                self.conversation.reply.refusal(&refusal);
                return Ok(());
            }
        };
        let shared = self.conversation.shared.clone();
        let mut edit = if shared.waiting.is_promised(self.conversation.database, &edit.keys) {
            edit
        } else {
            match self.attempt(edit).await {
                Try::Done => return Ok(()),
                Try::Nothing(edit) => edit,
            }
        };
        edit.is_waiting = true;
        // It may stay for long: what was read with it does not.
        edit.unshare();
        self.flush().await?;
        let client = self.conversation.client.clone();
        client.state.lock().is_blocked = true;
        let ticket = shared.waiting.enter(self.conversation.database, &edit.keys);
        let mut watch = self.conversation.watch(&edit.keys).await;
        let mut is_behind = ticket.is_behind;
        let outcome = loop {
            if !std::mem::take(&mut is_behind) {
                edit = match self.attempt(edit).await {
                    Try::Done => break Ok(()),
                    Try::Nothing(edit) => edit,
                };
                // Somebody behind may wait for what is nothing for this one.
                ticket.pass();
            }
            tokio::select! {
                biased;
                () = ticket.woken() => {}
                () = watch.changed() => {}
                order = client.ordered() => match order {
                    Order::Kill => break Err(End::Killed),
                    Order::Drain => break Err(End::Drained),
                    Order::Unblock => {
                        self.conversation.reply.refusal(&UNBLOCKED);
                        break Ok(());
                    }
                    Order::Timeout => {
                        self.conversation.reply.null_array();
                        break Ok(());
                    }
                },
                end = Self::listen(&mut self.read, &mut self.buffer, self.conversation.shared.options.unanswered_bytes_max) => break Err(end),
                () = until(deadline) => {
                    self.conversation.reply.null_array();
                    break Ok(());
                }
            }
        };
        drop(ticket);
        client.state.lock().is_blocked = false;
        outcome
    }

    async fn attempt(&mut self, edit: Box<KeyCommands>) -> Try {
        let outcome = match self.conversation.start(edit) {
            Ok(Ok(edit)) => Ok(edit),
            Ok(Err(stored)) => stored.await.map_err(Refusal::from).and_then(returned),
            Err(refusal) => Err(refusal),
        };
        match outcome {
            Ok(edit) => {
                if edit.reply.len() == 0 {
                    return Try::Nothing(edit);
                }
                self.conversation.finish(edit);
            }
            Err(refusal) => self.conversation.reply.refusal(&refusal),
        }
        Try::Done
    }

    /// Notices when the client goes away; what it sends until then is for later, and is taken in within bounds.
    async fn listen(read: &mut switchboard_net::ReadHalf, buffer: &mut BytesMut, bytes_max: usize) -> End {
        loop {
            if buffer.len() >= bytes_max {
                return std::future::pending().await;
            }
            match read.read_buf(buffer).await {
                Ok(0) => return End::Gone,
                Ok(_) => {}
                Err(error) => return End::Broken(error),
            }
        }
    }
}
