//! Durability `always`: many writers share one write to the disk, a single one waits for each of its own.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use bytes::Bytes;
use switchboard_engine::keys::Write;
use switchboard_engine::{Bucket, Durability, Engine, Key};
use switchboard_engine_embedded::Embedded;

use super::sides::{SyncedFjall, open_engine};
use crate::contender::Echo;
use crate::load::{Load, Round};

/// The keys that are written, over and over: enough that no two writers meet at one.
const KEYS: u64 = 10_000;

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// Switchboard's embedded engine.
    Switchboard,
    /// fjall bare, an insert and a sync for each put.
    Fjall,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Switchboard => "switchboard",
            Self::Fjall => "fjall",
        })
    }
}

/// How many write what.
#[derive(Clone, Debug, clap::Args)]
pub struct Cell {
    /// Where files may be.
    pub directory: PathBuf,
    /// Tasks, each of which puts again once its put is on the disk.
    pub writers: usize,
    /// Bytes in a value.
    pub payload: usize,
}

impl Cell {
    /// The arguments that a child reads this from.
    pub fn arguments(&self) -> [String; 3] {
        [
            self.directory.display().to_string(),
            self.writers.to_string(),
            self.payload.to_string(),
        ]
    }
}

impl Name {
    /// Opens an empty one.
    pub fn open(self, cell: &Cell) -> Result<Box<dyn Round>> {
        let next = Arc::new(AtomicU64::new(0));
        let value = Bytes::from(vec![b'x'; cell.payload]);
        Ok(match self {
            Self::Switchboard => {
                let engine = open_engine(&cell.directory, Durability::Always)?;
                Box::new(Load::new(vec![Writer { engine, next }], cell.writers, value))
            }
            Self::Fjall => {
                let fjall = Arc::new(SyncedFjall::open(&cell.directory)?);
                Box::new(Load::new(vec![BareWriter { fjall, next }], cell.writers, value))
            }
        })
    }
}

fn next_key(next: &AtomicU64) -> Bytes {
    let number = next.fetch_add(1, Ordering::Relaxed) % KEYS;
    Bytes::from(format!("key:{number:012}"))
}

#[derive(Clone)]
struct Writer {
    engine: Arc<Embedded>,
    next: Arc<AtomicU64>,
}

impl Echo for Writer {
    async fn echo(&mut self, payload: Bytes) -> Result<Bytes> {
        let key = Key::new(next_key(&self.next))?;
        let write = Write::put(payload.clone());
        self.engine.keys().write(&Bucket::default(), key, write).await?;
        Ok(payload)
    }
}

#[derive(Clone)]
struct BareWriter {
    fjall: Arc<SyncedFjall>,
    next: Arc<AtomicU64>,
}

impl Echo for BareWriter {
    async fn echo(&mut self, payload: Bytes) -> Result<Bytes> {
        let key = next_key(&self.next);
        tokio::task::block_in_place(|| self.fjall.put(&key, &payload))?;
        Ok(payload)
    }
}
