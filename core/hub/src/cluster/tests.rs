use std::time::Duration;

use switchboard_engine::bus::{Bus, BusMessage};
use switchboard_engine::{Answer, Blobs, Health, Keys, Queues};
use switchboard_peer::{Body, ErrorKind, Replier, Reply, parts};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::letter::Opening;
use super::*;
use crate::call::{Call, Caller};
use crate::config::HubConfig;
use crate::declaration::Declaration;
use crate::filter::Filter;
use crate::hub::Hub;
use crate::message::Publish;
use crate::names::Account;
use crate::policy::Policy;
use crate::session::{Session, SessionId, SessionInfo};

mod calls;
mod leaving;
mod topics;

/// Takes what is to arrive, and when.
type Subscriber = mpsc::UnboundedSender<(Instant, BusEvent)>;

/// An engine that is shared, and has a bus and nothing else.
#[derive(Debug, Default)]
struct BusOnly {
    subscriptions: Mutex<Vec<(Filter, Subscriber)>>,
    /// Topics of letters that are lost from now on.
    cut: Mutex<Vec<String>>,
    /// How long each subscriber's messages are on their way.
    latency: Mutex<Duration>,
    payload_bytes_max: usize,
}

impl BusOnly {
    /// Something was lost on its way to a subscriber.
    fn miss(&self, topic: &str) {
        for (filter, subscriber) in &*self.subscriptions.lock() {
            if filter.matches(topic) {
                let _ = subscriber.send((Instant::now(), BusEvent::Missed));
            }
        }
    }
}

impl Engine for BusOnly {
    fn description(&self) -> String {
        "a bus".to_owned()
    }
    fn is_shared(&self) -> bool {
        true
    }
    fn health(&self) -> Health {
        Health::Ready
    }
    fn bus(&self) -> &dyn Bus {
        self
    }
    fn keys(&self) -> &dyn Keys {
        unreachable!("no test here uses keys")
    }
    fn queues(&self) -> &dyn Queues {
        unreachable!("no test here uses queues")
    }
    fn blobs(&self) -> &dyn Blobs {
        unreachable!("no test here uses blobs")
    }
    fn flush(&self) -> Answer<()> {
        Answer::ok(())
    }
    fn close(&self) -> Answer<()> {
        self.subscriptions.lock().clear();
        Answer::ok(())
    }
}

impl Bus for BusOnly {
    fn payload_bytes_max(&self) -> usize {
        self.payload_bytes_max
    }

    fn publish(&self, topic: ByteString, payload: Bytes) -> Result<()> {
        assert!(payload.len() <= self.payload_bytes_max, "{} bytes", payload.len());
        if self.cut.lock().iter().any(|cut| *cut == *topic) {
            return Ok(());
        }
        let arrives = Instant::now() + *self.latency.lock();
        for (filter, subscriber) in &*self.subscriptions.lock() {
            if filter.matches(&topic) {
                let message = BusMessage {
                    topic: topic.clone(),
                    payload: payload.clone(),
                    reply_to: None,
                };
                let _ = subscriber.send((arrives, BusEvent::Message(message)));
            }
        }
        Ok(())
    }

    fn subscribe(&self, filter: ByteString, _: Option<ByteString>) -> Answer<BusSubscription> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.subscriptions
            .lock()
            .push((Filter::parse(&filter).unwrap(), sender));
        let events = futures_util::stream::unfold(receiver, |mut receiver| async move {
            let (arrives, event) = receiver.recv().await?;
            tokio::time::sleep_until(arrives).await;
            Some((event, receiver))
        });
        Answer::ok(events.boxed())
    }

    fn request(&self, _: ByteString, _: Bytes, _: Duration) -> Answer<Bytes> {
        unreachable!("no test here makes requests")
    }
}

/// Some hubs that know of each other.
async fn hubs<const COUNT: usize>(payload_bytes_max: usize) -> (Arc<BusOnly>, [Hub; COUNT]) {
    let bus = Arc::new(BusOnly {
        payload_bytes_max,
        ..BusOnly::default()
    });
    let engine: Arc<dyn Engine> = Arc::clone(&bus) as _;
    let mut hubs = Vec::new();
    for _ in 0..COUNT {
        hubs.push(Hub::joined(HubConfig::default(), &engine).await.unwrap());
    }
    (bus, hubs.try_into().unwrap())
}

fn info() -> SessionInfo {
    SessionInfo {
        door: "test".into(),
        address: "127.0.0.1:5".to_owned(),
        account: Account::guest(),
        client: None,
    }
}

fn session(hub: &Hub) -> Session {
    hub.open(info()).unwrap()
}

/// Waits until so many serve an operation, as a hub sees it.
async fn until_served(session: &Session, operation: &str, responders: usize) {
    let served = || {
        let page = session.ops(&crate::operations::PageRequest::default());
        page.ops
            .iter()
            .find(|known| known.op == operation)
            .map_or(0, |known| known.responders)
    };
    while served() != responders {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn call(session: &Session, operation: &str, body: Body) -> switchboard_peer::ReplyFuture {
    let (reply, answer) = Replier::pair(64 * 1024);
    session.call(ByteString::from(operation), body, None, reply);
    answer
}

/// Serves an operation by an async function.
fn serve<F: Future<Output = ()> + Send + 'static>(
    session: &Session,
    operation: &str,
    answer: impl Fn(Call, Replier) -> F + Send + Sync + 'static,
) {
    let responder = move |call: Call, reply: Replier| drop(tokio::spawn(answer(call, reply)));
    session.serve(operation, Arc::new(responder)).unwrap();
}

/// Answers with what came, in the same shape.
async fn echo(call: Call, reply: Replier) {
    match call.body {
        Body::Single(payload) => reply.result(payload),
        Body::Stream(mut body) => {
            let mut result = reply.stream();
            while let Some(Ok(part)) = body.next().await {
                if result.send(part).await.is_err() {
                    return;
                }
            }
            result.finish();
        }
    }
}

const LETTER_BYTES: usize = 1024 * 1024;
