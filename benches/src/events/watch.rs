//! Publisher and subscribers. A message is on its way until everybody has it, and only so many are at once: so no
//! side can gain by piling up what it does not deliver, and none has to drop anything.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::{Mutex, Notify};

use crate::address::{Address, Stream};
use crate::load::{Cell, Round, Sample};
use crate::process::raise_open_files;
use crate::web_client::{Post, target};

/// The last byte of each message, which nothing else that is sent holds: counting it counts messages, however they are
/// cut up and wrapped.
const MARK: u8 = b'~';

/// Bytes a subscriber reads at once.
const READ_BYTES: usize = 16 * 1024;

/// How long nothing may arrive before a message counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a server publishes and subscribes.
pub struct Paths {
    /// Of the event stream.
    pub subscribe: &'static str,
    /// Where messages are posted.
    pub publish: &'static str,
}

/// The subscribers of one server, and who publishes to them.
pub struct Audience {
    arrivals: Arc<Arrivals>,
    subscribers: u64,
    under_way: usize,
    message: Bytes,
    path: &'static str,
    publisher: Mutex<Post>,
}

/// Events that all subscribers together have got.
#[derive(Default)]
struct Arrivals {
    count: AtomicU64,
    /// The publisher wants to know when there are so many.
    awaited: AtomicU64,
    reached: Notify,
}

impl Arrivals {
    fn add(&self, events: u64) {
        let before = self.count.fetch_add(events, Ordering::SeqCst);
        let awaited = self.awaited.load(Ordering::SeqCst);
        if before < awaited && awaited <= before + events {
            self.reached.notify_one();
        }
    }

    /// Waits until there are at least `count`.
    async fn reach(&self, count: u64) -> Result<()> {
        self.awaited.store(count, Ordering::SeqCst);
        while self.count.load(Ordering::SeqCst) < count {
            tokio::time::timeout(PATIENCE, self.reached.notified())
                .await
                .ok()
                .with_context(|| {
                    format!("{} of {count} events arrived", self.count.load(Ordering::SeqCst))
                })?;
        }
        Ok(())
    }
}

impl Audience {
    /// Opens as many subscriptions as `cell` has connections; as many messages as it has calls in flight may be under
    /// way.
    pub async fn gather(cell: &Cell, paths: Paths) -> Result<Self> {
        raise_open_files()?;
        let arrivals = Arc::new(Arrivals::default());
        for _ in 0..cell.shape.connections {
            let stream = subscribe(&cell.address, paths.subscribe).await?;
            tokio::spawn(watch(stream, Arc::clone(&arrivals)));
        }
        let mut message = vec![b'x'; cell.payload.max(1)];
        *message.last_mut().context("a message has a last byte")? = MARK;
        Ok(Self {
            arrivals,
            subscribers: cell.shape.connections as u64,
            under_way: cell.shape.in_flight,
            message: message.into(),
            path: paths.publish,
            publisher: Mutex::new(Post::connect(&cell.address).await?),
        })
    }

    async fn drive(&self, duration: Duration) -> Result<Sample> {
        let mut publisher = self.publisher.lock().await;
        let before = self.arrivals.count.load(Ordering::SeqCst);
        let mut latency_ns = Histogram::<u64>::new(3)?;
        let mut published = std::collections::VecDeque::new();
        let mut arrived = 0;
        let started = Instant::now();
        let until = started + duration;
        loop {
            let more = Instant::now() < until;
            if more && published.len() < self.under_way {
                published.push_back(Instant::now());
                publisher.send(self.path, self.message.clone()).await?;
                continue;
            }
            let Some(oldest) = published.pop_front() else {
                break;
            };
            arrived += 1;
            self.arrivals.reach(before + arrived * self.subscribers).await?;
            latency_ns.record(u64::try_from(oldest.elapsed().as_nanos())?)?;
        }
        let sample = Sample::of(&latency_ns, started.elapsed());
        let calls = self.arrivals.count.load(Ordering::SeqCst) - before;
        ensure!(calls == arrived * self.subscribers, "{calls} events arrived");
        Ok(Sample { calls, ..sample })
    }
}

impl Round for Audience {
    fn run(&self, duration: Duration) -> Pin<Box<dyn Future<Output = Result<Sample>> + '_>> {
        Box::pin(self.drive(duration))
    }
}

/// Asks for the event stream, and reads the head of the answer.
async fn subscribe(address: &Address, path: &str) -> Result<BufReader<Stream>> {
    let mut stream = BufReader::with_capacity(READ_BYTES, address.connect().await?);
    let host = target(address)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let read = stream.read_line(&mut head).await?;
        ensure!(read > 0, "the server closed after {head:?}");
    }
    ensure!(head.starts_with("HTTP/1.1 200 "), "the answer is {head:?}");
    Ok(stream)
}

/// Counts until the connection ends; what is then missing is noticed by the publisher.
async fn watch(mut stream: BufReader<Stream>, arrivals: Arc<Arrivals>) {
    loop {
        let events = match stream.fill_buf().await {
            Ok([]) | Err(_) => return,
            Ok(bytes) => {
                let events = bytes.iter().filter(|byte| **byte == MARK).count();
                let length = bytes.len();
                stream.consume(length);
                events
            }
        };
        if events > 0 {
            arrivals.add(events as u64);
        }
    }
}
