//! `call`: an operation's caller.

use std::{io::IsTerminal, time::Duration};

use bytes::Bytes;
use futures_util::TryStreamExt;
use switchboard_peer::{CallBuilder, Fault, PartReceiver, PartSender, Peer, Reply, RetryPolicy};

use crate::{
    cli::calls::CallArgs,
    client::{Client, PAYLOAD_SENT_BYTES_MAX},
    exit::Failure,
    json,
    output::Output,
    payload::Payload,
};

/// Within this, retries begin: the number of them is the bound that counts.
const RETRY_TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// `switchboard call`
pub(super) async fn call(args: CallArgs, client: Client) -> anyhow::Result<()> {
    let payload = Payload::from_argument(args.payload.clone());
    let result = ResultWriter::new();
    client
        .visit(async |peer| {
            if args.stream {
                streamed(&args, peer, payload, result).await
            } else {
                single(&args, peer, payload, result).await
            }
        })
        .await
}

async fn single(
    args: &CallArgs,
    peer: &Peer,
    payload: Payload,
    mut result: ResultWriter,
) -> anyhow::Result<()> {
    let payload = payload.read(PAYLOAD_SENT_BYTES_MAX).await.map_err(|error| {
        let hint = if error.kind() == std::io::ErrorKind::FileTooLarge {
            " (--stream sends it in parts)"
        } else {
            ""
        };
        Failure::Error(format!("cannot read the payload: {error}{hint}"))
    })?;
    if args.json && !json::is_valid(&payload) {
        return Err(Failure::Usage("--json: the payload is no JSON".to_owned()).into());
    }
    let policy = RetryPolicy {
        time_max: RETRY_TIME_MAX,
        ..RetryPolicy::times(args.retry)
    };
    let call = builder(args, peer).retry(policy);
    match call.send(payload).await.map_err(Failure::from)? {
        Reply::Single(payload) if args.json => match json::pretty(&payload) {
            Some(text) => Ok(result.output.write_line(&text).await?),
            None => result.whole(&payload).await,
        },
        Reply::Single(payload) => result.whole(&payload).await,
        Reply::Stream(parts) => result.stream(parts).await,
    }
}

async fn streamed(
    args: &CallArgs,
    peer: &Peer,
    payload: Payload,
    mut result: ResultWriter,
) -> anyhow::Result<()> {
    let (sender, reply) = builder(args, peer).stream();
    let sending = async {
        // Whether it succeeds, the reply tells.
        send(payload, sender).await;
        std::future::pending::<()>().await;
    };
    let receiving = async {
        match reply.await.map_err(Failure::from)? {
            Reply::Single(payload) => result.whole(&payload).await,
            Reply::Stream(parts) => result.stream(parts).await,
        }
    };
    tokio::select! {
        received = receiving => received,
        () = sending => Ok(()),
    }
}

fn builder<'a>(args: &'a CallArgs, peer: &'a Peer) -> CallBuilder<'a> {
    let call = peer.call(&args.operation);
    match args.timeout {
        Some(span) => call.timeout(span.0),
        None => call,
    }
}

/// Sends the payload as it is read. A responder that has read enough ends it early.
async fn send(payload: Payload, mut sender: PartSender) {
    let mut chunks = payload.chunks();
    loop {
        match chunks.try_next().await {
            Ok(Some(chunk)) => {
                if sender.send(chunk).await.is_err() {
                    return;
                }
            }
            Ok(None) => return sender.finish(),
            Err(error) => return sender.fail(Fault::failed(format!("cannot read the payload: {error}"))),
        }
    }
}

/// Writes a result to stdout, byte for byte; on a terminal a line break follows if the result has none, so that the
/// prompt gets a line of its own.
struct ResultWriter {
    output: Output,
    is_terminal: bool,
}

impl ResultWriter {
    fn new() -> Self {
        Self {
            output: Output::stdout(),
            is_terminal: std::io::stdout().is_terminal(),
        }
    }

    async fn whole(&mut self, payload: &Bytes) -> anyhow::Result<()> {
        self.output.write(payload).await?;
        self.end(payload.last().copied()).await
    }

    async fn stream(&mut self, mut parts: PartReceiver) -> anyhow::Result<()> {
        let mut last = None;
        while let Some(part) = parts.next().await {
            let part = match part {
                Ok(part) => part,
                Err(fault) => {
                    self.end(last).await?;
                    return Err(Failure::from(fault).into());
                }
            };
            self.output.write(&part).await?;
            last = part.last().copied().or(last);
        }
        self.end(last).await
    }

    async fn end(&mut self, last: Option<u8>) -> anyhow::Result<()> {
        if self.is_terminal && last.is_some_and(|last| last != b'\n') {
            self.output.write(b"\n").await?;
        }
        Ok(())
    }
}
