//! Streams of parts: the body of a streamed request, or a streamed result.
//!
//! A [`PartSender`] writes either straight onto a connection or into memory, where a [`PartReceiver`] reads it. Both
//! push back: a sender waits while the connection, or the reader, is behind.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::cork;
use crate::fault::Fault;
use crate::reply::CallGuard;
use crate::watched::Watched;
use crate::wire_parts::WireParts;

/// What a part costs beside its bytes, in bytes: its entry in the queue. Counted, or a stream of single bytes would
/// take many times its bound.
const PART_COST_BYTES: usize = size_of::<Bytes>();

/// Nobody reads the stream any more: its reader, or its connection, is gone. Stop producing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody reads this stream any more")]
pub struct Unread;

/// So that a handler may end by `?` when its caller has gone.
impl From<Unread> for Fault {
    fn from(unread: Unread) -> Self {
        Self::failed(unread.to_string())
    }
}

/// Makes a stream in memory. Its sender waits while `bytes_max` or more bytes are unread; each part counts a few bytes
/// more than it has.
pub fn parts(bytes_max: usize) -> (PartSender, PartReceiver) {
    let pipe = Arc::new(Pipe {
        // With a bound of nothing there would never be room.
        bytes_max: bytes_max.max(1),
        state: Mutex::new(State {
            queue: VecDeque::new(),
            bytes: 0,
            end: None,
            reader_gone: false,
            reader: None,
            writers: Vec::new(),
        }),
    });
    (
        PartSender(Target::Memory(Arc::clone(&pipe), None)),
        PartReceiver { pipe, call: None },
    )
}

/// The writing end of a stream.
///
/// Call [`finish`](Self::finish) or [`fail`](Self::fail) at the end. Dropped without either, the reader gets a fault:
/// a stream cut off is never taken for a whole one.
#[derive(Debug)]
pub struct PartSender(pub(crate) Target);

#[derive(Debug)]
pub(crate) enum Target {
    /// The pipe, and what ends with it.
    Memory(Arc<Pipe>, Option<Watched>),
    Wire(WireParts),
}

impl PartSender {
    /// Sends one part, waiting while the other end is behind. An empty part says nothing and is not sent.
    ///
    /// # Errors
    /// [`Unread`] once nobody reads; also for a part that is larger than a payload can be.
    ///
    /// # Cancel safety
    /// Either the part is sent whole or not at all.
    pub async fn send(&mut self, part: impl Into<Bytes>) -> Result<(), Unread> {
        let part = part.into();
        match &mut self.0 {
            Target::Memory(pipe, _) => poll_fn(|cx| pipe.poll_room(cx)).await,
            Target::Wire(wire) => wire.room().await,
        }
        self.push(part)
    }

    /// Sends one part now, whether or not there is room for it. For those who ask [`Self::poll_room`] first.
    pub(crate) fn push(&mut self, part: Bytes) -> Result<(), Unread> {
        if part.is_empty() {
            return Ok(());
        }
        match &mut self.0 {
            Target::Memory(pipe, _) => pipe.push(part),
            Target::Wire(wire) => wire.push(part),
        }
    }

    /// Whether the other end keeps up.
    pub(crate) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        match &self.0 {
            Target::Memory(pipe, _) => pipe.poll_room(cx),
            Target::Wire(wire) => wire.poll_room(cx),
        }
    }

    /// Whether the reader is known to be gone.
    pub(crate) fn is_unread(&self) -> bool {
        match &self.0 {
            Target::Memory(pipe, _) => pipe.state.lock().reader_gone,
            Target::Wire(_) => false,
        }
    }

    /// Ends the stream: all was said.
    pub fn finish(mut self) {
        self.end(Ok(()));
    }

    /// Ends the stream with a fault.
    pub fn fail(mut self, fault: Fault) {
        self.end(Err(fault));
    }

    /// Has `held` end when the stream does.
    pub(crate) fn hold(&mut self, held: Option<Watched>) {
        if let Target::Memory(_, watched) = &mut self.0 {
            *watched = held;
        }
    }

    fn end(&mut self, end: Result<(), Fault>) {
        match &mut self.0 {
            Target::Memory(pipe, watched) => {
                if let Some(watched) = watched.take() {
                    watched.end(end.as_ref().err());
                }
                pipe.end(end);
            }
            Target::Wire(wire) => wire.end(end),
        }
    }
}

impl Drop for PartSender {
    fn drop(&mut self) {
        // The first end counts: after finish or fail this changes nothing.
        self.end(Err(crate::reply::unanswered()));
    }
}

/// The reading end of a stream in memory. Dropping it tells the sender to stop.
#[derive(Debug)]
pub struct PartReceiver {
    pipe: Arc<Pipe>,
    /// The call whose result this is: given up when the receiver is dropped before the end.
    pub(crate) call: Option<CallGuard>,
}

impl PartReceiver {
    /// The next part; `None` at the end of a whole stream, one `Err` at the end of a failed one.
    ///
    /// # Cancel safety
    /// No part is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<Bytes, Fault>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The polling form of [`Self::next`].
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        let mut state = self.pipe.state.lock();
        if let Some(part) = state.queue.pop_front() {
            state.bytes -= part.len() + PART_COST_BYTES;
            // Half the bound: the writer gets room for more than one part.
            let writers = if state.bytes <= self.pipe.bytes_max / 2 {
                std::mem::take(&mut state.writers)
            } else {
                Vec::new()
            };
            drop(state);
            writers.into_iter().for_each(cork::wake);
            return Poll::Ready(Some(Ok(part)));
        }
        match &mut state.end {
            Some(end) => {
                let end = std::mem::replace(end, Ok(()));
                drop(state);
                if let Some(call) = &mut self.call {
                    call.disarm();
                }
                Poll::Ready(end.err().map(Err))
            }
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Reads to the end and joins all parts.
    ///
    /// # Errors
    /// The fault that the stream ended with; an error of kind too large once more than `bytes_max` bytes have come.
    pub async fn collect(mut self, bytes_max: usize) -> Result<Bytes, Fault> {
        let mut whole = bytes::BytesMut::new();
        let mut first = Bytes::new();
        while let Some(part) = self.next().await.transpose()? {
            if first.len() + whole.len() + part.len() > bytes_max {
                return Err(Fault::error(
                    crate::ErrorKind::TooLarge,
                    format!("the stream is longer than the {bytes_max} bytes that fit one payload"),
                ));
            }
            if first.is_empty() && whole.is_empty() {
                first = part; // A stream of one part is not copied.
            } else {
                whole.extend_from_slice(&std::mem::take(&mut first));
                whole.extend_from_slice(&part);
            }
        }
        Ok(if whole.is_empty() { first } else { whole.freeze() })
    }
}

impl futures_util::Stream for PartReceiver {
    type Item = Result<Bytes, Fault>;

    fn poll_next(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_next(cx)
    }
}

impl Drop for PartReceiver {
    fn drop(&mut self) {
        let mut state = self.pipe.state.lock();
        state.reader_gone = true;
        state.queue.clear();
        state.bytes = 0;
        let writers = std::mem::take(&mut state.writers);
        drop(state);
        writers.into_iter().for_each(cork::wake);
    }
}

/// The memory between the two ends.
#[derive(Debug)]
pub(crate) struct Pipe {
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    queue: VecDeque<Bytes>,
    bytes: usize,
    end: Option<Result<(), Fault>>,
    reader_gone: bool,
    reader: Option<Waker>,
    writers: Vec<Waker>,
}

impl Pipe {
    fn push(&self, part: Bytes) -> Result<(), Unread> {
        let mut state = self.state.lock();
        if state.reader_gone || state.end.is_some() {
            return Err(Unread);
        }
        state.bytes += part.len() + PART_COST_BYTES;
        state.queue.push_back(part);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        Ok(())
    }

    fn end(&self, end: Result<(), Fault>) {
        let mut state = self.state.lock();
        if state.end.is_none() {
            state.end = Some(end);
            if let Some(reader) = state.reader.take() {
                drop(state);
                reader.wake();
            }
        }
    }

    fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.bytes < self.bytes_max || state.reader_gone || state.end.is_some() {
            return Poll::Ready(());
        }
        if !state.writers.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.writers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn parts_come_in_order_and_then_the_end() {
        let (mut sender, mut receiver) = parts(1024);
        sender.send("one").await.unwrap();
        sender.send(Bytes::new()).await.unwrap();
        sender.send("two").await.unwrap();
        sender.finish();
        assert_eq!(receiver.next().await, Some(Ok(Bytes::from("one"))));
        assert_eq!(receiver.next().await, Some(Ok(Bytes::from("two"))));
        assert_eq!(receiver.next().await, None);
        assert_eq!(receiver.next().await, None);
    }

    #[tokio::test]
    async fn a_sender_that_is_dropped_early_is_a_fault_and_not_an_end() {
        let (mut sender, mut receiver) = parts(1024);
        sender.send("half").await.unwrap();
        drop(sender);
        assert_eq!(receiver.next().await, Some(Ok(Bytes::from("half"))));
        assert!(receiver.next().await.unwrap().unwrap_err().is_retry());
        assert_eq!(receiver.next().await, None);
    }

    #[tokio::test]
    async fn a_sender_waits_for_its_reader() {
        let (mut sender, mut receiver) = parts(4);
        sender.send("1234").await.unwrap();
        let mut blocked = tokio_test_task(async move {
            sender.send("5").await.unwrap();
            sender.finish();
        });
        assert!(!blocked.ready().await, "a full stream must hold its sender back");
        assert_eq!(receiver.next().await, Some(Ok(Bytes::from("1234"))));
        assert!(blocked.ready().await, "there is room again");
        assert_eq!(receiver.next().await, Some(Ok(Bytes::from("5"))));
        assert_eq!(receiver.next().await, None);
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_frees_its_sender() {
        let (mut sender, receiver) = parts(1);
        sender.send("x").await.unwrap();
        drop(receiver);
        assert_eq!(sender.send("y").await, Err(Unread));
    }

    #[tokio::test]
    async fn collect_joins_and_bounds() {
        let (mut sender, receiver) = parts(1024);
        sender.send("ab").await.unwrap();
        sender.send("cd").await.unwrap();
        sender.finish();
        assert_eq!(receiver.collect(4).await, Ok(Bytes::from("abcd")));
        let (mut sender, receiver) = parts(1024);
        sender.send("ab").await.unwrap();
        sender.send("cd").await.unwrap();
        sender.finish();
        assert!(matches!(
            receiver.collect(3).await,
            Err(Fault::Error {
                kind: crate::ErrorKind::TooLarge,
                ..
            })
        ));
    }

    /// A future that a test drives a step at a time.
    struct Stepped(std::pin::Pin<Box<dyn Future<Output = ()>>>, bool);

    fn tokio_test_task(future: impl Future<Output = ()> + 'static) -> Stepped {
        Stepped(Box::pin(future), false)
    }

    impl Stepped {
        async fn ready(&mut self) -> bool {
            if !self.1 {
                self.1 = futures_util::future::poll_immediate(self.0.as_mut())
                    .await
                    .is_some();
            }
            self.1
        }
    }
}
