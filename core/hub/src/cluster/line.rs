//! One call between two hubs: saying and hearing, in order and with back pressure.
//!
//! Each direction has a window: who sends a body or a result may have [`WINDOW_BYTES`] on the way that the other end
//! has not read, and gets credit as it reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use switchboard_peer::{ErrorKind, Fault, PartReceiver, PartSender, Unread};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::letter::{CallId, Content, HubId, LETTER_OVERHEAD_BYTES, Letter, Opening, Said};
use super::{Cluster, DOWN, lost};

/// What may be on the way in one direction of one call.
pub(crate) const WINDOW_BYTES: usize = 256 * 1024;

/// Most bytes in a piece, so that several fit into the window.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// Most bytes in one part that comes in pieces; as much as a value may have.
const PART_BYTES_MAX: usize = 64 * 1024 * 1024;

/// At which end of a call this hub is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    Caller,
    Responder,
}

/// What was heard of a call, with its serial.
pub(crate) type Heard = (u32, Said);

/// The hearing end. Dropping it forgets the call.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) speaker: Arc<Speaker>,
    heard: mpsc::UnboundedReceiver<Heard>,
    expected: u32,
    /// Fires when the hub at the other end was lost, or letters between it and this one may have been.
    lost: CancellationToken,
}

/// The saying end.
#[derive(Debug)]
pub(crate) struct Speaker {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) to: HubId,
    pub(crate) call: CallId,
    pub(crate) side: Side,
    /// Held while a letter is published, so that they leave in order.
    serial: Mutex<u32>,
}

impl Line {
    pub(crate) fn new(
        cluster: &Arc<Cluster>,
        to: HubId,
        call: CallId,
        side: Side,
        lost: CancellationToken,
    ) -> Self {
        let (hears, heard) = mpsc::unbounded_channel();
        cluster.calls.lock().insert((call, side), hears);
        Self {
            speaker: Arc::new(Speaker {
                cluster: Arc::clone(cluster),
                to,
                call,
                side,
                serial: Mutex::new(0),
            }),
            heard,
            expected: 0,
            lost,
        }
    }

    /// The opening was heard already.
    pub(crate) fn begun(&mut self) {
        self.expected = 1;
    }

    /// What the other hub says next.
    ///
    /// # Errors
    /// Retry, when the other hub was lost, or something on the way.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn hear(&mut self) -> Result<Said, Fault> {
        let heard = tokio::select! {
            biased;
            heard = self.heard.recv() => heard,
            () = self.lost.cancelled() => return Err(lost("the hub at the other end of the call was lost, or the way to it")),
        };
        match heard {
            Some((serial, said)) if serial == self.expected => {
                self.expected = self.expected.wrapping_add(1);
                Ok(said)
            }
            Some(_) => Err(lost("a message between two hubs was lost")),
            None => Err(lost(DOWN)),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let Speaker {
            cluster, call, side, ..
        } = &*self.speaker;
        cluster.calls.lock().remove(&(*call, *side));
        cluster.released.notify_waiters();
    }
}

impl Speaker {
    /// Says something to the other hub.
    ///
    /// # Errors
    /// Retry while the bus is away. Unless the call begins with it, the other hub learns that it waits in vain.
    pub(crate) fn say(&self, said: Said) -> Result<(), Fault> {
        let is_opening = matches!(said, Said::Open(..));
        let mut serial = self.serial.lock();
        let letter = Letter {
            from: self.cluster.id,
            content: Content::Call {
                call: self.call,
                serial: *serial,
                said,
            },
        };
        self.cluster.send(self.to, &letter).inspect_err(|fault| {
            if fault.is_retry() && !is_opening {
                self.cluster.lost_letters();
            }
        })?;
        *serial = serial.wrapping_add(1);
        Ok(())
    }

    /// Begins the call. False if that hub takes no more calls: nothing was said.
    ///
    /// # Errors
    /// Retry while the bus is away.
    pub(crate) fn open(&self, opening: Opening, payload: Option<Bytes>) -> Result<bool, Fault> {
        // Held while it is said: no call follows what tells that hub that none will.
        let others = self.cluster.others.lock();
        if !others.take_calls(self.to) {
            return Ok(false);
        }
        self.say(Said::Open(opening, payload))?;
        Ok(true)
    }

    /// Whether a payload fits into one letter, beside `others` bytes.
    pub(crate) fn fits(&self, payload: usize, others: usize) -> bool {
        payload + others + LETTER_OVERHEAD_BYTES <= self.cluster.letter_bytes_max
    }

    fn piece_bytes_max(&self) -> usize {
        PIECE_BYTES_MAX
            .min(
                self.cluster
                    .letter_bytes_max
                    .saturating_sub(LETTER_OVERHEAD_BYTES),
            )
            .max(1)
    }

    /// Says all parts of a stream, as the other end gives credit.
    pub(crate) async fn say_parts(self: Arc<Self>, mut parts: PartReceiver, credit: Arc<Semaphore>) {
        let max = self.piece_bytes_max();
        loop {
            let end = match parts.next().await {
                Some(Ok(mut part)) => {
                    while !part.is_empty() {
                        let bytes = part.split_to(part.len().min(max));
                        let Ok(permits) = credit.acquire_many(bytes.len() as u32).await else {
                            return;
                        };
                        permits.forget();
                        let last = part.is_empty();
                        if self.say(Said::Piece { bytes, last }).is_err() {
                            return;
                        }
                    }
                    continue;
                }
                Some(Err(fault)) => Said::Fault(fault),
                None => Said::End,
            };
            // Whoever hears nothing more learns it from the presence of this hub, which counts its losses.
            let _ = self.say(end);
            return;
        }
    }
}

/// What arrives in pieces, on its way into a stream of this hub.
#[derive(Debug)]
pub(crate) struct Inflow {
    speaker: Arc<Speaker>,
    part: BytesMut,
    parts: mpsc::UnboundedSender<Flow>,
    /// Bytes that were handed on and are not read yet.
    unread: Arc<AtomicUsize>,
}

#[derive(Debug)]
enum Flow {
    Part(Bytes, usize),
    Finish,
    Fail(Fault),
}

impl Inflow {
    /// Feeds `into`, in a task of its own, so that a slow reader stops neither what is said in the other direction
    /// nor other calls. `unread` runs when the reader is gone.
    pub(crate) fn new(
        speaker: &Arc<Speaker>,
        into: PartSender,
        unread: impl FnOnce() + Send + 'static,
    ) -> Self {
        let (parts, flow) = mpsc::unbounded_channel();
        let (says, count) = (Arc::clone(speaker), Arc::new(AtomicUsize::new(0)));
        let inflow = Self {
            speaker: Arc::clone(speaker),
            part: BytesMut::new(),
            parts,
            unread: Arc::clone(&count),
        };
        tokio::spawn(async move {
            if feed(flow, into, &says, &count).await.is_err() {
                unread();
            }
        });
        inflow
    }

    /// Takes a piece.
    ///
    /// # Errors
    /// Too large, when the part is; failed, when nobody reads any more.
    pub(crate) fn piece(&mut self, bytes: Bytes, last: bool) -> Result<(), Fault> {
        let length = bytes.len();
        if !last {
            gather(&mut self.part, &bytes)?;
            // Of a part that is not whole nothing can be read: its pieces are as good as read.
            return self.speaker.say(Said::Credit(length as u32));
        }
        let part = if self.part.is_empty() {
            bytes
        } else {
            gather(&mut self.part, &bytes)?;
            self.part.split().freeze()
        };
        if self.unread.fetch_add(length, Ordering::Relaxed) > WINDOW_BYTES {
            return Err(Fault::failed("another hub sends more than it was allowed to"));
        }
        self.flow(Flow::Part(part, length))
    }

    pub(crate) fn finish(self) {
        let _ = self.flow(Flow::Finish);
    }

    pub(crate) fn fail(self, fault: Fault) {
        let _ = self.flow(Flow::Fail(fault));
    }

    fn flow(&self, flow: Flow) -> Result<(), Fault> {
        self.parts
            .send(flow)
            .map_err(|_| Fault::failed("nobody reads this stream any more"))
    }
}

async fn feed(
    mut flow: mpsc::UnboundedReceiver<Flow>,
    mut into: PartSender,
    says: &Speaker,
    unread: &AtomicUsize,
) -> Result<(), Unread> {
    while let Some(next) = flow.recv().await {
        match next {
            Flow::Part(part, credit) => {
                into.send(part).await?;
                unread.fetch_sub(credit, Ordering::Relaxed);
                let _ = says.say(Said::Credit(credit as u32));
            }
            Flow::Finish => {
                into.finish();
                return Ok(());
            }
            Flow::Fail(fault) => {
                into.fail(fault);
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Adds a piece to what is gathered.
///
/// # Errors
/// Too large over [`PART_BYTES_MAX`].
pub(crate) fn gather(whole: &mut BytesMut, piece: &[u8]) -> Result<(), Fault> {
    if whole.len() + piece.len() > PART_BYTES_MAX {
        return Err(Fault::error(
            ErrorKind::TooLarge,
            format!("more than {PART_BYTES_MAX} bytes in one part cannot go from hub to hub: stream it"),
        ));
    }
    whole.extend_from_slice(piece);
    Ok(())
}
