//! A whole state, from one kind of engine to the other and back: what no command can put there, jobs and blobs, included.

use std::{
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use switchboard_engine::{
    Bucket, Engine, Key, QueueName, Timestamp,
    keys::{Expiry, Scan, Write},
    queues::{Counts, JobState, Push},
    transfer::{Totals, export, import},
};
use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions};
use switchboard_engine_nats::{Nats, NatsOptions};

/// How long a server may take to come up on a busy machine.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// A NATS server with JetStream; killed when dropped.
struct Server {
    process: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/nats/bin/nats-server");
        let binary = std::env::var_os("NATS_SERVER").map_or(installed, PathBuf::from);
        let folder = tempfile::tempdir().expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = port.expect("a port").port();
        let process = Command::new(binary)
            .args([
                "--addr",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--jetstream",
                "--store_dir",
            ])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server: run scripts/test once, or name one in NATS_SERVER");
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < START_TIME_MAX, "nats-server does not listen");
            std::thread::yield_now();
        }
        Self {
            process,
            url: format!("nats://127.0.0.1:{port}"),
            _folder: folder,
        }
    }

    async fn engine(&self) -> Arc<Nats> {
        Nats::open(NatsOptions::new([&self.url]))
            .await
            .expect("a server that is well")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn embedded() -> Arc<Embedded> {
    Embedded::open(EmbeddedOptions::new(DataDir::Memory)).expect("memory")
}

async fn fill(engine: &dyn Engine) {
    let bucket = Bucket::default();
    let hour = Timestamp::from(SystemTime::now()).after(Duration::from_secs(3600));
    for number in 0..300_u32 {
        let key = Key::new([&b"\0* >."[..], &number.to_be_bytes()].concat()).expect("legal");
        let write = Write::put(vec![number as u8; 50]).expiring(match number % 2 {
            0 => Expiry::At(hour),
            _ => Expiry::Never,
        });
        engine.keys().write(&bucket, key, write).await.expect("written");
    }
    let queue = QueueName::new("work").expect("legal");
    let push = |payload: &'static str| Push {
        attempts_max: 2,
        ..Push::new(payload)
    };
    let queues = engine.queues();
    for payload in ["dead", "failed"] {
        queues.push(&queue, push(payload)).await.expect("pushed");
        let failures = if payload == "dead" { 2 } else { 1 };
        for _ in 0..failures {
            let (lease, wait) = (Duration::from_secs(60), Duration::from_secs(5));
            let reserved = queues.reserve(&queue, 1, lease, wait).await.expect("reserved");
            let lease = &reserved.first().expect("a job").lease;
            // The one that may still be tried must not come up again here.
            let wait = Duration::from_secs(if payload == "dead" { 0 } else { 3000 });
            queues
                .nack(&queue, lease, wait, "no".into())
                .await
                .expect("given back");
        }
    }
    let delay = Duration::from_secs(3000);
    queues
        .push(
            &queue,
            Push {
                delay,
                ..push("later")
            },
        )
        .await
        .expect("pushed");
    for payload in ["first", "second"] {
        queues.push(&queue, push(payload)).await.expect("pushed");
    }
    let put = engine
        .blobs()
        .put(&bucket, "näme/1".into(), Some("text/plain".into()));
    let mut writer = put.await.expect("begun");
    for _ in 0..5 {
        writer.write(vec![b'x'; 100_000].into()).await.expect("written");
    }
    writer.finish().await.expect("whole");
}

/// All that should be the same everywhere, in words.
async fn told(engine: &dyn Engine) -> Vec<String> {
    let bucket = Bucket::default();
    let mut told = Vec::new();
    let scan = Scan {
        values: true,
        ..Scan::default()
    };
    for (key, entry) in engine.keys().scan(&bucket, scan).await.expect("a page").entries {
        told.push(format!(
            "{key:?} {} {:?}",
            entry.value.escape_ascii(),
            entry.expires
        ));
    }
    let queue = QueueName::new("work").expect("legal");
    for state in [JobState::Ready, JobState::Delayed, JobState::Dead] {
        for job in engine
            .queues()
            .peek(&queue, state, None, 100)
            .await
            .expect("a page")
        {
            let (payload, reason) = (job.job.payload.escape_ascii(), job.reason);
            told.push(format!("{state:?} {payload} {} {reason:?}", job.attempts));
        }
    }
    for blob in engine.blobs().list(&bucket, "", None, 100).await.expect("a page") {
        told.push(format!(
            "{} {} {:?} {:?}",
            blob.name, blob.size, blob.content_type, blob.sha256
        ));
    }
    told
}

async fn moved(from: &dyn Engine, to: &dyn Engine) -> Totals {
    let mut bytes = Vec::new();
    export(from, &mut bytes, &mut |_| {}).await.expect("exported");
    import(to, &bytes[..], &mut |_| {}).await.expect("imported")
}

#[tokio::test]
async fn everything_moves_from_the_embedded_engine_to_a_cluster_and_back() {
    let server = Server::start();
    let (first, cluster, last) = (embedded(), server.engine().await, embedded());
    fill(&*first).await;
    let expected = told(&*first).await;
    let counts = Counts {
        ready: 2,
        delayed: 2,
        reserved: 0,
        dead: 1,
    };
    let queue = QueueName::new("work").expect("legal");
    assert_eq!(first.queues().counts(&queue).await, Ok(counts));
    let there = moved(&*first, &*cluster).await;
    assert_eq!(
        (there.keys, there.jobs, there.blobs, there.attempts_forgotten),
        (300, 5, 1, 0)
    );
    assert_eq!(told(&*cluster).await, expected);
    let back = moved(&*cluster, &*last).await;
    assert_eq!(
        (back.keys, back.jobs, back.blobs, back.attempts_forgotten),
        (300, 5, 1, 0)
    );
    assert_eq!(told(&*last).await, expected);
    cluster.close().await.expect("closed");
}
