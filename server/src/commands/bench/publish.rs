//! Messages: from publishers through a topic to one subscriber.
//!
//! Each message begins with a mark: which run it is of, which connection sent it, and when. A connection has so many
//! of its own under way as the load says; each that arrives makes room for the next.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use switchboard_peer::{Handlers, Peer};
use tokio::{sync::Semaphore, task::JoinSet};

use super::{LAST_WAIT, Run, connections, own_name, payload};
use crate::{
    cli::bench::Load,
    client::Client,
    exit::Failure,
    report::{Report, Tally},
};

/// Bytes of a mark: run and connection, 4 bytes each, and nanoseconds, 8 bytes. No message is smaller.
const MARK_BYTES: usize = 16;

/// The mark of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    run: u32,
    connection: u32,
    sent_ns: u64,
}

impl Mark {
    /// The message of `size` bytes, at least its own, that begins with it.
    fn message(self, size: usize) -> Bytes {
        let mut message = BytesMut::with_capacity(size);
        message.put_u32_le(self.run);
        message.put_u32_le(self.connection);
        message.put_u64_le(self.sent_ns);
        message.resize(size.max(MARK_BYTES), b'x');
        message.freeze()
    }

    fn read(mut message: &[u8]) -> Option<Self> {
        Some(Self {
            run: message.try_get_u32_le().ok()?,
            connection: message.try_get_u32_le().ok()?,
            sent_ns: message.try_get_u64_le().ok()?,
        })
    }
}

/// What publishers and subscriber share.
struct Meeting {
    run: Arc<Run>,
    /// Tells messages of this run from others at the same topic.
    number: u32,
    /// For each connection, how many messages it may send now.
    windows: Vec<Arc<Semaphore>>,
    arrived: Mutex<Tally>,
}

impl Meeting {
    fn arrive(&self, message: &[u8]) {
        let Some(mark) = Mark::read(message).filter(|mark| mark.run == self.number) else {
            return;
        };
        let window = usize::try_from(mark.connection)
            .ok()
            .and_then(|index| self.windows.get(index));
        let Some(window) = window else { return };
        let took = self
            .run
            .began
            .elapsed()
            .saturating_sub(Duration::from_nanos(mark.sent_ns));
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.success(took, u64::try_from(message.len()).unwrap_or(u64::MAX));
        drop(arrived);
        self.run.one_done();
        window.add_permits(1);
    }
}

pub(super) async fn bench(client: &Client, topic: Option<String>, load: &Load) -> anyhow::Result<Report> {
    let size = payload(load)?.len().max(MARK_BYTES);
    let topic: Arc<str> = topic.unwrap_or_else(|| own_name("publish")).into();
    let peers = connections(client, load).await?;
    let window = load.in_flight.get().min(Semaphore::MAX_PERMITS);
    let run = Run::new(load.goal());
    let meeting = Arc::new(Meeting {
        number: fingerprint(&run.began),
        run: Arc::clone(&run),
        windows: peers.iter().map(|_| Arc::new(Semaphore::new(window))).collect(),
        arrived: Mutex::default(),
    });
    let subscriber = subscribe(client, &topic, &meeting).await?;
    let mut workers = JoinSet::new();
    for ((connection, peer), window) in (0..).zip(&peers).zip(&meeting.windows) {
        let publisher = Publisher {
            meeting: Arc::clone(&meeting),
            peer: peer.clone(),
            topic: Arc::clone(&topic),
            connection,
            window: Arc::clone(window),
            load_window: window_permits(load),
            size,
        };
        workers.spawn(publisher.publish());
    }
    let mut report = run.to_the_end("publish", load, workers).await;
    report.size_bytes = u64::try_from(size).unwrap_or(u64::MAX);
    peers.iter().chain([&subscriber]).for_each(Peer::close);
    let arrived = meeting.arrived.lock().unwrap_or_else(PoisonError::into_inner);
    report.tally.merge(&arrived);
    Ok(report)
}

fn window_permits(load: &Load) -> u32 {
    u32::try_from(load.in_flight.get()).unwrap_or(u32::MAX)
}

/// Enough to tell two runs apart.
fn fingerprint(began: &Instant) -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(began) as u32
}

async fn subscribe(client: &Client, topic: &str, meeting: &Arc<Meeting>) -> anyhow::Result<Peer> {
    let meeting = Arc::clone(meeting);
    let handlers = Handlers::new().on_any(move |_, message| {
        meeting.arrive(&message);
        async {}
    });
    let peer = client.connect(handlers).await?;
    let subscribed = peer.at_hub().subscribe(&[topic], None).await;
    subscribed.map_err(Failure::from)?;
    Ok(peer)
}

/// One connection that publishes.
struct Publisher {
    meeting: Arc<Meeting>,
    peer: Peer,
    topic: Arc<str>,
    connection: u32,
    window: Arc<Semaphore>,
    load_window: u32,
    size: usize,
}

impl Publisher {
    async fn publish(self) -> Tally {
        let mut tally = Tally::new();
        let run = &self.meeting.run;
        while !self.peer.is_closed() {
            match tokio::time::timeout(LAST_WAIT, self.window.acquire()).await {
                Ok(Ok(permit)) => permit.forget(),
                // Nothing arrives any more.
                _ => break,
            }
            if !run.begin_one() {
                // Given back, as nothing was sent for it.
                self.window.add_permits(1);
                break;
            }
            let mark = Mark {
                run: self.meeting.number,
                connection: self.connection,
                sent_ns: u64::try_from(run.began.elapsed().as_nanos()).unwrap_or(u64::MAX),
            };
            if self
                .peer
                .notify_raw(&self.topic, mark.message(self.size))
                .await
                .is_err()
            {
                tally.error();
                self.window.add_permits(1);
            }
        }
        self.await_last(&mut tally).await;
        tally
    }

    /// Waits for what is under way, and counts what does not come.
    async fn await_last(&self, tally: &mut Tally) {
        let all = self.window.acquire_many(self.load_window);
        if tokio::time::timeout(LAST_WAIT, all).await.is_err() {
            let here = u32::try_from(self.window.available_permits()).unwrap_or(u32::MAX);
            for _ in here..self.load_window {
                tally.error();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_from_the_message_that_carries_it() {
        let mark = Mark {
            run: 7,
            connection: 1,
            sent_ns: u64::MAX,
        };
        for size in [0, MARK_BYTES, 100] {
            let message = mark.message(size);
            assert_eq!(message.len(), size.max(MARK_BYTES));
            assert_eq!(Mark::read(&message), Some(mark));
        }
        assert_eq!(Mark::read(b"somebody else's"), None);
    }
}
