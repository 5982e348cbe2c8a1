//! `export`, `import` and `backup`: the whole state. One file a command.

use std::{path::Path, sync::Arc};

use switchboard_engine::{Engine, transfer::TransferError};

use crate::{
    cli::state::EngineArgs,
    config::{self, engine::Engine as Settings},
    data_directory,
    engines::{self, Manner},
    exit::Failure,
    report::transferred::Transferred,
};

mod backup;
mod export;
mod import;

pub(super) use backup::{BACKUP, Backup, backup};
pub(super) use export::export;
pub(super) use import::import;

/// The argument that stands for stdout and stdin.
const STANDARD: &str = "-";

/// Whether state that is not there is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IfMissing {
    Refuse,
    Make,
}

/// Opens the engine that is configured, for a command that has it for itself.
async fn open(args: &EngineArgs, if_missing: IfMissing) -> anyhow::Result<Arc<dyn Engine>> {
    let config = config::load(&args.sources())?.config;
    match (&config.engine, &config.server.data) {
        (Settings::Memory, _) => {
            let said = "with the data `:memory:` there is no state outside of the daemon";
            return Err(Failure::Usage(said.to_owned()).into());
        }
        (Settings::Embedded(embedded), Some(data)) => match if_missing {
            IfMissing::Refuse => check_there(&embedded.folder)?,
            IfMissing::Make => data_directory::make(data, None)?,
        },
        _ => {}
    }
    Ok(engines::open(&config.engine, Manner::default()).await?)
}

fn check_there(folder: &Path) -> Result<(), Failure> {
    if folder.is_dir() {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "there is no state in {}: --data DIR says where the daemon keeps it",
        folder.display()
    )))
}

/// Lets go of the engine; what was done comes first, if both failed.
async fn close<T>(engine: Arc<dyn Engine>, done: anyhow::Result<T>) -> anyhow::Result<T> {
    let closed = engine.close().await;
    let done = done?;
    closed?;
    Ok(done)
}

/// What to say about an import that did not come to its end.
fn incomplete(error: TransferError, transferred: &Transferred) -> anyhow::Error {
    let is_before_anything = matches!(
        error,
        TransferError::NotEmpty(_) | TransferError::Foreign | TransferError::Newer(_)
    );
    let error = anyhow::Error::new(error);
    if is_before_anything {
        return error;
    }
    error.context(format!(
        "only a part was imported ({}): empty the engine before you try again",
        transferred.totals()
    ))
}
