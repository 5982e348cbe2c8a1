//! The engines that the daemon can keep its state in: each is registered here, by one line in [`open`].

use std::sync::Arc;

use switchboard_engine::{Engine, EngineError};
use switchboard_engine_embedded::OpenError;

use crate::config::engine::Engine as Settings;

mod embedded;
mod nats;

/// How to open an engine, beyond what is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Manner {
    /// Whether to go on without what is damaged or missing.
    pub accept_loss: bool,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineFailure {
    /// The embedded one cannot be opened.
    #[error("{source}{}", advice(source))]
    Embedded {
        /// Why.
        #[from]
        source: OpenError,
    },
    /// The cluster cannot be used.
    #[error("the NATS cluster: {source}")]
    Nats {
        /// Why.
        source: EngineError,
    },
}

impl EngineFailure {
    /// Whether the same may work later, as it is.
    pub fn may_pass(&self) -> bool {
        let source = match self {
            Self::Embedded { source } => match source {
                OpenError::InUse { .. } => return true,
                OpenError::Engine(error) => error,
                _ => return false,
            },
            Self::Nats { source } => source,
        };
        matches!(source, EngineError::Unavailable { .. })
    }
}

/// What can be done, where the engine cannot know it.
fn advice(error: &OpenError) -> &'static str {
    match error {
        OpenError::Damaged { .. } => {
            " (`switchboard serve --accept-loss` starts without it, and logs what is lost)"
        }
        OpenError::InUse { .. } => " (`switchboard backup DIR` copies the state of a daemon that runs)",
        _ => "",
    }
}

/// Opens the engine that is configured.
///
/// # Errors
/// What [`EngineFailure`] names.
///
/// # Cancel safety
/// Dropping the future gives up; the embedded one may be open for a moment longer.
pub async fn open(settings: &Settings, manner: Manner) -> Result<Arc<dyn Engine>, EngineFailure> {
    match settings {
        Settings::Memory => embedded::in_memory().await,
        Settings::Embedded(settings) => embedded::on_disk(settings, manner).await,
        Settings::Nats(settings) => nats::open(settings).await,
    }
}
