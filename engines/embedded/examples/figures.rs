//! Figures of the embedded engine, for whoever works on it: `cargo run --release -p switchboard-engine-embedded
//! --example figures [-- DIRECTORY]`. The benchmarks that compare with others are in `benches`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use switchboard_engine::keys::{Change, Scan, Write};
use switchboard_engine::{Answer, Bucket, Durability, Engine, Key};
use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const KEYS: u64 = 1_000_000;

fn main() -> Outcome {
    let root = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "target/figures".to_owned());
    let root = Path::new(&root);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if std::env::args().nth(2).as_deref() == Some("open") {
        return runtime.block_on(cold(&root.join("second")));
    }
    let _ = std::fs::remove_dir_all(root);
    runtime.block_on(async {
        memory_and_speed(&root.join("second")).await?;
        cold(&root.join("second")).await?;
        group_commit(&root.join("always")).await?;
        large_values(&root.join("large")).await
    })?;
    Ok(())
}

fn open(path: &Path, durability: Durability, memory_bytes: Option<usize>) -> Outcome<Arc<Embedded>> {
    let mut options = EmbeddedOptions::new(DataDir::Path(path.to_owned()));
    options.durability = durability;
    options.memory_bytes = memory_bytes.unwrap_or(options.memory_bytes);
    Ok(Embedded::open(options)?)
}

fn key(number: u64) -> Outcome<Key> {
    Ok(Key::new(format!("key:{number:012}"))?)
}

/// Of the resident memory of this process, in MiB.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

fn tell(what: &str, count: u64, time: Duration) {
    let nanos = time.as_nanos() as f64 / count as f64;
    println!("{what:55} {nanos:10.0} ns  {:12.0}/s", 1e9 / nanos);
}

/// As [`tell`], with the time that this thread was on a processor: what others take does not count.
fn tell_alone(what: &str, count: u64, started: (Instant, u64)) {
    tell(what, count, started.0.elapsed());
    println!(
        "{:55} {:10} ns on the processor",
        "",
        (processor_nanos() - started.1) / count
    );
}

fn start() -> (Instant, u64) {
    (Instant::now(), processor_nanos())
}

fn processor_nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    nanos.unwrap_or_default()
}

async fn memory_and_speed(path: &Path) -> Outcome {
    let engine = open(path, Durability::Second, None)?;
    let (keys, bucket) = (engine.keys(), Bucket::default());
    let value = Bytes::from_static(b"0123456789abcdef");
    let before = resident_mib();
    let started = start();
    for number in 0..KEYS {
        keys.write(&bucket, key(number)?, Write::put(value.clone()))
            .await?;
    }
    tell_alone("put of a new key, 16 B + 16 B, second", KEYS, started);
    engine.flush().await?;
    println!(
        "{KEYS} keys of 16 B with 16 B: {:.0} MiB of memory, {:.0} B a key",
        resident_mib() - before,
        (resident_mib() - before) * 1024.0 * 1024.0 / KEYS as f64
    );
    tokio::time::sleep(Duration::from_secs(5)).await;
    println!("{:.0} MiB of memory after a rest", resident_mib() - before);
    let names: Vec<Key> = (0..1024)
        .map(|number| key(number * 977))
        .collect::<Outcome<_>>()?;
    let rounds = 2_000_000 / names.len();
    let count = (rounds * names.len()) as u64;

    let started = start();
    for name in (0..rounds).flat_map(|_| &names) {
        let Answer::Now(Some(Ok(Some(_)))) = keys.get(&bucket, name.as_ref()) else {
            return Err("a hot key is there at once".into());
        };
    }
    tell_alone("get of a hot key", count, started);

    let started = start();
    for name in (0..rounds).flat_map(|_| &names) {
        let written = keys.write(&bucket, name.clone(), Write::put(value.clone()));
        let Answer::Now(Some(Ok(_))) = written else {
            written.await?;
            continue;
        };
    }
    tell_alone("put of a hot key, second", count, started);

    let counter = key(5)?;
    keys.write(&bucket, counter.clone(), Write::put("0")).await?;
    let started = start();
    for _ in 0..count {
        let write = Write::change(Change::Increment(1));
        keys.write(&bucket, counter.clone(), write).await?;
    }
    tell_alone("increment of one counter, second", count, started);
    two_threads(&engine, &names, count).await?;

    let started = Instant::now();
    let mut scan = Scan::default();
    let mut seen = 0;
    loop {
        let page = keys.scan(&bucket, scan.clone()).await?;
        seen += page.entries.len() as u64;
        match page.cursor {
            Some(cursor) => scan.after = Some(cursor),
            None => break,
        }
    }
    tell("scan, per key", seen, started.elapsed());
    let started = Instant::now();
    engine.close().await?;
    println!("closing: {} ms", started.elapsed().as_millis());
    Ok(())
}

async fn two_threads(engine: &Arc<Embedded>, names: &[Key], count: u64) -> Outcome {
    for (what, writes) in [
        ("two threads: get of a hot key", false),
        ("two threads: put of a hot key, second", true),
    ] {
        let started = Instant::now();
        let mut tasks = Vec::new();
        for part in 0..2 {
            let (engine, names) = (Arc::clone(engine), names.to_vec());
            tasks.push(tokio::spawn(async move {
                let bucket = Bucket::default();
                for number in 0..count as usize / 2 {
                    let name = &names[(number * 7 + part) % names.len()];
                    if writes {
                        let write = Write::put(Bytes::from_static(b"0123456789abcdef"));
                        engine.keys().write(&bucket, name.clone(), write).await?;
                    } else {
                        engine.keys().get(&bucket, name.as_ref()).await?;
                    }
                }
                Outcome::Ok(())
            }));
        }
        for task in tasks {
            task.await??;
        }
        tell(what, count, started.elapsed());
    }
    Ok(())
}

async fn cold(path: &Path) -> Outcome {
    let (started, before) = (Instant::now(), resident_mib());
    let engine = open(path, Durability::Second, None)?;
    println!("opened: {:.0} MiB of memory more", resident_mib() - before);
    println!(
        "opening with {KEYS} keys, all into memory: {} ms",
        started.elapsed().as_millis()
    );
    drop(engine);
    let engine = open(path, Durability::Second, Some(16 * 1024 * 1024))?;
    let (keys, bucket) = (engine.keys(), Bucket::default());
    let count = 50_000;
    let started = start();
    for number in 0..count {
        let number = number * 7_919 % KEYS;
        if keys.get(&bucket, key(number)?.as_ref()).await?.is_none() {
            return Err("a cold key is there".into());
        }
    }
    tell_alone("get of a cold key, memory for a tenth", count, started);
    let started = start();
    for number in 0..count {
        let number = number * 6_007 % KEYS;
        keys.write(&bucket, key(number)?, Write::put("0123456789abcdef"))
            .await?;
    }
    tell_alone("put of a cold key, second, memory for a tenth", count, started);
    engine.close().await?;
    Ok(())
}

async fn group_commit(path: &Path) -> Outcome {
    let engine = open(path, Durability::Always, None)?;
    let mut rates = Vec::new();
    for writers in [1_u64, 10, 100, 1000] {
        let each = if writers == 1 { 5_000 } else { 200_000 / writers };
        let started = Instant::now();
        let mut tasks = Vec::new();
        for writer in 0..writers {
            let engine = Arc::clone(&engine);
            tasks.push(tokio::spawn(async move {
                let bucket = Bucket::default();
                for number in 0..each {
                    let name = key(writer * 1_000_000 + number % 1_000)?;
                    let write = Write::put(Bytes::from_static(b"0123456789abcdef"));
                    engine.keys().write(&bucket, name, write).await?;
                }
                Outcome::Ok(())
            }));
        }
        for task in tasks {
            task.await??;
        }
        let time = started.elapsed();
        tell(&format!("put, always, {writers} writers"), writers * each, time);
        rates.push((writers * each) as f64 / time.as_secs_f64());
    }
    if let [one, _, hundred, _] = rates[..] {
        println!("100 writers against one: {:.1}x", hundred / one);
    }
    engine.close().await?;
    Ok(())
}

/// What is left on the disk of large values that are replaced again and again.
async fn large_values(path: &Path) -> Outcome {
    let engine = open(path, Durability::Second, None)?;
    let (keys, bucket) = (engine.keys(), Bucket::default());
    let started = Instant::now();
    let count = 3_000;
    for number in 0..count {
        let write = Write::put(vec![number as u8; 1024 * 1024]);
        keys.write(&bucket, key(number % 10)?, write).await?;
    }
    engine.flush().await?;
    tell("put of 1 MiB over another, second", count, started.elapsed());
    println!(
        "{} MiB on disk for 10 MiB of values",
        bytes_below(path)? / 1024 / 1024
    );
    engine.close().await?;
    Ok(())
}

fn bytes_below(path: &Path) -> Outcome<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => bytes_below(&entry.path())?,
            // In blocks of 512 bytes, whatever the file system's are.
            false => entry.metadata()?.blocks() * 512,
        };
    }
    Ok(bytes)
}
