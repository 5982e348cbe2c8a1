//! How long the log of rounds makes others wait, for whoever works on it: the first scan after long writes, and opening
//! after a crash. `cargo run --release -p switchboard-engine-embedded --example folding [-- DIRECTORY]`

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use switchboard_engine::keys::{Scan, Write};
use switchboard_engine::{Bucket, Engine, Key};
use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Of the log before it is folded by itself: about 500 MiB, with keys and values of 16 bytes.
const WRITES: u64 = 7_000_000;

/// As many keys as are written to, so that none is written twice; and few.
const KEYS: [u64; 2] = [100_000, WRITES];

/// Memory for all of them.
const MEMORY_BYTES: usize = 4 * 1024 * 1024 * 1024;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().collect();
    let root = arguments.get(1).map_or("target/folding", String::as_str);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(keys) = arguments.get(2) {
        // The child: it writes, and crashes.
        let engine = open(Path::new(root))?;
        runtime.block_on(write(&engine, keys.parse()?))?;
        std::process::abort();
    }
    for keys in KEYS {
        let path = Path::new(root).join(keys.to_string());
        let _ = std::fs::remove_dir_all(&path);
        Command::new(std::env::current_exe()?)
            .arg(&path)
            .arg(keys.to_string())
            .status()?;
        let started = Instant::now();
        let engine = open(&path)?;
        println!(
            "{WRITES} writes to {keys} keys: opening after a crash {:.1} s",
            started.elapsed().as_secs_f64()
        );
        runtime.block_on(async {
            write(&engine, keys).await?;
            let started = Instant::now();
            engine.keys().scan(&Bucket::default(), Scan::default()).await?;
            println!(
                "{WRITES} writes to {keys} keys: first scan after them {:.1} s",
                started.elapsed().as_secs_f64()
            );
            engine.close().await?;
            Outcome::Ok(())
        })?;
    }
    Ok(())
}

fn open(path: &Path) -> Outcome<Arc<Embedded>> {
    let mut options = EmbeddedOptions::new(DataDir::Path(path.to_owned()));
    options.memory_bytes = MEMORY_BYTES;
    Ok(Embedded::open(options)?)
}

async fn write(engine: &Embedded, keys: u64) -> Outcome {
    let (bucket, value) = (Bucket::default(), Bytes::from_static(b"0123456789abcdef"));
    for number in 0..WRITES {
        let key = Key::new(format!("key:{:012}", number % keys))?;
        let write = Write::put(value.clone());
        engine.keys().write(&bucket, key, write).await?;
    }
    engine.flush().await?;
    Ok(())
}
