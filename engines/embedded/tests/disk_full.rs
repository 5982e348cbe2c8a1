//! A disk that takes no more: writes are refused, reads go on, and when there is room again all goes on by itself, with
//! nothing lost that was acknowledged.
//!
//! The full disk is a limit on the length of files, for a process of its own: this test once more, started by a shell
//! that lets it ignore the signal which comes with that.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use switchboard_engine::keys::{Cells, Change, Edit, Reach, Write};
use switchboard_engine::structures::List;
use switchboard_engine::{Bucket, Durability, Engine, EngineError, Health, Key};
use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions};

/// Where the process with the limit works, and how durably.
const DIRECTORY: &str = "SWITCHBOARD_TEST_FULL_DIRECTORY";
const DURABILITY: &str = "SWITCHBOARD_TEST_FULL_DURABILITY";

/// The limit, in KiB.
const LIMIT_KIB: u64 = 512;

/// How long healing may take on a busy machine; it is tried once a second.
const PATIENCE: Duration = Duration::from_secs(60);

fn open(directory: &Path, durability: Durability) -> Arc<Embedded> {
    let mut options = EmbeddedOptions::new(DataDir::Path(directory.to_owned()));
    options.durability = durability;
    Embedded::open(options).expect("opening")
}

fn bucket() -> Bucket {
    Bucket::default()
}

async fn put(engine: &Embedded, number: usize) -> Result<(), EngineError> {
    let key = Key::new(format!("key {number}")).expect("a key");
    let write = Write::put(format!("{number:10000}"));
    engine.keys().write(&bucket(), key, write).await.map(drop)
}

/// Adds an element to a list.
struct Push(Key);

impl Edit for Push {
    fn reach(&self) -> Reach<'_> {
        Reach::Keys(std::slice::from_ref(&self.0))
    }

    fn changes(&self) -> bool {
        true
    }

    fn run(&mut self, cells: &mut Cells<'_>) {
        let list = cells.cell(&self.0).and_then(|cell| cell.list_mut());
        list.expect("a list").push_back(&[b'x'; 1_000]);
    }
}

/// Looks at how many elements the list has.
struct Length(Key, usize);

impl Edit for Length {
    fn reach(&self) -> Reach<'_> {
        Reach::Keys(std::slice::from_ref(&self.0))
    }

    fn changes(&self) -> bool {
        false
    }

    fn run(&mut self, cells: &mut Cells<'_>) {
        let list = cells.cell(&self.0).and_then(|cell| cell.list());
        self.1 = list.expect("a list").map_or(0, List::len);
    }
}

async fn push(engine: &Embedded) -> Result<(), EngineError> {
    let push = Push(Key::new("list").expect("a key"));
    engine.keys().edit(&bucket(), Box::new(push)).await.map(drop)
}

async fn length(engine: &Embedded) -> usize {
    let length = Length(Key::new("list").expect("a key"), 0);
    let edit = engine.keys().edit(&bucket(), Box::new(length)).await;
    let edit: Box<dyn std::any::Any> = edit.expect("looking goes on");
    edit.downcast::<Length>().expect("the edit").1
}

async fn are_there(engine: &Embedded, numbers: &[usize]) {
    for number in numbers {
        let entry = engine
            .keys()
            .get(&bucket(), format!("key {number}").as_bytes())
            .await;
        let entry = entry
            .expect("reads go on")
            .expect("what was acknowledged is there");
        assert_eq!(entry.value, format!("{number:10000}"));
    }
}

async fn until(engine: &Embedded, wanted: impl Fn(&Health) -> bool) {
    let waiting = async {
        while !wanted(&engine.health()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "it stays {:?}", engine.health());
}

/// Writes until the disk is full, and after it has room again.
async fn with_a_limit(directory: &Path) {
    let durability = std::env::var(DURABILITY)
        .expect("how durably")
        .parse()
        .expect("a durability");
    let engine = open(directory, durability);
    let mut acknowledged = Vec::new();
    let mut pushed = length(&engine).await;
    let refused = loop {
        let number = acknowledged.len();
        assert!(number < 10_000, "there is no limit");
        match put(&engine, number).await {
            Ok(()) => acknowledged.push(number),
            Err(error) => break error,
        }
        match push(&engine).await {
            Ok(()) => pushed += 1,
            Err(error) => break error,
        }
        // Without it thousands are acknowledged before the disk is tried.
        engine.flush().await.ok();
    };
    assert!(matches!(&refused, EngineError::Unavailable { .. }), "{refused:?}");
    until(&engine, |health| matches!(health, Health::Impaired(_))).await;
    are_there(&engine, &acknowledged).await;
    assert!(length(&engine).await >= pushed);
    let refused = push(&engine).await;
    assert!(
        matches!(refused, Err(EngineError::Unavailable { .. })),
        "{refused:?}"
    );
    let increment = Write::change(Change::Increment(1));
    let key = Key::new("counter").expect("a key");
    let outcome = engine.keys().write(&bucket(), key, increment).await;
    assert!(
        matches!(outcome, Err(EngineError::Unavailable { .. })),
        "{outcome:?}"
    );
    assert!(engine.flush().await.is_err());

    let limit = Rlimit {
        current: None,
        ..getrlimit(Resource::Fsize)
    };
    setrlimit(Resource::Fsize, limit).expect("lifting the limit");
    until(&engine, |health| *health == Health::Ready).await;
    put(&engine, 10_000).await.expect("there is room again");
    push(&engine).await.expect("there is room again");
    acknowledged.push(10_000);
    engine.flush().await.expect("there is room again");
    are_there(&engine, &acknowledged).await;
    // What is left to the test is how many were acknowledged.
    println!("acknowledged {}", acknowledged.len() - 1);
    println!("pushed {}", length(&engine).await);
    std::process::exit(0);
}

async fn try_durability(test: &str, durability: Durability) {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return with_a_limit(Path::new(&directory)).await;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    // Its files are created before the limit, as one of them is large.
    let engine = open(&data, durability);
    put(&engine, 0).await.expect("there is room");
    engine.close().await.expect("closing");
    drop(engine);

    let this = std::env::current_exe().expect("this test");
    let output = Command::new("bash")
        .args([
            "-c",
            &format!("trap '' XFSZ; ulimit -S -f {LIMIT_KIB}; exec \"$0\" \"$@\""),
        ])
        .arg(this)
        .args(["--exact", test, "--nocapture"])
        .env(DIRECTORY, &data)
        .env(DURABILITY, durability.to_string())
        .output()
        .expect("a process");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let number_after = |word: &str| {
        let rest = said.split(word).nth(1);
        let number = rest.and_then(|rest| rest.split_whitespace().next());
        number
            .and_then(|number| number.parse::<usize>().ok())
            .expect("how many")
    };
    let count = number_after("acknowledged ");
    assert!(count > 10, "{count} is what fits below the limit");

    let engine = open(&data, durability);
    let mut acknowledged: Vec<usize> = (0..count).collect();
    acknowledged.push(10_000);
    are_there(&engine, &acknowledged).await;
    assert_eq!(length(&engine).await, number_after("pushed "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_heals_under_always() {
    try_durability("a_full_disk_heals_under_always", Durability::Always).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_heals_under_second() {
    try_durability("a_full_disk_heals_under_second", Durability::Second).await;
}
