//! `handle`: a program becomes an operation.
//!
//! The program is started for each call, at most `--jobs` at once; above that a call is told to retry, and its caller
//! waits. The connection comes back by itself when the hub restarts.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use switchboard_peer::{
    Body, Context, Declared, ErrorKind, Fault, Handlers, KeepAlive, PartReceiver, Presence, Replier,
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};

use crate::{
    cli::calls::HandleArgs,
    client::{Client, PAYLOAD_SENT_BYTES_MAX, Signals, ended_failure},
    process::{self, Job},
};

/// How long running programs may take to end after the first signal: as long as the hub gives its own calls.
const GRACE: Duration = Duration::from_secs(10);

/// How long a caller should wait when all jobs are taken: short, as most programs are; long enough that a hundred of
/// waiting callers cost nothing.
const BUSY_WAIT: Duration = Duration::from_millis(500);

/// How long a caller should wait whose call was ended from here.
const STOPPED_WAIT: Duration = Duration::from_millis(100);

/// Chunks that wait between a program and its caller, each of at most 64 KiB.
const OUTPUT_QUEUE_CHUNKS: usize = 2;

/// Calls that may be on their way in above those that run, before the connection itself refuses them: they are
/// refused here, by a better text.
const CALLS_ABOVE_JOBS: usize = 256;

/// `switchboard handle`
pub(super) async fn handle(args: HandleArgs, mut client: Client) -> anyhow::Result<()> {
    let mut signals = Signals::watch()?;
    let limits = client.limits_mut();
    limits.streams_max = args.jobs().get().saturating_add(CALLS_ABOVE_JOBS);
    limits.requests_max = limits.streams_max;
    let handler = Arc::new(Handler::new(&args));
    let handlers = Handlers::new().handle_call(&args.operation, move |context, body, reply| {
        let handler = Arc::clone(&handler);
        async move { handler.respond(context, body, reply).await }
    });
    let presence = Presence {
        declared: vec![declared(&args)],
        callers: true,
        ..Presence::default()
    };
    let kept = async { Ok(client.keep(handlers, presence, None).await?) };
    let link = signals.unless(kept).await?;
    tracing::info!(operation = args.operation, jobs = args.jobs(), "serving");
    tokio::select! {
        ended = link.closed() => Err(ended_failure(ended).into()),
        signal = signals.next() => {
            tracing::info!(%signal, "finishing what runs");
            finish(&link, &mut signals).await
        }
    }
}

/// What the hub is told of the operation.
fn declared(args: &HandleArgs) -> Declared {
    Declared {
        operation: args.operation.clone(),
        safe: args.safe,
        result_type: args.result_type.clone(),
    }
}

/// Takes no more calls and lets running programs end; a second signal, or the end of the grace, stops them.
async fn finish(link: &KeepAlive, signals: &mut Signals) -> anyhow::Result<()> {
    let finished = async {
        link.shutdown(GRACE).await;
        Ok(())
    };
    signals.unless(finished).await
}

/// Runs the program.
struct Handler {
    command: Vec<std::ffi::OsString>,
    timeout: Option<Duration>,
    shape: Shape,
    jobs: Arc<Semaphore>,
}

/// What a call is answered with.
#[derive(Clone, Copy)]
enum Shape {
    AsAsked,
    Single,
    Stream,
}

impl Handler {
    fn new(args: &HandleArgs) -> Self {
        let jobs = args.jobs().get().min(Semaphore::MAX_PERMITS);
        Self {
            command: args.command.clone(),
            timeout: args.timeout.map(|span| span.0),
            shape: match (args.stream, args.single) {
                (true, _) => Shape::Stream,
                (_, true) => Shape::Single,
                _ => Shape::AsAsked,
            },
            jobs: Arc::new(Semaphore::new(jobs)),
        }
    }

    async fn respond(&self, context: Context, body: Body, reply: Replier) {
        let Ok(_job) = self.jobs.try_acquire() else {
            return reply.fault(Fault::retry(BUSY_WAIT, "all jobs of this handler are taken"));
        };
        let Some(job) = self.job(&context) else {
            return reply.fault(Fault::failed("there is no program to run"));
        };
        let stream = match self.shape {
            Shape::AsAsked => matches!(body, Body::Stream(_)),
            Shape::Single => false,
            Shape::Stream => true,
        };
        if stream {
            respond_with_stream(&job, &context, body.into_parts(), reply).await;
        } else {
            let cancel = context.cancellation();
            let result = process::collect(&job, body.into_parts(), PAYLOAD_SENT_BYTES_MAX, &cancel).await;
            reply.answer(result.map_err(fault));
        }
    }

    fn job(&self, context: &Context) -> Option<Job> {
        let (program, arguments) = self.command.split_first()?;
        let own = self
            .timeout
            .and_then(|timeout| Instant::now().checked_add(timeout));
        let caller = context.caller();
        Some(Job {
            program: program.clone(),
            arguments: arguments.to_vec(),
            context: process::Context {
                operation: context.operation().to_string(),
                account: caller.account.clone(),
                door: caller.door.clone(),
                content_type: context.content_type().map(str::to_owned),
            },
            deadline: [own, context.deadline()].into_iter().flatten().min(),
        })
    }
}

/// Sends the output as it is written. A program that fails before it has written anything answers with its fault
/// alone, as a single one does.
async fn respond_with_stream(job: &Job, context: &Context, input: PartReceiver, reply: Replier) {
    let cancel = context.cancellation();
    let (output, mut chunks) = mpsc::channel::<Bytes>(OUTPUT_QUEUE_CHUNKS);
    let forward = async move {
        let Some(first) = chunks.recv().await else {
            return Forwarded::Nothing(reply);
        };
        let mut parts = reply.stream();
        let mut next = Some(first);
        while let Some(chunk) = next {
            if parts.send(chunk).await.is_err() {
                // Returning closes the channel, which stops the program.
                break;
            }
            next = chunks.recv().await;
        }
        Forwarded::Parts(parts)
    };
    let (ran, forwarded) = tokio::join!(process::run(job, input, output, &cancel), forward);
    match (forwarded, ran) {
        (Forwarded::Nothing(reply), Ok(())) => reply.stream().finish(),
        (Forwarded::Nothing(reply), Err(why)) => reply.fault(fault(why)),
        (Forwarded::Parts(parts), Ok(())) => parts.finish(),
        (Forwarded::Parts(parts), Err(why)) => parts.fail(fault(why)),
    }
}

/// What was forwarded of a program's output.
enum Forwarded {
    Nothing(Replier),
    Parts(switchboard_peer::PartSender),
}

/// What a caller is told of a program that brought no result.
fn fault(why: process::Fault) -> Fault {
    let said = why.to_string();
    match why {
        process::Fault::Failed { .. } => Fault::failed(said),
        process::Fault::Retry { wait, message } => Fault::retry(wait, message),
        process::Fault::Cancelled => Fault::retry(STOPPED_WAIT, "the program was stopped"),
        process::Fault::DeadlinePassed => Fault::retry(STOPPED_WAIT, "the program did not end in time"),
        process::Fault::InputBroken { .. } => Fault::error(ErrorKind::Invalid, said),
        process::Fault::OutputTooLarge { .. } => Fault::error(
            ErrorKind::TooLarge,
            format!("{said}: call it with a stream, or have it handled with --stream"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_a_retry_and_all_else_an_error() {
        let failed = |message: &str| process::Fault::Failed {
            message: message.to_owned(),
        };
        let retry = process::Fault::Retry {
            wait: Duration::from_secs(1),
            message: "busy".to_owned(),
        };
        for (why, is_retry, words) in [
            (failed("no such file"), false, "no such file"),
            (retry, true, "busy"),
            (process::Fault::Cancelled, true, "stopped"),
            (process::Fault::DeadlinePassed, true, "in time"),
            (process::Fault::OutputTooLarge { bytes_max: 5 }, false, "--stream"),
            (
                process::Fault::InputBroken {
                    reason: "cut".to_owned(),
                },
                false,
                "cut",
            ),
        ] {
            let fault = fault(why);
            assert_eq!(fault.is_retry(), is_retry, "{fault}");
            assert!(fault.message().contains(words), "{fault}");
        }
    }
}
