//! `import`: a file's state into an engine.

use std::path::Path;

use anyhow::Context;
use switchboard_engine::{Engine, transfer};
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncSeekExt},
};

use super::{IfMissing, STANDARD, close, incomplete, open};
use crate::{cli::state::ImportArgs, client::Signals, commands::runtime, report::transferred::Transferred};

/// `switchboard import`
pub(in crate::commands) fn import(args: &ImportArgs) -> anyhow::Result<()> {
    crate::client::start_log()?;
    runtime::block_on(async {
        let mut signals = Signals::watch()?;
        signals.unless(run(args)).await
    })?
}

async fn run(args: &ImportArgs) -> anyhow::Result<()> {
    // Read before there is an engine: what is no export must not leave an empty one behind.
    let file = match &args.file {
        file if file == STANDARD => None,
        file => Some(verified(Path::new(file)).await?),
    };
    let engine = open(&args.engine, IfMissing::Make).await?;
    let done = match file {
        Some((file, bytes)) => read(&*engine, file, Some(bytes)).await,
        None => read(&*engine, tokio::io::stdin(), None).await,
    };
    close(engine, done).await
}

/// The file, found to be good, from its begin; and how long it is.
async fn verified(path: &Path) -> anyhow::Result<(File, u64)> {
    let cannot = || format!("cannot import {}", path.display());
    let mut file = File::open(path).await.with_context(cannot)?;
    let bytes = file.metadata().await.with_context(cannot)?.len();
    let mut transferred = Transferred::new("checked", Some(bytes));
    let verified = transfer::verify(&mut file, &mut |totals| transferred.show(totals)).await;
    verified.with_context(cannot)?;
    file.rewind().await.with_context(cannot)?;
    Ok((file, bytes))
}

async fn read(engine: &dyn Engine, from: impl AsyncRead + Unpin, bytes: Option<u64>) -> anyhow::Result<()> {
    let mut transferred = Transferred::new("imported", bytes);
    let totals = transfer::import(engine, from, &mut |totals| transferred.show(totals)).await;
    let totals = totals.map_err(|error| incomplete(error, &transferred))?;
    transferred.finish(&totals);
    if totals.attempts_forgotten > 0 {
        eprintln!(
            "switchboard: {} jobs that had failed before are as new",
            totals.attempts_forgotten
        );
    }
    Ok(())
}
