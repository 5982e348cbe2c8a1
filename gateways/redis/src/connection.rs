//! One connection: reads what has come, does all of it in order, and writes the answers together.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use futures_util::FutureExt;
use switchboard_hub::Closed;
use switchboard_net::{ReadHalf, Stream, WriteHalf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::args::Args;
use crate::clients::{Client, Order};
use crate::conversation::{Conversation, Step};
use crate::refusal::Refusal;
use crate::request::{RequestError, Requests};
use crate::stats::Counters;
use crate::subscriptions::Subscriptions;

mod blocking;

/// Bytes read at once, at first; twice as many whenever that is filled.
const READ_BYTES_MIN: usize = 4 * 1024;

/// Bytes read at once, at most: so a long pipeline is done in parts, and others have their turn.
const READ_BYTES_MAX: usize = 64 * 1024;

/// After so many commands others have their turn, if there are more.
const TURN_COMMANDS: usize = 4096;

/// Memory for answers that is kept while there are none.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// A client that talks.
pub(crate) struct Talk {
    read: ReadHalf,
    write: WriteHalf,
    buffer: BytesMut,
    requests: Requests,
    /// Of the command at hand; their memory is used again.
    args: Args,
    conversation: Conversation,
    read_bytes: usize,
    /// Whether something came while answers were written.
    has_more: bool,
    /// Whether the client sends nothing more.
    is_half_closed: bool,
}

/// Why it ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The client went away.
    Gone,
    /// It said good-bye, or was told so in the last answer.
    Quit,
    /// Somebody ended it.
    Killed,
    /// The daemon goes down.
    Drained,
    /// It was silent for too long.
    Idle,
    /// It did not take its replies.
    Unread,
    /// It was too slow for what it subscribed to.
    TooSlow,
    /// What came is no Redis.
    Malformed(RequestError),
    /// The connection broke.
    Broken(io::Error),
}

impl From<Closed> for End {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::TooSlow => Self::TooSlow,
            Closed::Session => Self::Killed,
        }
    }
}

impl End {
    /// Logs and counts it.
    pub(crate) fn tell(self, client: &Client, counters: &Counters) {
        let address = &client.address;
        match self {
            Self::Unread => {
                Counters::add(&counters.unread, 1);
                tracing::warn!(address, "closing a connection that does not take its replies");
            }
            Self::TooSlow => {
                Counters::add(&counters.too_slow, 1);
                tracing::warn!(
                    address,
                    "closing a connection that is too slow for what it subscribed to"
                );
            }
            Self::Malformed(error) => {
                Counters::add(&counters.malformed, 1);
                tracing::info!(address, %error, "closing a connection that is not understood");
            }
            Self::Broken(error) => tracing::debug!(address, %error, "connection broken"),
            other => tracing::debug!(address, reason = ?other, "connection closed"),
        }
    }
}

impl Talk {
    pub(crate) fn new(stream: Stream, conversation: Conversation) -> Self {
        let (read, write) = stream.into_split();
        Self {
            read,
            write,
            buffer: BytesMut::new(),
            requests: Requests::new(conversation.shared.options.request),
            args: Args::default(),
            conversation,
            read_bytes: READ_BYTES_MIN,
            has_more: false,
            is_half_closed: false,
        }
    }

    /// Talks to the end.
    pub(crate) async fn run(mut self) -> End {
        let end = loop {
            if let Err(end) = self.turn().await {
                break end;
            }
        };
        if matches!(end, End::Quit | End::Malformed(_) | End::Drained) {
            // The last answer, such as why it ends.
            let _ = self.flush().await;
            let _ = timeout(
                self.conversation.shared.options.write_timeout,
                self.write.shutdown(),
            )
            .await;
        }
        end
    }

    async fn turn(&mut self) -> Result<(), End> {
        self.work().await?;
        self.has_more = false;
        if self.conversation.reply.len() > 0 {
            others_first().await;
        }
        self.conversation.hear_now()?;
        self.flush().await?;
        if self.has_more {
            return Ok(());
        }
        self.more().await
    }

    /// Does all that has come.
    async fn work(&mut self) -> Result<(), End> {
        let mut done = 0;
        let outcome = loop {
            match self.requests.next(&mut self.buffer, self.args.words()) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => {
                    self.settle().await?;
                    self.conversation
                        .reply
                        .refusal(&Refusal::of(format!("ERR {error}")));
                    break Err(End::Malformed(error));
                }
            }
            done += 1;
            if self.conversation.gather(&mut self.args) {
                continue;
            }
            self.settle().await?;
            if let Err(end) = self.command().await {
                break Err(end);
            }
            if self.conversation.reply.len() >= self.conversation.shared.options.replies_bytes_max {
                self.flush().await?;
            }
            if done % TURN_COMMANDS == 0 {
                self.settle().await?;
                tokio::task::yield_now().await;
            }
        };
        if outcome.is_ok() {
            self.settle().await?;
        }
        if done > 0 {
            Counters::add(&self.conversation.shared.counters.commands, done as u64);
            self.conversation.note();
        }
        outcome
    }

    async fn command(&mut self) -> Result<(), End> {
        let mut from = self.conversation.reply.len();
        let step = self.conversation.execute(&mut self.args);
        // What was read is a part of a buffer that others wait for.
        self.args.clear();
        let end = match step {
            Step::Done => Ok(()),
            Step::Close => Err(End::Quit),
            step => {
                let begin = std::mem::take(&mut from);
                self.finish(step, begin).await
            }
        };
        self.conversation.hush(from);
        end
    }

    /// Does what was gathered.
    async fn settle(&mut self) -> Result<(), End> {
        while self.conversation.has_gathered() {
            let from = self.conversation.reply.len();
            match self.conversation.settle() {
                Step::Done => {}
                step => self.finish(step, from).await?,
            }
            if self.conversation.reply.len() >= self.conversation.shared.options.replies_bytes_max {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Does what is left of a command, whose answer begins there. It may take long: what others were answered does not
    /// wait for it.
    async fn finish(&mut self, step: Step, from: usize) -> Result<(), End> {
        if from > 0 {
            let answered = self.conversation.reply.bytes().split_off(from);
            self.flush().await?;
            self.conversation.reply.raw(&answered);
        }
        Box::pin(self.slowly(step)).await
    }

    /// What takes time. Others see meanwhile what it is.
    async fn slowly(&mut self, step: Step) -> Result<(), End> {
        self.conversation.note();
        match step {
            Step::Done => {}
            Step::Close => return Err(End::Quit),
            Step::Wait(edit, patience) => return self.wait(edit, patience).await,
            Step::Edit(stored, count) => {
                let outcome = stored.await;
                let conversation = &mut self.conversation;
                match outcome
                    .map_err(Refusal::from)
                    .and_then(crate::conversation::returned)
                {
                    Ok(edit) => conversation.finish(edit),
                    Err(refusal) => conversation.refuse(&refusal, count),
                }
            }
            Step::Later(later) => {
                let client = self.conversation.client.clone();
                tokio::select! {
                    () = self.conversation.hear(later) => {}
                    () = client.killed() => return Err(End::Killed),
                }
            }
            step @ (Step::Execute(_) | Step::Conclude(..)) => {
                if let Err(refusal) = self.conversation.concluded(step).await {
                    self.conversation.reply.refusal(&refusal);
                }
            }
        }
        Ok(())
    }

    /// Writes all answers.
    async fn flush(&mut self) -> Result<(), End> {
        while self.conversation.reply.len() > 0 {
            let bytes = self.conversation.reply.bytes();
            match self.write.write(bytes).now_or_never() {
                Some(Ok(0)) => return Err(End::Gone),
                Some(Ok(written)) => bytes.advance(written),
                Some(Err(error)) => return Err(End::Broken(error)),
                None => Box::pin(self.flush_slowly()).await?,
            }
        }
        if !matches!(self.write.flush().now_or_never(), Some(Ok(()))) {
            let patience = self.conversation.shared.options.write_timeout;
            match timeout(patience, self.write.flush()).await {
                Ok(flushed) => flushed.map_err(End::Broken)?,
                Err(_) => return Err(End::Unread),
            }
        }
        self.conversation.reply.shrink(KEPT_BYTES_MAX);
        Ok(())
    }

    /// Writes to a client that takes its time. It may still be sending, and take no answer before it is done: so what
    /// it sends is taken in meanwhile.
    async fn flush_slowly(&mut self) -> Result<(), End> {
        let Conversation {
            shared,
            reply,
            client,
            subscriptions,
            ..
        } = &mut self.conversation;
        let options = &shared.options;
        let (patience, unanswered_max) = (options.write_timeout, options.unanswered_bytes_max);
        let mut deadline = Instant::now() + patience;
        while reply.len() > 0 {
            let bytes = reply.bytes();
            let may_read = !self.is_half_closed && self.buffer.len() < unanswered_max;
            if may_read {
                self.buffer.reserve(self.read_bytes);
            }
            tokio::select! {
                biased;
                written = self.write.write(bytes) => match written {
                    Ok(0) => return Err(End::Gone),
                    Ok(written) => {
                        bytes.advance(written);
                        deadline = Instant::now() + patience;
                    }
                    Err(error) => return Err(End::Broken(error)),
                },
                read = self.read.read_buf(&mut self.buffer), if may_read => {
                    self.is_half_closed = read.map_err(End::Broken)? == 0;
                    self.has_more = true;
                }
                closed = Subscriptions::closed(subscriptions) => return Err(closed.into()),
                () = client.killed() => return Err(End::Killed),
                () = sleep_until(deadline) => return Err(End::Unread),
            }
        }
        Ok(())
    }

    /// Waits for more.
    async fn more(&mut self) -> Result<(), End> {
        if self.is_half_closed {
            return Err(End::Gone);
        }
        match self.conversation.client.take_order() {
            Some(Order::Kill) => return Err(End::Killed),
            Some(Order::Drain) => return Err(End::Drained),
            // It waits for nothing.
            Some(Order::Timeout | Order::Unblock) | None => {}
        }
        self.buffer.reserve(self.read_bytes);
        let idle_timeout = self.conversation.idle_timeout();
        let Conversation {
            client,
            subscriptions,
            reply,
            ..
        } = &mut self.conversation;
        tokio::select! {
            // Under load there is more already, and nothing else is looked at.
            biased;
            read = self.read.read_buf(&mut self.buffer) => self.took(read),
            heard = Subscriptions::listen(subscriptions, reply) => heard.map_err(End::from),
            order = client.ordered() => match order {
                Order::Kill => Err(End::Killed),
                Order::Drain => Err(End::Drained),
                Order::Timeout | Order::Unblock => Ok(()),
            },
            () = passed(idle_timeout) => Err(End::Idle),
        }
    }

    fn took(&mut self, read: io::Result<usize>) -> Result<(), End> {
        match read {
            Ok(0) => {
                self.is_half_closed = true;
                Err(End::Gone)
            }
            Ok(read) => {
                if read >= self.read_bytes {
                    self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
                }
                Ok(())
            }
            Err(error) => Err(End::Broken(error)),
        }
    }
}

/// Lets all tasks of this thread that are ready have their turn. Answers of several clients leave together then, as the
/// first of them would wake up whoever waits for all: with many clients in one process, that takes longer than the
/// commands do.
async fn others_first() {
    let mut had_turn = false;
    poll_fn(|context| {
        if std::mem::replace(&mut had_turn, true) {
            return Poll::Ready(());
        }
        // A task that wakes itself while it runs comes after all that are ready.
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Waits for so long; for ever, if nothing is said.
async fn passed(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => std::future::pending().await,
    }
}

/// Waits until that moment; for ever, if there is none.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
