//! `export`: an engine's state into a file.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use switchboard_engine::{Engine, transfer};
use tokio::io::AsyncWrite;

use super::{IfMissing, STANDARD, close, open};
use crate::{
    cli::state::ExportArgs, client::Signals, commands::runtime, output::OutputError,
    report::transferred::Transferred,
};

/// What a file is called until it is whole.
const PARTIAL: &str = "partial";

/// `switchboard export`
pub(in crate::commands) fn export(args: &ExportArgs) -> anyhow::Result<()> {
    crate::client::start_log()?;
    runtime::block_on(async {
        let mut signals = Signals::watch()?;
        signals.unless(run(args)).await
    })?
}

async fn run(args: &ExportArgs) -> anyhow::Result<()> {
    let engine = open(&args.engine, IfMissing::Refuse).await?;
    let done = if args.file == STANDARD {
        write(&*engine, tokio::io::stdout()).await
    } else {
        to_file(&*engine, Path::new(&args.file)).await
    };
    close(engine, done).await
}

async fn to_file(engine: &dyn Engine, path: &Path) -> anyhow::Result<()> {
    let partial = partial(path);
    let cannot = || format!("cannot write {}", path.display());
    let file = tokio::fs::File::create(&partial).await.with_context(cannot)?;
    let exported = async {
        write(engine, file.try_clone().await.with_context(cannot)?).await?;
        file.sync_all().await.with_context(cannot)?;
        tokio::fs::rename(&partial, path).await.with_context(cannot)
    };
    let exported = exported.await;
    if exported.is_err() {
        // What is left of it would be of no use; that it stays is no reason to tell another fault.
        let _ = tokio::fs::remove_file(&partial).await;
    }
    exported
}

async fn write(engine: &dyn Engine, to: impl AsyncWrite + Unpin) -> anyhow::Result<()> {
    let mut transferred = Transferred::new("exported", None);
    let totals = transfer::export(engine, to, &mut |totals| transferred.show(totals)).await;
    let totals = totals.map_err(|error| match error {
        transfer::TransferError::Io(error) => OutputError::from(error).into(),
        error => anyhow::Error::new(error),
    })?;
    transferred.finish(&totals);
    Ok(())
}

/// Beside the file, so that it can become it in one step.
fn partial(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or(OsStr::new("export")).to_owned();
    name.push(".");
    name.push(PARTIAL);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_whole_has_another_name_in_the_same_folder() {
        assert_eq!(partial(Path::new("/a/b.x")), Path::new("/a/b.x.partial"));
        assert_eq!(partial(Path::new("b")), Path::new("b.partial"));
    }
}
