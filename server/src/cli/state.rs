//! Arguments of `export`, `import` and `backup`: the whole state.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, ValueHint};

use super::serve::ServeArgs;
use crate::config::Sources;

/// Which engine a command opens.
#[derive(Debug, Clone, Default, Args)]
pub struct EngineArgs {
    /// Configuration file of the daemon that the state is of
    ///
    /// Without it, ./switchboard.toml, else /etc/switchboard/switchboard.toml, else none.
    #[arg(long, value_name = "FILE", env = "SWITCHBOARD_CONFIG", hide_env_values = true, value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Folder of the daemon's own files and of its state
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data: Option<String>,
    /// Where state is kept: `embedded`, or a NATS cluster, nats://HOST:PORT, several with commas between
    #[arg(long, value_name = "ENGINE")]
    pub engine: Option<String>,
}

impl EngineArgs {
    /// All sources of the configuration, as for `serve`.
    pub fn sources(&self) -> Sources {
        let serve = ServeArgs {
            config: self.config.clone(),
            data: self.data.clone(),
            engine: self.engine.clone(),
            ..ServeArgs::default()
        };
        serve.sources()
    }
}

const EXPORT_AFTER_HELP: &str = "\
Everything that the daemon keeps: keys of all buckets, last values of topics, queues, blobs. The daemon must not run on
the same folder; `switchboard backup` copies the state of one that runs.

The file is written beside its place first, so that there is a whole one or none.

Examples:
  switchboard export state.switchboard
  switchboard export --data /var/lib/switchboard - | zstd > state.zst
  switchboard export --engine nats://host1:4222 state.switchboard";

/// `switchboard export`
#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXPORT_AFTER_HELP)]
pub struct ExportArgs {
    /// File to write; `-` is stdout
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: OsString,
    /// Of which engine.
    #[command(flatten)]
    pub engine: EngineArgs,
}

const IMPORT_AFTER_HELP: &str = "\
The engine must be empty, and no daemon may run with it. A file is read through before anything is taken in; of stdin,
damage is noticed only when what came before it is in.

Revisions of keys and numbers of jobs are new afterwards. A job that somebody was working on is ready again.

Examples:
  switchboard import state.switchboard
  zstd -dc state.zst | switchboard import --data /var/lib/switchboard -
  switchboard import --engine nats://host1:4222 state.switchboard";

/// `switchboard import`
#[derive(Debug, Clone, Args)]
#[command(after_long_help = IMPORT_AFTER_HELP)]
pub struct ImportArgs {
    /// File to read; `-` is stdin
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: OsString,
    /// Into which engine.
    #[command(flatten)]
    pub engine: EngineArgs,
}

const BACKUP_AFTER_HELP: &str = "\
Copies the state of a running daemon into a new folder, that `serve --data` can be started with. The daemon writes it,
on its own machine, as its own user; it takes this only from clients there.

It goes on working meanwhile: what changes while it is copied is in the copy or not.

Examples:
  switchboard backup /var/backups/switchboard-monday
  switchboard --hub unix:///var/lib/switchboard/switchboard.sock backup ./copy";

/// `switchboard backup`
#[derive(Debug, Clone, Args)]
#[command(after_long_help = BACKUP_AFTER_HELP)]
pub struct BackupArgs {
    /// Folder to make
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub folder: PathBuf,
}
