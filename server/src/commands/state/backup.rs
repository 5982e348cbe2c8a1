//! `backup`: the state of a running daemon into a new data folder, which the daemon writes. The command asks for it by
//! the operation `hub.backup`, whose answer is a stream: a line of JSON for how far it is, and a last one.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use switchboard_engine::{
    Durability, Engine,
    transfer::{self, Totals},
};
use switchboard_hub::{Body, Call, Caller, ErrorKind, Fault, Replier, Responder};
use switchboard_peer::{PartSender, Reply};
use tokio::runtime::Handle;

use crate::{
    cli::state::BackupArgs,
    client::Client,
    config::engine::{Embedded, Engine as Settings, FOLDER},
    data_directory,
    engines::{self, Manner},
    exit::Failure,
    report::transferred::Transferred,
};

/// The operation.
pub(in crate::commands) const BACKUP: &str = "hub.backup";

/// Bytes on their way from one engine to the other.
const PIPE_BYTES: usize = 1024 * 1024;

/// Memory of the engine that is written: nothing of it is read.
const MEMORY_BYTES: usize = 16 * 1024 * 1024;

/// How often is told how far it is.
const TELL_INTERVAL: Duration = Duration::from_millis(500);

/// What `hub.backup` takes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// The folder to make, an absolute path on the daemon's machine.
    folder: PathBuf,
}

/// A line of its answer.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// Whether this is the last: the copy is whole.
    done: bool,
    keys: u64,
    jobs: u64,
    blobs: u64,
    bytes: u64,
}

/// `switchboard backup`
pub(in crate::commands) async fn backup(args: BackupArgs, client: Client) -> anyhow::Result<()> {
    let folder =
        std::path::absolute(&args.folder).with_context(|| format!("{} is no path", args.folder.display()))?;
    let request = serde_json::to_vec(&Request { folder })?;
    client
        .visit(async |peer| {
            // By stream: it may take as long as it needs.
            let (mut sender, reply) = peer.at_hub().call(BACKUP).stream();
            let reply = async {
                sender.send(request).await?;
                sender.finish();
                reply.await
            };
            match reply.await.map_err(Failure::from)? {
                Reply::Stream(parts) => follow(parts).await,
                Reply::Single(_) => anyhow::bail!("the daemon did not answer with a stream"),
            }
        })
        .await
}

async fn follow(mut parts: switchboard_peer::PartReceiver) -> anyhow::Result<()> {
    let mut transferred = Transferred::new("copied", None);
    while let Some(part) = parts.next().await {
        let line: Line = serde_json::from_slice(&part.map_err(Failure::from)?)?;
        let totals = Totals {
            keys: line.keys,
            jobs: line.jobs,
            blobs: line.blobs,
            bytes: line.bytes,
            ..Totals::default()
        };
        if line.done {
            transferred.finish(&totals);
            return Ok(());
        }
        transferred.show(&totals);
    }
    anyhow::bail!("the daemon did not say that the copy is whole")
}

/// Who answers `hub.backup` in the daemon.
#[derive(Debug)]
pub(in crate::commands) struct Backup {
    pub(in crate::commands) engine: Arc<dyn Engine>,
}

impl Responder for Backup {
    fn respond(&self, call: Call, reply: Replier) {
        let Ok(runtime) = Handle::try_current() else {
            return reply.fault(Fault::failed("the daemon is going down"));
        };
        if !is_local(&call.caller) {
            let said = format!("{BACKUP} is only for who is on the daemon's own machine");
            return reply.fault(Fault::error(ErrorKind::Denied, said));
        }
        let engine = Arc::clone(&self.engine);
        runtime.spawn(async move {
            match read(call.body).await {
                Ok(folder) => answer(&engine, &folder, reply).await,
                Err(fault) => reply.fault(fault),
            }
        });
    }
}

/// Whether the caller is on this machine.
fn is_local(caller: &Caller) -> bool {
    let address = &caller.info.address;
    address.starts_with("unix")
        || address
            .parse::<SocketAddr>()
            .is_ok_and(|address| address.ip().to_canonical().is_loopback())
}

/// The folder that is asked for.
async fn read(body: Body) -> Result<PathBuf, Fault> {
    /// Far more than any path has.
    const REQUEST_BYTES_MAX: usize = 64 * 1024;
    let body = body.collect(REQUEST_BYTES_MAX).await?;
    let request: Request =
        serde_json::from_slice(&body).map_err(|error| Fault::invalid(format!("{BACKUP}: {error}")))?;
    let folder = request.folder;
    if !folder.is_absolute() {
        return Err(Fault::invalid(format!("{BACKUP}: `folder` is no absolute path")));
    }
    if folder.exists() {
        return Err(Fault::error(
            ErrorKind::Conflict,
            format!("{} is there already: name a folder to make", folder.display()),
        ));
    }
    Ok(folder)
}

/// Copies, and tells how far that is. A caller who goes away gives it up; what was written until then is removed.
async fn answer(engine: &Arc<dyn Engine>, folder: &Path, reply: Replier) {
    let gone = reply.cancellation();
    let mut lines = reply.stream();
    let totals = Mutex::new(Totals::default());
    let copied = tokio::select! {
        copied = copy(&**engine, folder, &totals) => copied,
        () = gone.cancelled() => Err(anyhow::anyhow!("nobody waits for the copy any more")),
        () = tell(&totals, &mut lines) => Err(anyhow::anyhow!("nobody waits for the copy any more")),
    };
    match copied {
        Ok(totals) => {
            tracing::info!(folder = %folder.display(), keys = totals.keys, bytes = totals.bytes, "state copied");
            let _ = lines.send(line(&totals, true)).await;
            lines.finish();
        }
        Err(error) => {
            tracing::warn!(folder = %folder.display(), error = format!("{error:#}"), "state not copied");
            let _ = tokio::fs::remove_dir_all(folder).await;
            lines.fail(Fault::failed(format!("{error:#}")));
        }
    }
}

/// Never ends while somebody reads.
async fn tell(totals: &Mutex<Totals>, lines: &mut PartSender) {
    loop {
        tokio::time::sleep(TELL_INTERVAL).await;
        let now = *totals.lock();
        if lines.send(line(&now, false)).await.is_err() {
            return;
        }
    }
}

fn line(totals: &Totals, done: bool) -> Bytes {
    let line = Line {
        done,
        keys: totals.keys,
        jobs: totals.jobs,
        blobs: totals.blobs,
        bytes: totals.bytes,
    };
    // Numbers always are JSON.
    serde_json::to_vec(&line).unwrap_or_default().into()
}

async fn copy(from: &dyn Engine, folder: &Path, totals: &Mutex<Totals>) -> anyhow::Result<Totals> {
    data_directory::make(folder, None)?;
    let settings = Settings::Embedded(Embedded {
        folder: folder.join(FOLDER),
        // Made safe in the end, all at once.
        durability: Durability::Never,
        memory: MEMORY_BYTES,
    });
    let to = engines::open(&settings, Manner::default()).await?;
    let (writer, reader) = tokio::io::duplex(PIPE_BYTES);
    let mut progress = |now: &Totals| *totals.lock() = *now;
    let mut unheard = |_: &Totals| {};
    let copied = tokio::try_join!(
        transfer::export(from, writer, &mut progress),
        transfer::import(&*to, reader, &mut unheard)
    );
    let closed = to.close().await;
    let (exported, _) = copied?;
    closed?;
    Ok(exported)
}

#[cfg(test)]
mod tests {
    use switchboard_hub::{Account, SessionId, SessionInfo};

    use super::*;

    fn caller(address: &str) -> Caller {
        Caller {
            session: SessionId::HUB,
            info: Arc::new(SessionInfo {
                door: "gotalk".into(),
                address: address.to_owned(),
                account: Account::guest(),
                client: None,
            }),
        }
    }

    #[test]
    fn only_who_is_on_this_machine_may_ask() {
        for (address, local) in [
            ("127.0.0.1:5", true),
            ("[::1]:5", true),
            ("[::ffff:127.0.0.1]:5", true),
            ("unix:uid=0", true),
            ("10.0.0.1:5", false),
            ("somewhere", false),
        ] {
            assert_eq!(is_local(&caller(address)), local, "{address}");
        }
    }

    #[tokio::test]
    async fn a_folder_is_absolute_and_not_there() {
        let there = tempfile::tempdir().expect("a folder");
        let ask = async |json: serde_json::Value| read(Body::Single(json.to_string().into())).await;
        for (folder, said) in [
            ("relative", "absolute"),
            (there.path().to_str().expect("UTF-8"), "already"),
        ] {
            let refused = ask(serde_json::json!({"folder": folder}))
                .await
                .expect_err(folder);
            assert!(refused.message().contains(said), "{refused}");
        }
        let new = there.path().join("new");
        assert_eq!(ask(serde_json::json!({"folder": new})).await, Ok(new));
        assert!(ask(serde_json::json!({"folder": "/x", "y": 1})).await.is_err());
    }
}
