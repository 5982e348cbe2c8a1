//! Scripts in Lua: `EVAL` and its kin.
//!
//! ```text
//! EVAL ─► Scripts ─► Script (source, digest, flags) ─► Interpreter (a Lua state) ─► redis.call ─► function on keys
//!           │ cache of sources                                │ reader: answer → Lua          on the edit's Cells
//!           └ idle interpreters                               └ answer: Lua → reply
//! ```
//!
//! A script is one edit: nobody sees a part of what it does, and nothing comes in between. While it runs, the engine
//! holds its locks: **nothing in here may wait**, neither for another thread nor for the outside. That is why a script
//! has an interpreter of its own (a new one where none is idle), why it reaches nothing but keys, and why the time it
//! may run is short. What it publishes leaves when it is done.
//!
//! A script is a stranger's program. What it can do is bounded: its memory by what Lua asks for, its time by looking at
//! the clock every few instructions and inside of every function that may take long, its depth by Lua and by the
//! functions here. Lua's own functions that know no bounds are replaced: [patterns], `string.rep`, `table.sort`.
//! Bytecode is refused, as it could do anything.
//!
//! An engine may run an edit several times: each run begins in a world of its own, and gets the same random numbers, so
//! that the last one counts as if it had been the only one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use switchboard_hub::keys::block_in_place;

use crate::long;
use crate::refusal::Refusal;

mod answer;
mod api;
mod arguments;
mod bits;
mod cache;
mod cjson;
mod commands;
mod interpreter;
mod library;
mod messagepack;
mod numbers;
mod numeric;
mod packing;
mod patterns;
mod raise;
mod random;
mod reader;
mod shebang;
mod strings;
mod tables;
#[cfg(test)]
mod tests;
mod watch;

use cache::Cache;
use interpreter::Interpreter;
pub(crate) use interpreter::Work;

/// What scripts may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScriptLimits {
    /// Memory of one Lua state, in bytes; what a command answers and what a script gives back may have as many.
    pub(crate) memory_bytes_max: usize,
    /// How long one runs.
    pub(crate) time_max: Duration,
    /// How many are kept for `EVALSHA`.
    pub(crate) count_max: usize,
    /// How many bytes these have.
    pub(crate) bytes_max: usize,
}

impl Default for ScriptLimits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 64 * 1024 * 1024,
            time_max: Duration::from_secs(5),
            count_max: 4096,
            bytes_max: 32 * 1024 * 1024,
        }
    }
}

/// The SHA-1 of a script's source: that is its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 20]);

impl Digest {
    /// That of a source.
    pub(crate) fn of(source: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, source);
        Self(digest.as_ref().try_into().unwrap_or_default())
    }

    /// One that is written in hex, in whatever case.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let mut digest = [0; 20];
        const_hex::decode_to_slice(text, &mut digest).ok()?;
        // It would take `0x` before it.
        (text.len() == 2 * digest.len()).then_some(Self(digest))
    }

    /// In hex.
    pub(crate) fn hex(&self) -> String {
        const_hex::Buffer::<20>::new().format(&self.0).to_owned()
    }
}

/// A script, as it was sent.
#[derive(Debug)]
pub(crate) struct Script {
    digest: Digest,
    /// The source, without what stands in its first line for us.
    code: Vec<u8>,
    /// What its first line says of what it does.
    pub(crate) stated: Stated,
    /// How long it ran when it ran longest, in nanoseconds; 0 if it never did.
    longest: AtomicU64,
}

/// A script that ran for longer once keeps nobody else waiting from then on.
const LONG: Duration = Duration::from_millis(1);

/// What a script says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stated {
    /// Nothing.
    Nothing,
    /// It may change keys.
    Writes,
    /// It only looks at them.
    NoWrites,
}

impl Script {
    fn of(source: &[u8]) -> Result<Self, Refusal> {
        let (code, stated) = shebang::read(source)?;
        Ok(Self {
            digest: Digest::of(source),
            code: code.to_vec(),
            stated,
            longest: AtomicU64::new(0),
        })
    }

    /// Runs it: where it may take long, so that others have their turn meanwhile.
    fn run<T>(&self, run: impl FnOnce() -> T) -> T {
        let longest = Duration::from_nanos(self.longest.load(Ordering::Relaxed));
        let begin = Instant::now();
        let outcome = if longest.is_zero() || longest > LONG {
            block_in_place(run)
        } else {
            run()
        };
        let nanos = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.longest.fetch_max(nanos.max(1), Ordering::Relaxed);
        outcome
    }
}

/// Scripts that are known, and the means to run them. A script is known by its digest, so all gateways of a process
/// share these.
pub(crate) struct Scripts {
    limits: ScriptLimits,
    cache: Mutex<Cache>,
    idle: Mutex<Vec<Interpreter>>,
}

/// So many interpreters are kept: as many scripts run at the same time without making one.
const IDLE_MAX: usize = 8;

/// The scripts of this process.
pub(crate) fn shared() -> &'static Scripts {
    static SCRIPTS: LazyLock<Scripts> = LazyLock::new(|| Scripts::new(ScriptLimits::default()));
    &SCRIPTS
}

impl Scripts {
    pub(crate) fn new(limits: ScriptLimits) -> Self {
        Self {
            limits,
            cache: Mutex::default(),
            idle: Mutex::default(),
        }
    }

    /// The script of that source, known from now on.
    ///
    /// # Errors
    /// When its first line asks for something that is not there.
    pub(crate) fn of_source(&self, source: &[u8]) -> Result<Arc<Script>, Refusal> {
        let digest = Digest::of(source);
        if let Some(known) = self.cache.lock().find(&digest) {
            return Ok(known);
        }
        let script = Arc::new(Script::of(source)?);
        self.keep(&script);
        Ok(script)
    }

    /// The script of that digest, in hex.
    ///
    /// # Errors
    /// When it is not known.
    pub(crate) fn of_digest(&self, text: &[u8]) -> Result<Arc<Script>, Refusal> {
        Digest::parse(text)
            .and_then(|digest| self.cache.lock().find(&digest))
            .ok_or(Refusal::new("NOSCRIPT No matching script. Please use EVAL."))
    }

    /// Makes a script known; tells its digest.
    ///
    /// # Errors
    /// When it is no Lua.
    pub(crate) fn load(&self, source: &[u8]) -> Result<Digest, Refusal> {
        let script = Arc::new(Script::of(source)?);
        let compile = || self.with_interpreter(|interpreter| interpreter.compile(&script).map(drop));
        long::through_bytes(source.len(), compile)?;
        self.keep(&script);
        Ok(script.digest)
    }

    /// Whether a script is known, by its digest in hex.
    pub(crate) fn is_known(&self, text: &[u8]) -> bool {
        Digest::parse(text).is_some_and(|digest| self.cache.lock().contains(&digest))
    }

    /// Forgets all scripts.
    pub(crate) fn clear(&self) {
        self.cache.lock().clear();
        self.idle.lock().clear();
    }

    /// Runs a script.
    ///
    /// # Errors
    /// What it ends with.
    pub(crate) fn run(&self, work: Work<'_, '_>) -> Result<(), Refusal> {
        let script = work.script;
        script.run(|| self.with_interpreter(|interpreter| interpreter.run(work)))
    }

    fn keep(&self, script: &Arc<Script>) {
        let ScriptLimits {
            count_max, bytes_max, ..
        } = self.limits;
        self.cache.lock().add(Arc::clone(script), count_max, bytes_max);
    }

    fn with_interpreter(
        &self,
        work: impl FnOnce(&mut Interpreter) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let idle = self.idle.lock().pop();
        let mut interpreter = match idle {
            Some(interpreter) => interpreter,
            None => Interpreter::new(self.limits).map_err(|error| Refusal::of(format!("ERR {error}")))?,
        };
        let outcome = work(&mut interpreter);
        if !interpreter.is_spent() {
            let mut idle = self.idle.lock();
            if idle.len() < IDLE_MAX {
                idle.push(interpreter);
            }
        }
        outcome
    }
}
