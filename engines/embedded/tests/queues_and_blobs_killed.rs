//! A process that is killed with -9 while it works keeps what it acknowledged under `always`: jobs, leases, blobs.
//!
//! The process is this test once more, told by its environment where to work. It says on its output what was
//! acknowledged, and what it is about to do, and does not end by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use switchboard_engine::blobs::LIST_MAX;
use switchboard_engine::queues::{JOBS_MAX, JobId, JobState, LEASE_MAX, Lease, Push};
use switchboard_engine::{Bucket, Durability, Engine, QueueName};
use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions};

/// Where the process that is to be killed works.
const DIRECTORY: &str = "SWITCHBOARD_TEST_KILLED_DIRECTORY";

/// How often it is killed.
const KILLS: usize = 3;

/// Lines that it says before it is killed.
const LINES: usize = 400;

/// Who works at the same time, of each kind.
const WORKERS: u64 = 4;

/// How long something may take on a busy machine that has to happen.
const PATIENCE: Duration = Duration::from_secs(60);

fn open(directory: &Path) -> Arc<Embedded> {
    let mut options = EmbeddedOptions::new(DataDir::Path(directory.to_owned()));
    options.durability = Durability::Always;
    Embedded::open(options).expect("opening")
}

fn queue() -> QueueName {
    QueueName::new("work").expect("a plain name")
}

/// What a blob of that name holds: several chunks.
fn content(name: &str) -> Bytes {
    Bytes::from(name.repeat(100_000 / name.len()))
}

/// Pushes, reserves and acknowledges; of four jobs one is left under its lease.
async fn work(engine: Arc<Embedded>, say: fn(String)) {
    let queues = engine.queues();
    for round in 0_u64.. {
        let pushed = queues
            .push(&queue(), Push::new(round.to_string()))
            .await
            .expect("pushing");
        say(format!("pushed {}", pushed.id.0));
        for reserved in queues
            .reserve(&queue(), 1, LEASE_MAX, Duration::ZERO)
            .await
            .expect("reserving")
        {
            let id = reserved.lease.job.0;
            say(format!("reserved {id} {}", reserved.lease.token));
            if id % 4 != 0 {
                say(format!("acking {id}"));
                queues
                    .ack(&queue(), &reserved.lease)
                    .await
                    .expect("acknowledging");
                say(format!("acked {id}"));
            }
        }
    }
}

/// Puts blobs, some over others, and deletes some.
async fn store(engine: Arc<Embedded>, worker: u64, say: fn(String)) {
    let blobs = engine.blobs();
    for round in 0_u64.. {
        let name = format!("{worker}-{}-{round}", std::process::id());
        for _ in 0..=round % 2 {
            let mut writer = blobs
                .put(&Bucket::default(), name.as_str().into(), None)
                .await
                .expect("beginning");
            writer.write(content(&name)).await.expect("writing");
            writer.finish().await.expect("finishing");
        }
        say(format!("put {name}"));
        if round % 3 == 0 {
            say(format!("deleting {name}"));
            blobs.delete(&Bucket::default(), &name).await.expect("deleting");
            say(format!("deleted {name}"));
        }
    }
}

/// What was said, by what it is about: the last word counts.
#[derive(Debug, Default)]
struct Said {
    jobs: BTreeMap<u64, String>,
    tokens: BTreeMap<u64, String>,
    blobs: BTreeMap<String, String>,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let mut words = line.split(' ');
        let (Some(word), Some(what)) = (words.next(), words.next()) else {
            return;
        };
        match word {
            "pushed" | "reserved" | "acking" | "acked" => {
                let id = what.parse().expect("an id");
                // The pusher may say it after the worker, who is another.
                let said = self.jobs.entry(id).or_insert_with(|| word.to_owned());
                if word != "pushed" {
                    *said = word.to_owned();
                }
                if let Some(token) = words.next() {
                    self.tokens.insert(id, token.to_owned());
                }
            }
            "put" | "deleting" | "deleted" => {
                self.blobs.insert(what.to_owned(), word.to_owned());
            }
            _ => {}
        }
    }
}

/// Lets a process work in a directory, and kills it.
fn kill(directory: &Path, said: &mut Said) {
    let this = std::env::current_exe().expect("this test");
    let mut process = Command::new(this)
        .args(["--exact", "what_was_acknowledged_outlasts_kills", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
    for line in lines.by_ref().take(LINES) {
        said.hear(&line.expect("a line"));
    }
    process.kill().expect("killing");
    // What was on its way.
    for line in lines.map_while(Result::ok) {
        said.hear(&line);
    }
    let status = process.wait().expect("its end");
    assert!(!status.success(), "it does not end by itself");
}

async fn jobs_are_there(engine: &Embedded, said: &mut Said) {
    let queues = engine.queues();
    let mut there = BTreeSet::new();
    for state in [
        JobState::Ready,
        JobState::Delayed,
        JobState::Reserved,
        JobState::Dead,
    ] {
        let mut after = None;
        loop {
            let page = queues
                .peek(&queue(), state, after, JOBS_MAX)
                .await
                .expect("peeking");
            let Some(last) = page.last() else { break };
            after = Some(last.job.id);
            there.extend(page.iter().map(|peeked| peeked.job.id.0));
        }
    }
    for (id, word) in &said.jobs {
        match word.as_str() {
            "pushed" | "reserved" => assert!(there.contains(id), "job {id} is lost"),
            "acked" => assert!(!there.contains(id), "job {id} came back"),
            _ => {}
        }
    }
    let again = queues
        .reserve(&queue(), JOBS_MAX, LEASE_MAX, Duration::ZERO)
        .await
        .expect("reserving");
    for reserved in again {
        let id = reserved.lease.job.0;
        let word = said.jobs.get(&id).map(String::as_str);
        // The last ones may have been reserved without a word.
        assert!(
            !matches!(word, Some("reserved" | "acked")),
            "job {id} was given twice: {word:?}"
        );
        queues
            .ack(&queue(), &reserved.lease)
            .await
            .expect("acknowledging");
        said.jobs.insert(id, "acked".to_owned());
    }
}

/// The leases that were left hold, and are the only ones.
async fn leases_hold(engine: &Embedded, said: &mut Said) {
    for (id, word) in &mut said.jobs {
        let Some(token) = said.tokens.get(id).filter(|_| word == "reserved") else {
            continue;
        };
        let lease = Lease {
            job: JobId(*id),
            token: token.as_str().into(),
        };
        engine
            .queues()
            .ack(&queue(), &lease)
            .await
            .expect("the lease holds");
        *word = "acked".to_owned();
    }
}

async fn blobs_are_whole(engine: &Embedded, said: &mut Said) {
    let blobs = engine.blobs();
    for (name, word) in &said.blobs {
        let there = blobs
            .info(&Bucket::default(), name)
            .await
            .expect("asking")
            .is_some();
        match word.as_str() {
            "put" => assert!(there, "blob {name} is lost"),
            "deleted" => assert!(!there, "blob {name} came back"),
            _ => {}
        }
    }
    let mut after = None;
    loop {
        let page = blobs
            .list(&Bucket::default(), "", after.as_deref(), LIST_MAX)
            .await
            .expect("listing");
        for info in &page {
            let reader = blobs
                .get(&Bucket::default(), &info.name, None)
                .await
                .expect("opening");
            let parts: Vec<_> = reader
                .expect("it is listed")
                .parts
                .map(|part| part.expect("whole"))
                .collect()
                .await;
            assert!(
                parts.concat() == content(&info.name),
                "blob {} is another",
                info.name
            );
        }
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
    }
    for name in std::mem::take(&mut said.blobs).into_keys() {
        blobs.delete(&Bucket::default(), &name).await.expect("deleting");
    }
}

/// As many files of contents as there are blobs, after a while.
async fn nothing_is_left_over(engine: &Embedded, directory: &Path) {
    let blobs = engine
        .blobs()
        .list(&Bucket::default(), "", None, LIST_MAX)
        .await
        .expect("listing")
        .len();
    let cleared = async {
        while files_below(&directory.join("blobs")) != blobs {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let cleared = tokio::time::timeout(PATIENCE, cleared).await;
    assert!(
        cleared.is_ok(),
        "{} files for {blobs} blobs",
        files_below(&directory.join("blobs"))
    );
}

fn files_below(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let files = entries.map(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files_below(&path) } else { 1 }
    });
    files.sum()
}

/// Works until it is killed.
async fn be_killed(directory: &Path) {
    let engine = open(directory);
    let say: fn(String) = |line| println!("{line}");
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..WORKERS {
        workers.spawn(work(Arc::clone(&engine), say));
        workers.spawn(store(Arc::clone(&engine), worker, say));
    }
    while let Some(worker) = workers.join_next().await {
        worker.expect("a worker");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlasts_kills() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return be_killed(Path::new(&directory)).await;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let mut said = Said::default();
    for _ in 0..KILLS {
        tokio::task::block_in_place(|| kill(&data, &mut said));
        let engine = open(&data);
        jobs_are_there(&engine, &mut said).await;
        leases_hold(&engine, &mut said).await;
        blobs_are_whole(&engine, &mut said).await;
        nothing_is_left_over(&engine, &data).await;
        engine.close().await.expect("closing");
    }
    assert!(said.jobs.len() > KILLS * 10, "{} jobs", said.jobs.len());
}
