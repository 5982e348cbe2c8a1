//! Publishers and subscribers. Of each publisher only so many messages are on their way to all its subscribers at once:
//! so no side can gain by piling up what it does not deliver, and none has to drop anything.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::{BufMut, BytesMut};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Place, Publisher};
use crate::load::{Round, Sample};

/// How long nothing may arrive before a message counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long word of a subscription may take from one server of a cluster to the next.
const SUBSCRIBING: Duration = Duration::from_secs(1);

/// Bytes in front of each message: the number of its publisher, and when it was published.
const HEAD_BYTES: usize = 12;

/// What all messages of one publisher share.
struct Flow {
    arrived: AtomicU64,
    subscribers: u64,
    room: Semaphore,
}

/// All flows, as subscribers see them.
pub struct Flows {
    flows: Vec<Flow>,
    begun: Instant,
}

impl Flows {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// One subscriber: how long messages took to it, in nanoseconds.
#[derive(Clone)]
pub struct Arrivals {
    flows: Arc<Flows>,
    latencies_ns: Arc<Mutex<Vec<u64>>>,
}

impl Arrivals {
    /// A message has arrived.
    pub fn add(&self, message: &[u8]) {
        let now = self.flows.now_ns();
        let Some((head, _)) = message.split_first_chunk::<HEAD_BYTES>() else {
            return;
        };
        let [a, b, c, d, time @ ..] = *head;
        let published = u64::from_be_bytes(time);
        self.latencies_ns.lock().push(now.saturating_sub(published));
        let Some(flow) = self.flows.flows.get(u32::from_be_bytes([a, b, c, d]) as usize) else {
            return;
        };
        let arrived = flow.arrived.fetch_add(1, Ordering::AcqRel) + 1;
        if arrived.is_multiple_of(flow.subscribers) {
            flow.room.add_permits(1);
        }
    }
}

/// Everybody, connected.
pub struct Audience<P> {
    flows: Arc<Flows>,
    publishers: Vec<P>,
    subscribers: Vec<Arrivals>,
    under_way: u32,
    payload: usize,
}

impl<P: Publisher> Audience<P> {
    /// Connects all of `place`.
    pub async fn gather(place: &Place) -> Result<Self> {
        let pattern = place.pattern;
        let under_way = u32::try_from(place.under_way)?;
        let flow = |_| Flow {
            arrived: AtomicU64::new(0),
            subscribers: pattern.subscribers_of_each(),
            room: Semaphore::new(place.under_way),
        };
        let flows = Arc::new(Flows {
            flows: (0..pattern.publishers).map(flow).collect(),
            begun: Instant::now(),
        });
        let mut subscribers = Vec::new();
        for number in 0..pattern.subscribers {
            let arrivals = Arrivals {
                flows: Arc::clone(&flows),
                latencies_ns: Arc::default(),
            };
            P::subscribe(&place.subscribe_at, pattern.topic_of(number), arrivals.clone()).await?;
            subscribers.push(arrivals);
        }
        let mut publishers = Vec::new();
        for number in 0..pattern.publishers {
            publishers.push(P::connect(&place.publish_at, pattern.topic_of(number)).await?);
        }
        if place.publish_at != place.subscribe_at {
            tokio::time::sleep(SUBSCRIBING).await;
        }
        Ok(Self {
            flows,
            publishers,
            subscribers,
            under_way,
            payload: place.payload.max(HEAD_BYTES),
        })
    }

    async fn drive(&self, duration: Duration) -> Result<Sample> {
        let started = Instant::now();
        let until = started + duration;
        let mut tasks = JoinSet::new();
        for (number, publisher) in self.publishers.iter().enumerate() {
            let (flows, publisher) = (Arc::clone(&self.flows), publisher.clone());
            tasks.spawn(publish_until(
                flows,
                number,
                publisher,
                self.payload,
                self.under_way,
                until,
            ));
        }
        while let Some(task) = tasks.join_next().await {
            task??;
        }
        let elapsed = started.elapsed();
        let mut latency_ns = Histogram::new(3)?;
        for arrivals in &self.subscribers {
            for nanoseconds in arrivals.latencies_ns.lock().drain(..) {
                latency_ns.record(nanoseconds)?;
            }
        }
        Ok(Sample::of(&latency_ns, elapsed))
    }
}

/// One publisher: until then it publishes whenever there is room, then waits until everybody has everything.
async fn publish_until<P: Publisher>(
    flows: Arc<Flows>,
    number: usize,
    mut publisher: P,
    payload: usize,
    under_way: u32,
    until: Instant,
) -> Result<()> {
    let flow = flows
        .flows
        .get(number)
        .context("there is a flow for each publisher")?;
    let index = u32::try_from(number)?;
    while Instant::now() < until {
        room(flow, 1).await?;
        let mut message = BytesMut::zeroed(payload);
        let mut head = &mut message[..HEAD_BYTES];
        head.put_u32(index);
        head.put_u64(flows.now_ns());
        publisher.publish(message.freeze()).await?;
    }
    room(flow, under_way).await?;
    flow.room.add_permits(under_way as usize);
    Ok(())
}

/// Takes so much room, which comes back as messages arrive.
async fn room(flow: &Flow, messages: u32) -> Result<()> {
    // The usual case costs no timer.
    let permits = match flow.room.try_acquire_many(messages) {
        Ok(permits) => permits,
        Err(_) => tokio::time::timeout(PATIENCE, flow.room.acquire_many(messages))
            .await
            .with_context(|| format!("{} messages arrived", flow.arrived.load(Ordering::Acquire)))??,
    };
    permits.forget();
    Ok(())
}

impl<P: Publisher> Round for Audience<P> {
    fn run(&self, duration: Duration) -> Pin<Box<dyn Future<Output = Result<Sample>> + '_>> {
        Box::pin(self.drive(duration))
    }
}
