//! Threads that put and get, without a runtime between them and what they measure.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use bytes::Bytes;

use super::sides::{Kept, Name};
use crate::load::{Round, Sample};

/// Operations between two looks at the clock.
const STRIDE: u64 = 64;

/// What the threads do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mix {
    /// New keys, in no order.
    Put,
    /// Keys that are there.
    Overwrite,
    /// Reads of keys that are there.
    Get,
    /// One overwrite for each get.
    Half,
    /// One overwrite for 15 gets.
    Sixteenth,
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Put => "put",
            Self::Overwrite => "overwrite",
            Self::Get => "get",
            Self::Half => "half",
            Self::Sixteenth => "sixteenth",
        })
    }
}

impl Mix {
    /// Of how many operations one writes; 0 if none does.
    fn write_in(self) -> u64 {
        match self {
            Self::Put | Self::Overwrite => 1,
            Self::Get => 0,
            Self::Half => 2,
            Self::Sixteenth => 16,
        }
    }
}

/// What is done, by how many, to how much.
#[derive(Clone, Debug, clap::Args)]
pub struct Cell {
    /// Where files may be.
    pub directory: PathBuf,
    /// What is done.
    pub mix: Mix,
    /// By how many threads.
    pub threads: usize,
    /// Bytes in a value; a key has 16.
    pub payload: usize,
    /// Keys that are there before the first round, and are read and overwritten.
    pub keys: u64,
}

impl Cell {
    /// The arguments that a child reads this from.
    pub fn arguments(&self) -> [String; 5] {
        [
            self.directory.display().to_string(),
            self.mix.to_string(),
            self.threads.to_string(),
            self.payload.to_string(),
            self.keys.to_string(),
        ]
    }
}

/// Threads at one store.
pub struct Threads {
    kept: Arc<dyn Kept>,
    cell: Cell,
    value: Bytes,
    keys: Vec<Bytes>,
    /// The number of the next key that is put beyond those.
    new_keys: AtomicU64,
}

/// The key of a number, 16 bytes that begin alike, as keys do: numbers one after the other give keys in no order.
fn key(number: u64) -> Bytes {
    // Odd, so that no two numbers of 48 bits give the same.
    let scattered = number.wrapping_mul(0x9e37_79b9_7f4b) & ((1 << 48) - 1);
    Bytes::from(format!("key:{scattered:012x}"))
}

impl Threads {
    /// Opens the side, and fills it.
    pub fn open(name: Name, cell: Cell) -> Result<Self> {
        let threads = Self {
            kept: name.open(&cell.directory)?,
            value: Bytes::from(vec![b'x'; cell.payload]),
            keys: (0..cell.keys).map(key).collect(),
            new_keys: AtomicU64::new(cell.keys),
            cell,
        };
        for key in &threads.keys {
            threads.kept.put(key, &threads.value)?;
        }
        threads.kept.settle()?;
        Ok(threads)
    }

    fn drive(&self, duration: Duration) -> Result<Sample> {
        let started = Instant::now();
        let until = started + duration;
        let calls = thread::scope(|scope| {
            let threads: Vec<_> = (0..self.cell.threads)
                .map(|number| scope.spawn(move || self.work(number as u64, until)))
                .collect();
            threads.into_iter().try_fold(0, |calls, thread| {
                Ok::<_, anyhow::Error>(calls + thread.join().map_err(|_| anyhow!("a thread has panicked"))??)
            })
        })?;
        if self.cell.mix != Mix::Get {
            self.kept.settle()?;
        }
        Ok(Sample {
            calls,
            elapsed: started.elapsed(),
            p50: Duration::ZERO,
            p99: Duration::ZERO,
        })
    }

    /// One thread: what it does until then. Tells how often it did.
    fn work(&self, thread: u64, until: Instant) -> Result<u64> {
        let write_in = self.cell.mix.write_in();
        let mut random = thread + 1;
        let mut calls = 0;
        while Instant::now() < until {
            let new = match self.cell.mix {
                Mix::Put => Some(self.new_keys.fetch_add(STRIDE, Ordering::Relaxed)),
                _ => None,
            };
            for step in 0..STRIDE {
                if let Some(new) = new {
                    self.kept.put(&key(new + step), &self.value)?;
                    continue;
                }
                // xorshift64
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let key = &self.keys[(random % self.cell.keys) as usize];
                if write_in > 0 && step % write_in == 0 {
                    self.kept.put(key, &self.value)?;
                } else {
                    let value = self.kept.get(key)?;
                    ensure!(
                        value.as_deref().map(<[u8]>::len) == Some(self.value.len()),
                        "a key is gone"
                    );
                }
            }
            calls += STRIDE;
        }
        Ok(calls)
    }
}

impl Round for Threads {
    fn run(&self, duration: Duration) -> Pin<Box<dyn Future<Output = Result<Sample>> + '_>> {
        Box::pin(async move { tokio::task::block_in_place(|| self.drive(duration)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_scattered_and_differ() {
        let keys: std::collections::BTreeSet<Bytes> = (0..10_000).map(key).collect();
        assert_eq!(keys.len(), 10_000);
        assert!(keys.iter().all(|key| key.len() == 16));
        assert!(key(0) < key(1) && key(2) < key(1));
    }
}
