//! What edits cost, the threads behind them included, for whoever works on the embedded engine:
//! `cargo run --release -p switchboard-engine-embedded --example edits [-- DIRECTORY [SCENARIO]]`.
//!
//! For each scenario: edits per second at two threads, processor time per edit of all threads together and by their
//! names, and how much resident memory grew.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use switchboard_engine::keys::{Cells, Edit, Reach};
use switchboard_engine::{Answer, Bucket, Engine, Key};
use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const THREADS: u64 = 2;
const NUMBERS: u64 = 1_000_000;

/// An edit of one key.
struct One<F> {
    key: Key,
    run: F,
}

impl<F: FnMut(&mut Cells<'_>, &Key) + Send + 'static> Edit for One<F> {
    fn reach(&self) -> Reach<'_> {
        Reach::Keys(std::slice::from_ref(&self.key))
    }

    fn changes(&self) -> bool {
        true
    }

    fn run(&mut self, cells: &mut Cells<'_>) {
        (self.run)(cells, &self.key);
    }
}

/// What one thread does with a random number.
type Step = fn(&Embedded, &Bucket, u64) -> Answer<Box<dyn Edit>>;

fn edit(
    engine: &Embedded,
    bucket: &Bucket,
    key: String,
    run: impl FnMut(&mut Cells<'_>, &Key) + Send + 'static,
) -> Answer<Box<dyn Edit>> {
    let key = Key::new(key).expect("a key");
    engine.keys().edit(bucket, Box::new(One { key, run }))
}

fn set(engine: &Embedded, bucket: &Bucket, key: String) -> Answer<Box<dyn Edit>> {
    edit(engine, bucket, key, |cells, key| {
        if let Ok(cell) = cells.cell(key) {
            cell.put(Bytes::from_static(b"a value of 16 B."));
            cell.set_expires(None);
        }
    })
}

const SCENARIOS: [(&str, u64, Step); 6] = [
    ("SET of 1 M random keys", 4_000_000, |engine, bucket, number| {
        set(engine, bucket, format!("key:{number:012}"))
    }),
    ("SET of one key", 4_000_000, |engine, bucket, _| {
        set(engine, bucket, "key".to_owned())
    }),
    (
        "RPUSH and LPOP of one list",
        4_000_000,
        |engine, bucket, number| {
            edit(engine, bucket, "list".to_owned(), move |cells, key| {
                let Ok(list) = cells.cell(key).and_then(|cell| cell.list_mut()) else {
                    return;
                };
                if number % 2 == 0 {
                    list.push_back(b"a value of 16 B.");
                } else {
                    list.pop_front();
                }
            })
        },
    ),
    ("RPUSH on one list", 2_000_000, |engine, bucket, _| {
        edit(engine, bucket, "growing list".to_owned(), |cells, key| {
            if let Ok(list) = cells.cell(key).and_then(|cell| cell.list_mut()) {
                list.push_back(b"a value of 16 B.");
            }
        })
    }),
    (
        "HSET of 1 M random fields of one hash",
        4_000_000,
        |engine, bucket, number| {
            edit(engine, bucket, "hash".to_owned(), move |cells, key| {
                if let Ok(hash) = cells.cell(key).and_then(|cell| cell.hash_mut()) {
                    hash.insert(format!("fld:{number:012}").as_bytes(), b"a value of 16 B.");
                }
            })
        },
    ),
    (
        "HSET of one field in each of 1 M hashes",
        2_000_000,
        |engine, bucket, number| {
            edit(engine, bucket, format!("hash:{number:011}"), |cells, key| {
                if let Ok(hash) = cells.cell(key).and_then(|cell| cell.hash_mut()) {
                    hash.insert(b"a field of 16 B.", b"a value of 16 B.");
                }
            })
        },
    ),
];

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let root = arguments.next().unwrap_or_else(|| "target/edits".to_owned());
    let only = arguments.next().and_then(|number| number.parse::<usize>().ok());
    for (number, (what, count, step)) in SCENARIOS.into_iter().enumerate() {
        if only.is_none_or(|only| only == number) {
            measure(Path::new(&root), what, count, step)?;
        }
    }
    Ok(())
}

fn measure(root: &Path, what: &str, count: u64, step: Step) -> Outcome {
    let _ = std::fs::remove_dir_all(root);
    let mut options = EmbeddedOptions::new(DataDir::Path(root.to_owned()));
    options.memory_bytes = 1 << 30;
    let engine = Embedded::open(options)?;
    let (memory, before, started) = (resident_mib(), processor_nanos(), Instant::now());
    let longest = std::thread::scope(|scope| -> Outcome<f64> {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let engine = Arc::clone(&engine);
                let builder = std::thread::Builder::new().name("editor".to_owned());
                builder.spawn_scoped(scope, move || {
                    let outcome = run(&engine, count / THREADS, thread, step);
                    (outcome, nanos_of(Path::new("/proc/thread-self")))
                })
            })
            .collect::<Result<_, _>>()?;
        let mut longest = 0.0_f64;
        let mut editors = 0;
        for thread in threads {
            let (outcome, nanos) = thread.join().map_err(|_| "an editor has failed")?;
            longest = longest.max(outcome?);
            editors += nanos;
        }
        println!(
            "{what}\n{:12} {:6.0} ns a edit",
            "editors",
            editors as f64 / count as f64
        );
        Ok(longest)
    })?;
    let time = started.elapsed();
    wait_for(engine.flush())?;
    let mut sum = 0;
    for (name, nanos) in processor_nanos() {
        let nanos = nanos - before.get(&name).copied().unwrap_or_default();
        sum += nanos;
        println!("{name:12} {:6.0} ns a edit", nanos as f64 / count as f64);
    }
    println!(
        "{:12} {:6.0} ns beside the editors; {:.0} edits/s; longest {longest:.1} ms; {:.0} MiB more resident\n",
        "all",
        sum as f64 / count as f64,
        count as f64 / time.as_secs_f64(),
        resident_mib() - memory
    );
    wait_for(engine.close())?;
    Ok(())
}

/// Edits, and tells how long the longest one took, in milliseconds.
fn run(engine: &Embedded, count: u64, seed: u64, step: Step) -> Outcome<f64> {
    let bucket = Bucket::default();
    let mut random = seed * 2 + 1;
    let mut longest = 0.0_f64;
    let mut last = Instant::now();
    for number in 0..count {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        match step(engine, &bucket, (random >> 33) % NUMBERS) {
            Answer::Now(outcome) => {
                outcome.ok_or("no outcome")??;
            }
            later => {
                wait_for(later)?;
            }
        }
        if number % 16 == 0 {
            longest = longest.max(last.elapsed().as_secs_f64() * 1e3);
            last = Instant::now();
        }
    }
    Ok(longest)
}

fn wait_for<T: Unpin>(answer: Answer<T>) -> Outcome<T> {
    // Loading reads on another thread, if the store is slow.
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(runtime.block_on(answer)?)
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

fn nanos_of(task: &Path) -> u64 {
    let text = std::fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|nanos| nanos.parse().ok())
        .unwrap_or_default()
}

/// The processor time of this process's threads, by name.
fn processor_nanos() -> BTreeMap<String, u64> {
    let mut nanos = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        *nanos.entry(name.trim().to_owned()).or_default() += nanos_of(&task.path());
    }
    nanos
}
