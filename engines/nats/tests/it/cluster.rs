//! Three servers, of which one is killed, and then the leader, under load.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use switchboard_engine::bus::BusEvent;
use switchboard_engine::keys::{Change, Write, Written};
use switchboard_engine::queues::Push;
use switchboard_engine::{Bucket, Engine, Health, QueueName};
use switchboard_engine_nats::{Nats, NatsOptions};
use tokio::task::JoinSet;

use crate::server::Server;
use crate::tools::{PATIENCE, in_the_end, key, open, put, reason, soon, try_put, value};

fn urls(servers: &[Server], first: usize) -> Vec<String> {
    let (before, after) = servers.split_at(first);
    after.iter().chain(before).map(Server::url).collect()
}

async fn hub(servers: &[Server], first: usize, replicas: usize) -> Arc<Nats> {
    let options = NatsOptions {
        replicas,
        ..NatsOptions::new(urls(servers, first))
    };
    in_the_end("the cluster has a leader", async || {
        Nats::open(options.clone()).await.ok()
    })
    .await
}

/// What a stream says of itself, asked of whatever server answers.
async fn info(servers: &[Server], stream: &str) -> Option<Value> {
    for server in servers {
        let Ok(client) = async_nats::ConnectOptions::new()
            .connection_timeout(Duration::from_secs(1))
            .connect(server.url())
            .await
        else {
            continue;
        };
        let asked = client.request(format!("$JS.API.STREAM.INFO.{stream}"), "{}".into());
        if let Ok(Ok(answer)) = tokio::time::timeout(Duration::from_secs(2), asked).await {
            return serde_json::from_slice(&answer.payload).ok();
        }
    }
    None
}

/// The number of the server that leads a stream.
async fn leader(servers: &[Server], stream: &str) -> usize {
    in_the_end("the stream has a leader", async || {
        let info = info(servers, stream).await?;
        info["cluster"]["leader"]
            .as_str()?
            .strip_prefix('n')?
            .parse()
            .ok()
    })
    .await
}

/// Every copy of a stream has all there is.
async fn all_copies_are_current(servers: &[Server], stream: &str) {
    in_the_end("all copies are current", async || {
        let info = info(servers, stream).await?;
        let copies = info["cluster"]["replicas"].as_array()?;
        let is_current = |copy: &Value| copy["current"] == true && copy["offline"] != true;
        (copies.len() == 2 && copies.iter().all(is_current)).then_some(())
    })
    .await;
}

/// What was acknowledged to those who write without a pause.
#[derive(Default)]
struct Load {
    over: AtomicBool,
    counted: AtomicU64,
    /// Increments that may or may not have happened.
    unsure: AtomicU64,
    jobs: parking_lot::Mutex<BTreeSet<String>>,
    keys: parking_lot::Mutex<BTreeSet<String>>,
}

impl Load {
    async fn run(self: Arc<Self>, engine: Arc<Nats>, writer: usize) {
        let (bucket, queue) = (Bucket::default(), QueueName::new("work").expect("a plain name"));
        for number in 0_u64.. {
            if self.over.load(Ordering::Acquire) {
                return;
            }
            let name = format!("{writer} {number}");
            if try_put(&engine, &name, "1").await.is_ok() {
                self.keys.lock().insert(name.clone());
            }
            let add = Write::change(Change::Increment(1));
            match soon("an increment", engine.keys().write(&bucket, key("count"), add)).await {
                Ok(Written::Done { .. }) => self.counted.fetch_add(1, Ordering::AcqRel),
                Ok(Written::Unmet { .. }) => panic!("there was no condition"),
                Err(_) => self.unsure.fetch_add(1, Ordering::AcqRel),
            };
            let push = soon("a push", engine.queues().push(&queue, Push::new(name.clone()))).await;
            if push.is_ok() {
                self.jobs.lock().insert(name);
            }
        }
    }

    fn acknowledged(&self) -> u64 {
        self.counted.load(Ordering::Acquire)
    }

    /// Lets it write that much more.
    async fn go_on(&self, more: u64) {
        let goal = self.acknowledged() + more;
        in_the_end("writes are acknowledged", async || {
            (self.acknowledged() >= goal).then_some(())
        })
        .await;
    }

    async fn check(&self, engine: &Nats) {
        let bucket = Bucket::default();
        let names: Vec<_> = self.keys.lock().iter().map(key).collect();
        for names in names.chunks(500) {
            let found = soon("a read", engine.keys().get_many(&bucket, names))
                .await
                .expect("reading");
            assert!(
                found.iter().all(Option::is_some),
                "a key that was acknowledged is lost"
            );
        }
        let count = value(engine, "count")
            .await
            .expect("reading")
            .expect("it was counted");
        let count: u64 = std::str::from_utf8(&count)
            .expect("a number")
            .parse()
            .expect("a number");
        let counted = self.acknowledged();
        let most = counted + self.unsure.load(Ordering::Acquire);
        assert!(
            (counted..=most).contains(&count),
            "{counted} to {most} were counted, not {count}"
        );

        let queue = QueueName::new("work").expect("a plain name");
        let mut jobs = self.jobs.lock().clone();
        let lease = Duration::from_secs(3600);
        loop {
            let taken = engine.queues().reserve(&queue, 200, lease, Duration::ZERO);
            let taken = soon("a reservation", taken).await.expect("reserving");
            if taken.is_empty() {
                break;
            }
            for reserved in taken {
                assert_eq!(reserved.attempt, 1);
                jobs.remove(std::str::from_utf8(&reserved.job.payload).expect("a name"));
            }
        }
        assert!(jobs.is_empty(), "jobs that were acknowledged are lost: {jobs:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_servers_are_killed_under_load() {
    let mut servers = Server::cluster();
    let engines = [hub(&servers, 0, 3).await, hub(&servers, 1, 3).await];
    put(&engines[0], "count", "0").await;
    let load = Arc::new(Load::default());
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let engine = Arc::clone(&engines[writer % engines.len()]);
        writers.spawn(Arc::clone(&load).run(engine, writer));
    }
    load.go_on(50).await;

    let leads = leader(&servers, "switchboard-keys").await;
    let follows = (leads + 1) % servers.len();
    servers[follows].kill();
    load.go_on(50).await;
    servers[follows].restart();
    load.go_on(50).await;
    for stream in ["switchboard-keys", "switchboard-queues"] {
        all_copies_are_current(&servers, stream).await;
    }

    let leads = leader(&servers, "switchboard-keys").await;
    servers[leads].kill();
    load.go_on(50).await;
    servers[leads].restart();
    load.go_on(50).await;

    load.over.store(true, Ordering::Release);
    while let Some(writer) = soon("the end of a writer", writers.join_next()).await {
        writer.expect("a writer");
    }
    in_the_end("all is well", async || {
        (engines[1].health() == Health::Ready).then_some(())
    })
    .await;
    load.check(&engines[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_at_different_servers_are_one_switchboard() {
    let servers = Server::cluster();
    let one = hub(&servers, 0, 1).await;
    put(&one, "a", "1").await;
    one.close().await.expect("closing");
    // From now on with copies.
    let (one, other) = (hub(&servers, 0, 3).await, hub(&servers, 1, 3).await);
    all_copies_are_current(&servers, "switchboard-keys").await;
    in_the_end("what was there is there", async || {
        (value(&other, "a").await.ok()?? == "1").then_some(())
    })
    .await;

    let written = put(&one, "a", "2").await;
    let swap = Write::put("3").when(switchboard_engine::keys::Condition::At(written.revision));
    let swapped = soon("a swap", other.keys().write(&Bucket::default(), key("a"), swap)).await;
    assert!(matches!(swapped, Ok(Written::Done { .. })), "{swapped:?}");

    let mut heard = other
        .bus()
        .subscribe("a/+".into(), None)
        .await
        .expect("subscribing");
    // The other server hears of the subscription in its own time.
    let message = in_the_end("a publish arrives", async || {
        one.bus().publish("a/b".into(), "first".into()).ok()?;
        tokio::time::timeout(Duration::from_millis(100), heard.next())
            .await
            .ok()?
    })
    .await;
    assert!(matches!(message, BusEvent::Message(message) if message.payload == "first"));
    one.bus()
        .publish("a/b".into(), "last".into())
        .expect("publishing");
    let mut lasts = 0;
    while lasts == 0 {
        match soon("a message", heard.next()).await {
            Some(BusEvent::Message(message)) => lasts += usize::from(message.payload == "last"),
            other => panic!("nothing was missed, but {other:?}"),
        }
    }
    one.bus()
        .publish("a/end".into(), "end".into())
        .expect("publishing");
    match soon("the end", heard.next()).await {
        Some(BusEvent::Message(message)) => assert_eq!(message.payload, "end", "each message comes once"),
        other => panic!("nothing was missed, but {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_leader_writes_are_unavailable_until_there_is_one() {
    let mut servers = Server::cluster();
    let engine = hub(&servers, 0, 3).await;
    put(&engine, "before", "1").await;
    all_copies_are_current(&servers, "switchboard-keys").await;
    // The one that is left has all, but two of three have to agree.
    servers[1].kill();
    servers[2].kill();
    let refused = in_the_end("nobody leads", async || {
        let outcome = try_put(&engine, "lost", "1").await;
        outcome.is_err().then_some(outcome)
    })
    .await;
    assert!(!reason(refused).is_empty());
    in_the_end("it says so", async || {
        matches!(engine.health(), Health::Impaired(_)).then_some(())
    })
    .await;
    servers[1].restart();
    servers[2].restart();
    in_the_end("it heals", async || try_put(&engine, "after", "1").await.ok()).await;
    in_the_end("all is well", async || {
        (engine.health() == Health::Ready).then_some(())
    })
    .await;
    assert_eq!(value(&engine, "before").await, Ok(Some("1".into())));
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_keep_switchboards_apart() {
    let server = Server::start();
    let one = open(&server).await;
    let other = Nats::open(NatsOptions {
        prefix: "other".to_owned(),
        ..NatsOptions::new([server.url()])
    })
    .await
    .expect("opening");
    put(&one, "a", "1").await;
    assert_eq!(value(&other, "a").await, Ok(None));
    let mut heard = other
        .bus()
        .subscribe("#".into(), None)
        .await
        .expect("subscribing");
    one.bus().publish("a".into(), "1".into()).expect("publishing");
    other.bus().publish("b".into(), "2".into()).expect("publishing");
    match soon("a message", heard.next()).await {
        Some(BusEvent::Message(message)) => assert_eq!(message.topic, "b"),
        other => panic!("within {PATIENCE:?} there came {other:?}"),
    }
}
