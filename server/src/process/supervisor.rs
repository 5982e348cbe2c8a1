//! Watches one process group from its start until nothing of it is left.

use std::{io, process::ExitStatus};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Child,
    signal::unix::{Signal as SignalStream, SignalKind, signal},
    task::JoinHandle,
    time::sleep,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Fault, GRACE, STDERR_BYTES_MAX};

/// How a group ended.
pub(super) struct Ended {
    /// Of the program itself.
    pub status: io::Result<ExitStatus>,
    /// The last 4 KiB that the group wrote to stderr; what is not UTF-8 is replaced.
    pub stderr: String,
}

/// The hand that holds a running group; dropping it stops the group.
pub(super) struct Supervisor {
    task: JoinHandle<Ended>,
    stop: DropGuard,
    gone: CancellationToken,
}

impl Supervisor {
    /// Starts to watch a child that leads its own group.
    pub(super) fn new(child: Child) -> io::Result<Self> {
        let group = Group::led_by(&child)?;
        // They stand before the first look at the child, so its end is not missed.
        let ends = [signal(SignalKind::child())?, signal(SignalKind::child())?];
        let (stop, gone) = (CancellationToken::new(), CancellationToken::new());
        let task = tokio::spawn(watch(group, child, ends, stop.clone(), gone.clone()));
        Ok(Self {
            task,
            stop: stop.drop_guard(),
            gone,
        })
    }

    /// Cancelled when nothing of the group is left.
    pub(super) fn gone(&self) -> CancellationToken {
        self.gone.clone()
    }

    /// Waits until nothing of the group is left. Cancel safe; after its end it must not be called again.
    pub(super) async fn ended(&mut self) -> Result<Ended, Fault> {
        // The task neither panics nor is aborted; if the runtime goes down, so does the call.
        (&mut self.task).await.map_err(|_| Fault::Cancelled)
    }

    /// Asks the group to stop, and waits until nothing of it is left.
    pub(super) async fn stop(self) {
        drop(self.stop);
        self.gone.cancelled().await;
    }
}

async fn watch(
    group: Group,
    mut child: Child,
    [ends_one, ends_two]: [SignalStream; 2],
    stop: CancellationToken,
    gone: CancellationToken,
) -> Ended {
    // Also when this task is dropped half-way.
    let _gone = gone.drop_guard();
    let mut tail = Tail::default();
    let stderr = child.stderr.take();
    let quiet = async { tokio::join!(group.leader_ended(ends_one), tail.fill(stderr)) };
    let lapsed = async {
        tokio::select! {
            () = group.leader_ended(ends_two) => {}
            () = stop.cancelled() => group.send(Signal::TERM),
        }
        sleep(GRACE).await;
    };
    tokio::select! {
        biased;
        _ = quiet => {}
        () = lapsed => {}
    }
    // Before the leader is reaped: until then its number, which is the group's, cannot come to mean another.
    drop(group);
    Ended {
        status: child.wait().await,
        stderr: tail.into_text(),
    }
}

/// A process group whose leader has not been reaped yet; dropping it kills all of it.
struct Group(Pid);

impl Group {
    fn led_by(child: &Child) -> io::Result<Self> {
        let id = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        id.map(Self)
            .ok_or_else(|| io::Error::other("the program has no process number"))
    }

    fn send(&self, signal: Signal) {
        // It fails only if nobody is left to get it.
        let _ = kill_process_group(self.0, signal);
    }

    /// Waits for the leader's end without reaping it; `ends` tells that some child of this process has ended.
    async fn leader_ended(&self, mut ends: SignalStream) {
        while self.leader_runs() {
            if ends.recv().await.is_none() {
                return;
            }
        }
    }

    fn leader_runs(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        matches!(waitid(WaitId::Pid(self.0), look), Ok(None))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.send(Signal::KILL);
    }
}

/// The last bytes of a stream.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    /// Reads to the end, keeping the last [`STDERR_BYTES_MAX`]. Cancel safe: what was read is kept.
    async fn fill(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        let Some(mut stream) = stream else { return };
        loop {
            self.0.reserve(STDERR_BYTES_MAX);
            // A read error on a pipe is its end.
            if stream.read_buf(&mut self.0).await.unwrap_or(0) == 0 {
                return;
            }
            let surplus = self.0.len().saturating_sub(STDERR_BYTES_MAX);
            self.0.drain(..surplus);
        }
    }

    fn into_text(self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}
