//! How long the engine takes to open what was left behind: by an orderly stop, and by kill -9.
//!
//! What was written a moment ago is still in the system's page cache, so this is the time of the processor more than
//! that of the disk.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use switchboard_engine::keys::Write;
use switchboard_engine::{Bucket, Durability, Engine, Key};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::sides::open_engine;
use crate::suite::median;
use crate::table::Table;

/// What a child says once it has written everything.
const FILLED: &str = "filled";

/// What is written before each kill -9: as much as there may be of journals, which is what has to be read again.
const BEFORE_CRASH_BYTES: u64 = 128 * 1024 * 1024;

/// What the child that fills a directory does.
#[derive(Clone, Debug, clap::Args)]
pub struct Fill {
    /// Where.
    directory: PathBuf,
    /// How many keys, from the first on.
    keys: u64,
    /// Bytes in a value.
    payload: usize,
    /// Stops in order before it says that it is done; otherwise it waits to be killed.
    #[arg(long)]
    close: bool,
}

impl Fill {
    /// Writes it all, and waits.
    pub async fn run(self) -> Result<()> {
        let engine = open_engine(&self.directory, Durability::Second)?;
        let (bucket, value) = (Bucket::default(), Bytes::from(vec![b'x'; self.payload]));
        for number in 0..self.keys {
            let key = Key::new(format!("key:{number:012}"))?;
            engine
                .keys()
                .write(&bucket, key, Write::put(value.clone()))
                .await?;
        }
        engine.flush().await?;
        if self.close {
            engine.close().await?;
        }
        println!("{FILLED}");
        std::future::pending().await
    }
}

/// Opens the engine in `directory`, and prints for how many nanoseconds that took, and how many keys there are.
pub async fn open(directory: &Path) -> Result<()> {
    let started = Instant::now();
    let engine = open_engine(directory, Durability::Second)?;
    let nanoseconds = started.elapsed().as_nanos();
    let keys = engine.keys().count(&Bucket::default()).await?;
    engine.close().await?;
    println!("{nanoseconds} {keys}");
    Ok(())
}

/// Fills a directory and opens it, `times` after each end.
pub async fn table(bytes: u64, payload: usize, times: u32) -> Result<Table> {
    let keys = bytes / payload as u64;
    let files = tempfile::tempdir()?;
    let directory = files.path().join("engine");
    let mut table = Table::new(["after", "keys", "on disk, MiB", "opened in, ms"]);
    let fill = |keys: u64, close: bool| filled(&directory, keys, payload, close);
    fill(keys, true).await?.kill().await?;
    let mut orderly = Vec::new();
    for _ in 0..times {
        orderly.push(opened(&directory, keys).await?);
    }
    table.row(row("an orderly stop", keys, &directory, &orderly)?);
    let mut crashed = Vec::new();
    for _ in 0..times {
        let again = (BEFORE_CRASH_BYTES / payload as u64).min(keys);
        fill(again, false).await?.kill().await?;
        crashed.push(opened(&directory, keys).await?);
    }
    table.row(row("kill -9", keys, &directory, &crashed)?);
    Ok(table)
}

fn row(after: &str, keys: u64, directory: &Path, milliseconds: &[f64]) -> Result<Vec<String>> {
    Ok(vec![
        after.to_owned(),
        keys.to_string(),
        format!("{:.0}", bytes_in(directory)? as f64 / (1024.0 * 1024.0)),
        format!("{:.0}", median(milliseconds)),
    ])
}

async fn filled(directory: &Path, keys: u64, payload: usize, close: bool) -> Result<Child> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("fill")
        .arg(directory)
        .args([keys.to_string(), payload.to_string()])
        .args(close.then_some("--close"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let output = child.stdout.take().context("the output is not piped")?;
    let said = BufReader::new(output).lines().next_line().await?;
    ensure!(said.as_deref() == Some(FILLED), "filling the engine ended early");
    Ok(child)
}

/// Milliseconds that a fresh process took to open it.
async fn opened(directory: &Path, expected: u64) -> Result<f64> {
    let output = Command::new(std::env::current_exe()?)
        .arg("open")
        .arg(directory)
        .stderr(Stdio::inherit())
        .output()
        .await?;
    let said = String::from_utf8(output.stdout)?;
    let (nanoseconds, keys) = said.trim().split_once(' ').context("the engine did not open")?;
    ensure!(
        keys.parse() == Ok(expected),
        "{keys} keys are there, of {expected}"
    );
    Ok(nanoseconds.parse::<f64>()? / 1e6)
}

/// Bytes of all files below a directory.
fn bytes_in(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            bytes_in(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}
