//! Runs a program for one call: payload on stdin, result from stdout, the verdict from its exit status.
//!
//! The program runs in a process group of its own, watched by a task of its own, so that nothing it
//! starts outlives the call, whatever happens to the caller: a cancellation, a passed deadline or a dropped future
//! first asks the group to stop (SIGTERM) and after [`GRACE`] ends it (SIGKILL).
//!
//! | the program | the call gets |
//! | --- | --- |
//! | exits with 0 | its stdout |
//! | exits with 75 (`EX_TEMPFAIL`) | [`Fault::Retry`] with its stderr |
//! | exits otherwise, or dies by a signal | [`Fault::Failed`] with its stderr, or else the status |
//!
//! stdin, stdout and stderr flow at the same time: a program that never reads blocks only its own input, one that
//! stops reading early is no fault, one that writes faster than its caller reads is slowed down by its pipe.

use std::{
    ffi::OsString,
    fmt, io,
    pin::pin,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{ChildStdin, ChildStdout, Command},
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use supervisor::{Ended, Supervisor};

mod supervisor;
#[cfg(test)]
mod tests;

/// How long a program may take to stop after SIGTERM, or what it left behind to close its output after its end.
pub const GRACE: Duration = Duration::from_secs(2);

/// What a caller should wait before it tries again, if the program asks for that or could not be started for now.
pub const RETRY_WAIT: Duration = Duration::from_secs(1);

/// How much of the end of stderr is kept, in bytes: enough for a message, little enough for thousands of jobs.
pub const STDERR_BYTES_MAX: usize = 4096;

/// The exit status that means "try again later": `EX_TEMPFAIL` of sysexits.
const EXIT_RETRY: i32 = 75;

/// Largest chunk read from stdout, in bytes: the size of a Linux pipe.
const CHUNK_BYTES_MAX: usize = 64 * 1024;

/// Chunks that wait between a program and [`collect`]: enough to overlap reading with appending.
const COLLECT_QUEUE_CHUNKS: usize = 4;

/// One run of a program.
#[derive(Debug, Clone)]
pub struct Job {
    /// The program: a path, or a name to be found in `PATH`.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// What it is told about the call.
    pub context: Context,
    /// When it must have ended.
    pub deadline: Option<Instant>,
}

/// What a program learns of its call, through environment variables.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// `SWITCHBOARD_OPERATION`: the operation that was called.
    pub operation: String,
    /// `SWITCHBOARD_ACCOUNT`: who called; not set if unknown.
    pub account: Option<String>,
    /// `SWITCHBOARD_DOOR`: the gateway the call came in by; not set if unknown.
    pub door: Option<String>,
    /// `SWITCHBOARD_CONTENT_TYPE`: what the payload is, as a media type; not set if the caller did not say.
    pub content_type: Option<String>,
}

/// Why a run brought no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The program failed: its stderr, or its status if it wrote nothing. Also if it cannot be started at all.
    #[error("{message}")]
    Failed {
        /// For the caller.
        message: String,
    },
    /// The program, or the system, cannot do it now.
    #[error("{message}")]
    Retry {
        /// Not before this has passed.
        wait: Duration,
        /// For the caller.
        message: String,
    },
    /// The caller gave up, or stopped reading the result.
    #[error("cancelled")]
    Cancelled,
    /// The deadline passed.
    #[error("deadline passed")]
    DeadlinePassed,
    /// The caller's payload broke off before its end.
    #[error("the payload broke off: {reason}")]
    InputBroken {
        /// What the stream said.
        reason: String,
    },
    /// The result is larger than [`collect`] was allowed to keep.
    #[error("the result is larger than {bytes_max} bytes")]
    OutputTooLarge {
        /// The bound.
        bytes_max: usize,
    },
}

/// Runs a program to its end, its stdout sent chunk by chunk (at most 64 KiB each, never empty) to `output`.
///
/// A full `output` slows the program down; a closed one cancels it. When this returns, the program's whole group has
/// ended, except for processes that left it on purpose (`setsid`).
///
/// # Errors
/// What [`Fault`] names; chunks may have been sent before.
///
/// # Cancel safety
/// Dropping the future stops the program like a cancellation does; the stopping goes on in the background. If the
/// runtime itself is shut down, the group is killed at once. What was read of `input` is lost.
pub async fn run<I, E>(
    job: &Job,
    input: I,
    output: mpsc::Sender<Bytes>,
    cancel: &CancellationToken,
) -> Result<(), Fault>
where
    I: Stream<Item = Result<Bytes, E>>,
    E: fmt::Display,
{
    let (mut supervisor, stdin, stdout) = start(job)?;
    let gone = supervisor.gone();
    let verdict = {
        let mut work = pin!(async { tokio::try_join!(drain(stdout, output, gone), supervisor.ended()) });
        let mut feed = pin!(async {
            match feed(input, stdin).await {
                Ok(()) => std::future::pending().await,
                Err(fault) => fault,
            }
        });
        tokio::select! {
            biased;
            done = &mut work => done.map(|((), ended)| ended),
            fault = &mut feed => Err(fault),
            () = cancel.cancelled() => Err(Fault::Cancelled),
            () = passed(job.deadline) => Err(Fault::DeadlinePassed),
        }
    };
    match verdict {
        Ok(ended) => judge(&ended),
        Err(fault) => {
            supervisor.stop().await;
            Err(fault)
        }
    }
}

/// Runs a program to its end and collects its stdout, at most `bytes_max` of it.
///
/// # Errors
/// What [`Fault`] names.
///
/// # Cancel safety
/// As for [`run`].
pub async fn collect<I, E>(
    job: &Job,
    input: I,
    bytes_max: usize,
    cancel: &CancellationToken,
) -> Result<Bytes, Fault>
where
    I: Stream<Item = Result<Bytes, E>>,
    E: fmt::Display,
{
    let (output, mut chunks) = mpsc::channel::<Bytes>(COLLECT_QUEUE_CHUNKS);
    let gather = async move {
        let mut result = BytesMut::new();
        while let Some(chunk) = chunks.recv().await {
            if result.len() + chunk.len() > bytes_max {
                // Returning closes the channel, which stops the program.
                return Err(Fault::OutputTooLarge { bytes_max });
            }
            result.extend_from_slice(&chunk);
        }
        Ok(result.freeze())
    };
    let (ran, gathered) = tokio::join!(run(job, input, output, cancel), gather);
    let result = gathered?;
    ran.map(|()| result)
}

fn start(job: &Job) -> Result<(Supervisor, ChildStdin, ChildStdout), Fault> {
    let mut command = Command::new(&job.program);
    command
        .args(&job.arguments)
        .env("SWITCHBOARD_OPERATION", &job.context.operation);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let remaining = job.deadline.map(|at| {
        at.saturating_duration_since(Instant::now())
            .as_millis()
            .to_string()
    });
    let optional = [
        ("SWITCHBOARD_ACCOUNT", job.context.account.as_ref()),
        ("SWITCHBOARD_DOOR", job.context.door.as_ref()),
        ("SWITCHBOARD_CONTENT_TYPE", job.context.content_type.as_ref()),
        ("SWITCHBOARD_DEADLINE_MS", remaining.as_ref()),
    ];
    for (name, value) in optional {
        // Removed if unknown: a hub that itself runs in a handler must not pass on its own call's.
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut child = command.spawn().map_err(|error| start_fault(job, &error))?;
    let pipes = (child.stdin.take(), child.stdout.take());
    let supervisor = Supervisor::new(child).map_err(|error| start_fault(job, &error))?;
    match pipes {
        (Some(stdin), Some(stdout)) => Ok((supervisor, stdin, stdout)),
        _ => Err(start_fault(job, &io::ErrorKind::BrokenPipe.into())),
    }
}

/// Lack of processes, memory or descriptors passes; everything else will be the same next time.
fn start_fault(job: &Job, error: &io::Error) -> Fault {
    let message = format!("cannot start `{}`: {error}", job.program.display());
    let passing = [
        rustix::io::Errno::AGAIN,
        rustix::io::Errno::NOMEM,
        rustix::io::Errno::MFILE,
        rustix::io::Errno::NFILE,
    ];
    if passing
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
    {
        return Fault::Retry {
            wait: RETRY_WAIT,
            message,
        };
    }
    Fault::Failed { message }
}

/// Writes the payload to stdin and closes it.
async fn feed<I, E>(input: I, mut stdin: ChildStdin) -> Result<(), Fault>
where
    I: Stream<Item = Result<Bytes, E>>,
    E: fmt::Display,
{
    let mut input = pin!(input);
    while let Some(chunk) = input.next().await {
        let chunk = chunk.map_err(|error| Fault::InputBroken {
            reason: error.to_string(),
        })?;
        if stdin.write_all(&chunk).await.is_err() {
            // It has closed its stdin: it knows enough, and its exit status will tell the rest.
            return Ok(());
        }
    }
    Ok(())
}

/// Sends stdout until its end; once the group is gone, a writer that escaped it may be silent for [`GRACE`] at most.
async fn drain(
    mut stdout: ChildStdout,
    output: mpsc::Sender<Bytes>,
    gone: CancellationToken,
) -> Result<(), Fault> {
    let mut buffer = BytesMut::new();
    let orphaned = async || {
        gone.cancelled().await;
        sleep(GRACE).await;
    };
    loop {
        buffer.reserve(CHUNK_BYTES_MAX);
        let size = tokio::select! {
            biased;
            // A read error on a pipe is its end.
            size = stdout.read_buf(&mut buffer) => size.unwrap_or(0),
            () = orphaned() => 0,
        };
        if size == 0 {
            return Ok(());
        }
        output
            .send(buffer.split().freeze())
            .await
            .map_err(|_| Fault::Cancelled)?;
    }
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn judge(ended: &Ended) -> Result<(), Fault> {
    let status = match &ended.status {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => status,
        Err(error) => {
            return Err(Fault::Failed {
                message: format!("cannot learn how it ended: {error}"),
            });
        }
    };
    let said = ended.stderr.trim();
    let message = if said.is_empty() {
        describe(*status)
    } else {
        said.to_owned()
    };
    match status.code() {
        Some(EXIT_RETRY) => Err(Fault::Retry {
            wait: RETRY_WAIT,
            message,
        }),
        _ => Err(Fault::Failed { message }),
    }
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}
