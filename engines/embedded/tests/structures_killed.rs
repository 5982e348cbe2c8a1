//! Structures that are edited together with others: no reader sees a part of an edit, and neither does whoever opens what
//! a process left that was killed with -9.
//!
//! The process is this test once more, told by its environment what to do.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use switchboard_engine::keys::{Cells, Edit, Reach};
use switchboard_engine::structures::Structure;
use switchboard_engine::{Bucket, Durability, Engine, Key, Kind};
use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions};

/// Where the process that is to be killed works, and how durably.
const DIRECTORY: &str = "SWITCHBOARD_TEST_STRUCTURES_DIRECTORY";
const DURABILITY: &str = "SWITCHBOARD_TEST_STRUCTURES_DURABILITY";

/// How often it is killed.
const KILLS: usize = 4;

/// Fields of a hash, and most elements of a list: both have parts, and new snapshots now and then.
const FIELDS: u64 = 2_000;
const ELEMENTS: usize = 3_000;

fn open(directory: &Path, durability: Durability) -> Arc<Embedded> {
    let mut options = EmbeddedOptions::new(DataDir::Path(directory.to_owned()));
    options.durability = durability;
    Embedded::open(options).expect("opening")
}

/// Gives the number after the last one to a plain value, a hash, and a list.
struct Step {
    keys: Vec<Key>,
    number: u64,
}

impl Step {
    fn new() -> Box<Self> {
        let key = |name: &'static str| Key::new(name).expect("a key");
        Box::new(Self {
            keys: vec![key("number"), key("hash"), key("list")],
            number: 0,
        })
    }

    fn try_run(&mut self, cells: &mut Cells<'_>) -> switchboard_engine::Result<()> {
        let [number, hash, list] = &self.keys[..] else {
            return Ok(());
        };
        let cell = cells.cell(number)?;
        self.number = cell.plain()?.map_or(0, number_of) + 1;
        let text = self.number.to_string();
        cell.put(text.clone());
        let fields = cells.cell(hash)?.hash_mut()?;
        fields.insert((self.number % FIELDS).to_string().as_bytes(), text.as_bytes());
        let elements = cells.cell(list)?.list_mut()?;
        elements.push_back(text.as_bytes());
        if elements.len() > ELEMENTS {
            elements.drop_front(ELEMENTS / 2);
        }
        Ok(())
    }
}

impl Edit for Step {
    fn reach(&self) -> Reach<'_> {
        Reach::Keys(&self.keys)
    }

    fn changes(&self) -> bool {
        true
    }

    fn run(&mut self, cells: &mut Cells<'_>) {
        self.try_run(cells).expect("keys of the right kinds");
    }
}

fn number_of(text: &[u8]) -> u64 {
    std::str::from_utf8(text)
        .expect("a number")
        .parse()
        .expect("a number")
}

async fn step(engine: &Embedded) -> u64 {
    let edit = engine.keys().edit(&Bucket::default(), Step::new());
    let edit: Box<dyn std::any::Any> = edit.await.expect("an edit");
    edit.downcast::<Step>().expect("the step").number
}

/// The number, after a look at whether all keys are of one moment.
async fn moment(engine: &Embedded) -> u64 {
    let keys = &Step::new().keys;
    let entries = engine.keys().get_many(&Bucket::default(), keys).await;
    let entries = entries.expect("reading");
    let [Some(number), Some(hash), Some(list)] = &entries[..] else {
        assert!(
            entries.iter().all(Option::is_none),
            "a part of an edit: {entries:?}"
        );
        return 0;
    };
    let number = number_of(&number.value);
    assert_eq!((hash.kind, list.kind), (Kind::Hash, Kind::List));
    let Ok(Structure::Hash(hash)) = Structure::decode(hash.kind, &hash.value) else {
        panic!("no hash");
    };
    assert_eq!(hash.len() as u64, number.min(FIELDS));
    let field = hash.get((number % FIELDS).to_string().as_bytes());
    assert_eq!(field.map(number_of), Some(number));
    let Ok(Structure::List(list)) = Structure::decode(list.kind, &list.value) else {
        panic!("no list");
    };
    let elements = list.iter().rev().map(number_of);
    assert!(
        elements.eq((0..=number).rev().take(list.len())),
        "the list does not end with {number}"
    );
    number
}

/// Lets a process edit, and kills it. Tells the last number that it has acknowledged.
fn kill_one(test: &str, directory: &Path, durability: Durability) -> u64 {
    let lines = if durability == Durability::Always {
        300
    } else {
        20_000
    };
    let mut process = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", test, "--nocapture"])
        .env(DIRECTORY, directory)
        .env(DURABILITY, durability.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut output = BufReader::new(process.stdout.take().expect("its output")).lines();
    let mut last = 0;
    let mut hear = |line: String| {
        if let Some(Ok(number)) = line.strip_prefix("did ").map(str::parse) {
            last = number;
        }
    };
    for line in output.by_ref().take(lines) {
        hear(line.expect("a line"));
    }
    process.kill().expect("killing");
    output.map_while(Result::ok).for_each(hear);
    assert!(
        !process.wait().expect("its end").success(),
        "it does not end by itself"
    );
    last
}

async fn try_durability(test: &str, durability: Durability) {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        let durability = std::env::var(DURABILITY).expect("how durably");
        let engine = open(Path::new(&directory), durability.parse().expect("a durability"));
        loop {
            println!("did {}", step(&engine).await);
        }
    }
    let directory = tempfile::tempdir().expect("a directory");
    let mut before = 0;
    for _ in 0..KILLS {
        let acknowledged = kill_one(test, directory.path(), durability);
        let engine = open(directory.path(), durability);
        let found = moment(&engine).await;
        assert!(found > before, "{found} after {before}");
        if durability == Durability::Always {
            assert!(
                found >= acknowledged,
                "{found} where {acknowledged} was acknowledged"
            );
        }
        before = found;
        engine.close().await.expect("closing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_leaves_whole_edits_under_always() {
    try_durability(
        "a_killed_process_leaves_whole_edits_under_always",
        Durability::Always,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_leaves_whole_edits_under_second() {
    try_durability(
        "a_killed_process_leaves_whole_edits_under_second",
        Durability::Second,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_see_whole_edits() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = open(directory.path(), Durability::Second);
    let is_over = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (engine, is_over) = (Arc::clone(&engine), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut last = 0;
                while !is_over.load(Ordering::Acquire) {
                    let found = moment(&engine).await;
                    assert!(found >= last, "{found} after {last}");
                    last = found;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let writers: Vec<_> = (0..2)
        .map(|_| {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move {
                for _ in 0..5_000 {
                    step(&engine).await;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("a writer");
    }
    is_over.store(true, Ordering::Release);
    for reader in readers {
        reader.await.expect("a reader");
    }
    assert_eq!(moment(&engine).await, 10_000);
    engine.close().await.expect("closing");
    let engine = open(directory.path(), Durability::Second);
    assert_eq!(moment(&engine).await, 10_000);
}
