//! Messages told apart by a tag, over one byte stream.
//!
//! A stream of bformat messages, each beginning with a 64-bit tag (see [`switchboard_wire::tagged`]), is read by one
//! task, which puts each message into the queue of its tag, and written by another, which puts many into one system
//! call. Any task can wait for the messages of a tag, or send some.
//!
//! ```text
//! bytes ─► reader ─┬─► queue of a claimed tag ─► its receivers, in turns
//!                  └─► queue of the unclaimed ─► whoever claims the tag, or takes what comes
//! ```
//!
//! A tag is claimed while somebody has a [`TagClaim`] of it, or waits for it by [`TagQueues::receive`]. A slow tag holds
//! up nobody until its queue is full; then [`TagOptions::when_full`] says what gives. What is unclaimed never holds up
//! anything: over its own bound it is dropped and counted.

mod mailboxes;
mod options;
mod reading;
mod sending;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use switchboard_wire::tagged::Tagged;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use mailboxes::Mailboxes;
use sending::Outbox;

pub use options::{TagCounts, TagOptions, TagSendError, TagsEnded, Unclaimed, WhenFull};

/// A stream of tagged messages, both ways.
///
/// A handle: cheap to clone. When the last one is dropped, claims included, the stream is closed as by
/// [`close`](Self::close).
///
/// ```
/// use switchboard_peer::{TagOptions, TagQueues};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let (here, there) = tokio::io::duplex(1024);
/// let start = |stream| {
///     let (reader, writer) = tokio::io::split(stream);
///     TagQueues::start(reader, writer, TagOptions::default())
/// };
/// let (here, there) = (start(here), start(there));
/// there.send(7, "seven").await?;
/// there.send(8, "eight").await?;
/// assert_eq!(here.receive(8).await?, "eight");
/// assert_eq!(here.receive(7).await?, "seven");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TagQueues {
    handle: Arc<Handle>,
}

/// What all handles have in common. The two tasks have none: so the last one is noticed.
struct Handle {
    shared: Arc<Shared>,
}

/// What the handles and the two tasks share.
struct Shared {
    mailboxes: Mutex<Mailboxes>,
    /// Told when there may be room for the message that the reader holds.
    room: Notify,
    outbox: Outbox,
    /// Has the reader stop.
    stop: CancellationToken,
    /// Fires when the reader has ended.
    ended: CancellationToken,
    options: TagOptions,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl TagQueues {
    /// Begins to read and write. Must be called inside a tokio runtime.
    pub fn start<R, W>(reader: R, writer: W, options: TagOptions) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let shared = Arc::new(Shared {
            mailboxes: Mutex::new(Mailboxes::new(&options)),
            room: Notify::new(),
            outbox: Outbox::new(options.send_buffer_bytes, options.write_timeout),
            stop: CancellationToken::new(),
            ended: CancellationToken::new(),
            options,
        });
        tokio::spawn(reading::read(reader, Arc::clone(&shared)));
        let writing = Arc::clone(&shared);
        tokio::spawn(async move { writing.outbox.write_to(writer).await });
        Self {
            handle: Arc::new(Handle { shared }),
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    // ---- receiving

    /// Claims a tag: from now on, and until the claim is dropped, its messages wait in a queue of their own. Those that
    /// came before and are kept as unclaimed are the first of it. A tag can be claimed more than once; all claims
    /// share one queue.
    pub fn claim(&self, tag: u64) -> TagClaim {
        let ready = self.shared().mailboxes.lock().claim(tag);
        TagClaim {
            queues: self.clone(),
            tag,
            ready,
        }
    }

    /// Waits for one message of this tag, which is claimed until then. For more than one, [`claim`](Self::claim) it:
    /// what comes between two calls of this is unclaimed, and may be dropped as such.
    ///
    /// # Errors and cancel safety
    /// As [`TagClaim::receive`].
    pub async fn receive(&self, tag: u64) -> Result<Bytes, TagsEnded> {
        let kept = self.shared().mailboxes.lock().take_unclaimed_of(tag);
        match kept {
            Some(payload) => Ok(payload),
            None => self.claim(tag).receive().await,
        }
    }

    /// Waits for one message that nobody has claimed, the oldest first. Where several wait they take turns.
    ///
    /// # Errors
    /// How the stream ended, once all that came before has been received. With [`Unclaimed::Drop`] nothing ever comes.
    ///
    /// # Cancel safety
    /// No message is lost when the future is dropped.
    pub async fn receive_unclaimed(&self) -> Result<Tagged, TagsEnded> {
        let ready = self.shared().mailboxes.lock().unclaimed_ready();
        loop {
            let ended = match ready.acquire().await {
                Ok(permit) => {
                    permit.forget();
                    None
                }
                Err(_) => Some(self.shared().how_ended()),
            };
            let taken = self.shared().mailboxes.lock().take_unclaimed();
            match (taken, ended) {
                (Some(message), _) => return Ok(message),
                (None, Some(ended)) => return Err(ended),
                // Its tag was claimed meanwhile.
                (None, None) => {}
            }
        }
    }

    // ---- sending

    /// Sends one message. Waits while [`TagOptions::send_buffer_bytes`] or more wait to be written. Messages of one task
    /// keep their order.
    ///
    /// # Errors
    /// If the message is too long, or nothing more can be written. What was taken may still not arrive.
    ///
    /// # Cancel safety
    /// Sent whole or not at all.
    pub async fn send(&self, tag: u64, payload: impl Into<Bytes>) -> Result<(), TagSendError> {
        let payload = payload.into();
        let max = self.shared().options.message_bytes_max;
        if payload.len() > max {
            let size = payload.len();
            return Err(TagSendError::TooLarge { size, max });
        }
        self.shared().outbox.send(tag, payload).await
    }

    /// Sends no more: writes what was taken, then tells the other side that this was all. Receiving goes on. Returns
    /// when it is done.
    ///
    /// # Errors
    /// If not all could be written.
    ///
    /// # Cancel safety
    /// Dropped before its end, the rest is still written.
    pub async fn finish(&self) -> Result<(), TagsEnded> {
        self.shared().outbox.finish().await
    }

    // ---- the stream

    /// Ends the stream: reads no more, writes what was taken, and closes. Messages that have come can still be received.
    pub fn close(&self) {
        self.shared().close();
    }

    /// Waits until nothing more is read, and says why. Cancel safe.
    pub async fn closed(&self) -> TagsEnded {
        self.shared().ended.cancelled().await;
        self.shared().how_ended()
    }

    /// What has come so far, and what became of it.
    pub fn counts(&self) -> TagCounts {
        self.shared().mailboxes.lock().counts()
    }
}

impl Shared {
    fn close(&self) {
        // At once, so that whoever receives after this is not told otherwise.
        self.mailboxes.lock().end(TagsEnded::Local);
        self.stop.cancel();
        self.outbox.close();
    }

    fn how_ended(&self) -> TagsEnded {
        self.mailboxes.lock().how_ended()
    }

    /// Takes a message out of a queue, and tells the reader if it has one for the place.
    fn take(&self, tag: u64) -> Option<Bytes> {
        let mut mailboxes = self.mailboxes.lock();
        let taken = mailboxes.take(tag);
        let wanted = mailboxes.is_room_wanted();
        drop(mailboxes);
        if wanted {
            self.room.notify_one();
        }
        taken
    }

    fn release(&self, tag: u64) {
        let mut mailboxes = self.mailboxes.lock();
        mailboxes.release(tag);
        let wanted = mailboxes.is_room_wanted();
        drop(mailboxes);
        if wanted {
            self.room.notify_one();
        }
    }
}

/// The messages of one tag, for as long as this lives. What it leaves unread is unclaimed again.
pub struct TagClaim {
    queues: TagQueues,
    tag: u64,
    /// One permit a message in the queue; closed at the end of the stream.
    ready: Arc<Semaphore>,
}

impl TagClaim {
    /// The tag.
    pub fn tag(&self) -> u64 {
        self.tag
    }

    /// Waits for one message. Where several wait for one tag they take turns, in the order in which they began to.
    ///
    /// # Errors
    /// How the stream ended, once all that came before has been received.
    ///
    /// # Cancel safety
    /// No message is lost when the future is dropped; its turn goes to the next.
    pub async fn receive(&self) -> Result<Bytes, TagsEnded> {
        loop {
            let ended = match self.ready.acquire().await {
                Ok(permit) => {
                    permit.forget();
                    None
                }
                Err(_) => Some(self.queues.shared().how_ended()),
            };
            match (self.queues.shared().take(self.tag), ended) {
                (Some(payload), _) => return Ok(payload),
                (None, Some(ended)) => return Err(ended),
                // Another took it while the stream ended.
                (None, None) => {}
            }
        }
    }

    /// Sends one message with this tag.
    ///
    /// # Errors and cancel safety
    /// As [`TagQueues::send`].
    pub async fn send(&self, payload: impl Into<Bytes>) -> Result<(), TagSendError> {
        self.queues.send(self.tag, payload).await
    }
}

impl Drop for TagClaim {
    fn drop(&mut self) {
        self.queues.shared().release(self.tag);
    }
}

impl fmt::Debug for TagQueues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TagQueues")
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TagClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TagClaim")
            .field("tag", &self.tag)
            .finish_non_exhaustive()
    }
}
