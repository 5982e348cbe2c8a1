//! The engine in this process.

use std::{io, sync::Arc};

use switchboard_engine::Engine;
use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions, OpenError};

use super::{EngineFailure, Manner};
use crate::config::engine::Embedded as Settings;

pub(super) async fn in_memory() -> Result<Arc<dyn Engine>, EngineFailure> {
    open(EmbeddedOptions::new(DataDir::Memory)).await
}

pub(super) async fn on_disk(settings: &Settings, manner: Manner) -> Result<Arc<dyn Engine>, EngineFailure> {
    open(EmbeddedOptions {
        durability: settings.durability,
        memory_bytes: settings.memory,
        accept_loss: manner.accept_loss,
        ..EmbeddedOptions::new(DataDir::Path(settings.folder.clone()))
    })
    .await
}

async fn open(options: EmbeddedOptions) -> Result<Arc<dyn Engine>, EngineFailure> {
    let path = match &options.data {
        DataDir::Path(path) => path.clone(),
        DataDir::Memory => Default::default(),
    };
    // After a crash it reads for a while.
    let opened = tokio::task::spawn_blocking(move || Embedded::open(options)).await;
    let opened = opened.unwrap_or_else(|panic| {
        Err(OpenError::Io {
            action: "open",
            path,
            source: io::Error::other(panic),
        })
    });
    Ok(opened?)
}
