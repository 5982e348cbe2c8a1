//! A process that is killed with -9 while it writes keys: under `always` all that it acknowledged is there; under the
//! others the youngest may be missing, and nothing else.
//!
//! The process is this test once more, told by its environment what to do.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use switchboard_engine::keys::{BatchOutcome, Change, Write};
use switchboard_engine::{Bucket, Durability, Engine, Key};
use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions};

/// Where the process that is to be killed works, and how durably.
const DIRECTORY: &str = "SWITCHBOARD_TEST_KEYS_DIRECTORY";
const DURABILITY: &str = "SWITCHBOARD_TEST_KEYS_DURABILITY";

/// How often it is killed.
const KILLS: usize = 3;

/// Lines that it says before it is killed: where it does not wait for the disk, as many as take several rounds.
fn lines_of(durability: Durability) -> usize {
    match durability {
        Durability::Always => 300,
        _ => 20_000,
    }
}

/// Who writes at the same time.
const WRITERS: usize = 4;

fn open(directory: &Path, durability: Durability) -> Arc<Embedded> {
    let mut options = EmbeddedOptions::new(DataDir::Path(directory.to_owned()));
    options.durability = durability;
    Embedded::open(options).expect("opening")
}

fn key(name: impl Into<String>) -> Key {
    Key::new(name.into()).expect("a key")
}

fn bucket() -> Bucket {
    Bucket::default()
}

/// Writes one number after the other, each three times: twice in a batch, then once more. Now and then a large value,
/// so that tables are written too.
async fn count(engine: Arc<Embedded>, writer: usize) {
    let keys = engine.keys();
    let start = number(&engine, &format!("{writer} first")).await;
    for number in start + 1.. {
        let put = || Write::put(number.to_string());
        let batch = vec![
            (key(format!("{writer} first")), put()),
            (key(format!("{writer} second")), put()),
        ];
        let outcome = keys.batch(&bucket(), batch).await.expect("a batch");
        assert!(matches!(outcome, BatchOutcome::Done(_)));
        keys.write(&bucket(), key(format!("{writer} third")), put())
            .await
            .expect("a put");
        let total = Write::change(Change::Increment(1));
        keys.write(&bucket(), key("total"), total)
            .await
            .expect("an increment");
        if number % 50 == 0 {
            let large = Write::put(vec![writer as u8; 300_000]);
            keys.write(&bucket(), key(format!("{writer} large {}", number % 400)), large)
                .await
                .expect("a put");
        }
        println!("{writer} {number}");
    }
}

async fn number(engine: &Embedded, name: &str) -> u64 {
    let entry = engine
        .keys()
        .get(&bucket(), name.as_bytes())
        .await
        .expect("reading");
    entry.map_or(0, |entry| {
        let text = std::str::from_utf8(&entry.value).expect("a number");
        text.parse().expect("a number")
    })
}

/// Lets a process write, and kills it. Tells the last number that each writer has acknowledged.
fn kill_one(test: &str, directory: &Path, durability: Durability) -> [u64; WRITERS] {
    let mut process = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", test, "--nocapture"])
        .env(DIRECTORY, directory)
        .env(DURABILITY, durability.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut acknowledged = [0; WRITERS];
    let mut hear = |line: &str| {
        let mut words = line.split(' ').map(str::parse::<u64>);
        if let (Some(Ok(writer)), Some(Ok(number))) = (words.next(), words.next()) {
            acknowledged[writer as usize] = number;
        }
    };
    let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
    for line in lines.by_ref().take(lines_of(durability)) {
        hear(&line.expect("a line"));
    }
    process.kill().expect("killing");
    lines.map_while(Result::ok).for_each(|line| hear(&line));
    assert!(
        !process.wait().expect("its end").success(),
        "it does not end by itself"
    );
    acknowledged
}

/// What is there is what was there at one moment, and that not before what has to be there.
async fn is_one_moment(engine: &Embedded, at_least: &[u64; WRITERS], kills: usize) {
    let mut sum = 0;
    for (writer, at_least) in at_least.iter().enumerate() {
        let first = number(engine, &format!("{writer} first")).await;
        let second = number(engine, &format!("{writer} second")).await;
        let third = number(engine, &format!("{writer} third")).await;
        assert_eq!(first, second, "half of a batch is there");
        assert!(
            third == first || third + 1 == first,
            "{third} was written after {first}"
        );
        assert!(
            third >= *at_least,
            "{at_least} was acknowledged, but there is {third}"
        );
        sum += third;
    }
    // Each writer counts after its third put, so each kill may keep each of them from counting once.
    let total = number(engine, "total").await;
    let least = sum.saturating_sub((WRITERS * kills) as u64);
    assert!((least..=sum).contains(&total), "{total} counted, {sum} written");
}

async fn be_killed(directory: &Path) {
    let durability = std::env::var(DURABILITY)
        .expect("how durably")
        .parse()
        .expect("a durability");
    let engine = open(directory, durability);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(count(Arc::clone(&engine), writer));
    }
    while let Some(writer) = writers.join_next().await {
        writer.expect("a writer");
    }
}

async fn try_durability(test: &str, durability: Durability) {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return be_killed(Path::new(&directory)).await;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let mut reached = [0; WRITERS];
    for kill in 1..=KILLS {
        let acknowledged = tokio::task::block_in_place(|| kill_one(test, &data, durability));
        let engine = open(&data, durability);
        let at_least = match durability {
            Durability::Always => acknowledged,
            _ => reached,
        };
        is_one_moment(&engine, &at_least, kill).await;
        engine.close().await.expect("closing");
        let engine = open(&data, durability);
        is_one_moment(&engine, &at_least, kill).await;
        for (writer, reached) in reached.iter_mut().enumerate() {
            *reached = number(&engine, &format!("{writer} third")).await;
        }
        engine.close().await.expect("closing");
    }
    assert!(reached.iter().sum::<u64>() > 0, "something outlasted the kills");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_was_acknowledged_is_there_under_always() {
    try_durability(
        "all_that_was_acknowledged_is_there_under_always",
        Durability::Always,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_youngest_is_missing_under_second() {
    try_durability("only_the_youngest_is_missing_under_second", Durability::Second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_youngest_is_missing_under_never() {
    try_durability("only_the_youngest_is_missing_under_never", Durability::Never).await;
}
