//! The embedded engine keeps the contract of engines: on disk, on disk with next to no memory for hot keys and every
//! write made safe, and in memory.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use switchboard_engine::{Durability, Engine, ManualClock, Timestamp};
use switchboard_engine_contract::{Abilities, TestBed, contract_tests};
use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions};
use tempfile::TempDir;

/// Some day in 2023: clocks can be set back from it.
const BEGINNING: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// An engine with its directory, if it has one.
struct Bed {
    clock: ManualClock,
    options: EmbeddedOptions,
    directory: Option<TempDir>,
    engine: Option<Arc<Embedded>>,
}

impl Bed {
    fn on_disk(durability: Durability, memory_bytes: Option<usize>) -> Self {
        let directory = TempDir::new().expect("a directory");
        let mut options = EmbeddedOptions::new(DataDir::Path(directory.path().join("data")));
        options.durability = durability;
        options.memory_bytes = memory_bytes.unwrap_or(options.memory_bytes);
        Self::open(options, Some(directory))
    }

    fn open(mut options: EmbeddedOptions, directory: Option<TempDir>) -> Self {
        let clock = ManualClock::at(BEGINNING);
        options.clock = Arc::new(clock.clone());
        let engine = Some(Embedded::open(options.clone()).expect("opening"));
        Self {
            clock,
            options,
            directory,
            engine,
        }
    }

    fn engine_in_use(&self) -> &Arc<Embedded> {
        self.engine.as_ref().expect("it is open")
    }
}

impl TestBed for Bed {
    fn engine(&self) -> Arc<dyn Engine> {
        self.engine_in_use().clone()
    }

    fn clock(&self) -> Option<ManualClock> {
        Some(self.clock.clone())
    }

    fn pass(&mut self, time: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.clock.advance(time);
            self.engine_in_use().clear_up().await.expect("clearing up");
        })
    }

    fn reopen(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if let Some(engine) = self.engine.take() {
                engine.close().await.expect("closing");
            }
            self.engine = Some(Embedded::open(self.options.clone()).expect("opening again"));
        })
    }

    /// What a process leaves behind that ends in this moment is what its files have in this moment: a copy of them is
    /// opened, and the engine that wrote them is let go of.
    fn crash_and_reopen(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let DataDir::Path(data) = &self.options.data else {
                panic!("a state in memory ends with its process");
            };
            let directory = TempDir::new().expect("a directory");
            let left = directory.path().join("data");
            copy_running(data, &left);
            self.options.data = DataDir::Path(left);
            if let Some(engine) = self.engine.take() {
                engine.close().await.expect("closing");
            }
            self.directory = Some(directory);
            self.engine = Some(Embedded::open(self.options.clone()).expect("opening after a crash"));
        })
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            outlasts_its_process: self.directory.is_some(),
            ..Abilities::default()
        }
    }
}

/// Copies a directory that is written to. The mark, which says what the rest must have, goes first, so that the rest is
/// not older; blobs go last, as they are on disk before what names them.
fn copy_running(from: &Path, to: &Path) {
    fs::create_dir(to).expect("creating");
    let mut entries: Vec<_> = fs::read_dir(from)
        .expect("reading")
        .map(|entry| entry.expect("reading"))
        .collect();
    entries.sort_by_key(|entry| match entry.file_name().to_str() {
        Some("mark") => 0,
        Some("blobs") => 2,
        _ => 1,
    });
    for entry in entries {
        let copy = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_running(&entry.path(), &copy);
        } else {
            fs::copy(entry.path(), copy).expect("copying");
        }
    }
}

async fn on_disk() -> Bed {
    Bed::on_disk(Durability::Second, None)
}

contract_tests!(on_disk);

/// With so little memory for hot keys that most are read from disk.
mod without_memory {
    use super::{Bed, Durability};

    async fn bed() -> Bed {
        Bed::on_disk(Durability::Always, Some(0))
    }

    switchboard_engine_contract::contract_tests!(bed);
}

mod in_memory {
    use super::{Bed, DataDir, EmbeddedOptions};

    async fn bed() -> Bed {
        Bed::open(EmbeddedOptions::new(DataDir::Memory), None)
    }

    switchboard_engine_contract::contract_tests!(bed);
}
