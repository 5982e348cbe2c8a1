//! The whole: four parts, and what concerns them all.

use std::fmt;
use std::str::FromStr;

use crate::{Answer, Blobs, Bus, Keys, Queues};

/// When what was acknowledged is safe from the loss of power. What was acknowledged is safe from the end of the
/// process (kill -9) under `Always`, and but for the last second under the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Before it is acknowledged. Many writers share one write to the disk.
    Always,
    /// Within a second.
    #[default]
    Second,
    /// When the operating system sees fit.
    Never,
}

impl FromStr for Durability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "always" => Ok(Self::Always),
            "second" => Ok(Self::Second),
            "never" => Ok(Self::Never),
            other => Err(format!(
                "{other:?} is no durability: it is one of `always`, `second` and `never`"
            )),
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "always",
            Self::Second => "second",
            Self::Never => "never",
        })
    }
}

/// How an engine does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// All is well.
    Ready,
    /// It cannot do all it should, and why; it tries to heal by itself.
    Impaired(String),
}

/// Where a hub keeps its state.
///
/// All methods may be called from any thread, inside a tokio runtime. Values that are handed in may be slices of
/// larger buffers: an engine that keeps one in memory copies it.
pub trait Engine: fmt::Debug + Send + Sync + 'static {
    /// What it is, for people: `embedded, data in ./data`.
    fn description(&self) -> String;

    /// Whether other hubs use it too, so that what happens at this one must be told them over the [`Bus`].
    fn is_shared(&self) -> bool;

    /// How it does.
    fn health(&self) -> Health;

    /// Messages between hubs.
    fn bus(&self) -> &dyn Bus;

    /// Values by key.
    fn keys(&self) -> &dyn Keys;

    /// Jobs under leases.
    fn queues(&self) -> &dyn Queues;

    /// Large values.
    fn blobs(&self) -> &dyn Blobs;

    /// Makes everything that was acknowledged as durable as it can be, whatever the [`Durability`].
    fn flush(&self) -> Answer<()>;

    /// Flushes, and lets go of files and connections. What is asked for afterwards is
    /// [`Unavailable`](crate::EngineError::Unavailable). Idempotent; dropping the engine does the same without telling
    /// how it went.
    fn close(&self) -> Answer<()>;
}
