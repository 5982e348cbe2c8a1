//! `call`: an operation's caller.

use std::{io::IsTerminal, time::Duration};

use bytes::Bytes;
use futures_util::TryStreamExt;
use switchboard_peer::{
    CallBuilder, Fault, Handlers, KeepAlive, PartReceiver, PartSender, Peer, Presence, Reply, RetryPolicy,
    State,
};

use crate::{
    cli::calls::CallArgs,
    client::{CLOSE_WAIT, Client, PAYLOAD_SENT_BYTES_MAX, Signals, ended_failure},
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
    let result = ResultWriter::new(args.json);
    if args.retry > 0 {
        return patient(&args, client, payload, result).await;
    }
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

async fn single(args: &CallArgs, peer: &Peer, payload: Payload, result: ResultWriter) -> anyhow::Result<()> {
    let payload = read(args, payload).await?;
    let reply = builder(args, peer).send(payload).await;
    result.reply(reply.map_err(Failure::from)?).await
}

/// Tries again after a Retry, over another connection if the first is lost.
async fn patient(
    args: &CallArgs,
    client: Client,
    payload: Payload,
    mut result: ResultWriter,
) -> anyhow::Result<()> {
    let mut signals = Signals::watch()?;
    let kept = client.keep(Handlers::new(), Presence::default(), Some(args.retry));
    let link = signals.unless(async { Ok(kept.await?) }).await?;
    let policy = RetryPolicy {
        time_max: RETRY_TIME_MAX,
        ..RetryPolicy::times(args.retry)
    };
    let called = async {
        let payload = read(args, payload).await?;
        let call = link.call(&args.operation).retry(policy);
        let call = match args.timeout {
            Some(span) => call.timeout(span.0),
            None => call,
        };
        let returned = call.request_raw(payload).await;
        result
            .whole(&returned.map_err(|fault| given_up(&link, fault))?)
            .await
    };
    let called = signals.unless(called).await;
    link.shutdown(CLOSE_WAIT).await;
    called
}

/// What a fault means when there is no connection any more.
fn given_up(link: &KeepAlive, fault: Fault) -> Failure {
    match &*link.state().borrow() {
        State::Closed(ended) => ended_failure(ended.clone()),
        _ => fault.into(),
    }
}

/// The payload in one piece.
async fn read(args: &CallArgs, payload: Payload) -> Result<Bytes, Failure> {
    let payload = payload.read(PAYLOAD_SENT_BYTES_MAX).await.map_err(|error| {
        let hint = if error.kind() == std::io::ErrorKind::FileTooLarge {
            " (--stream sends it in parts)"
        } else {
            ""
        };
        Failure::Error(format!("cannot read the payload: {error}{hint}"))
    })?;
    if args.json && !json::is_valid(&payload) {
        return Err(Failure::Usage("--json: the payload is no JSON".to_owned()));
    }
    Ok(payload)
}

async fn streamed(
    args: &CallArgs,
    peer: &Peer,
    payload: Payload,
    result: ResultWriter,
) -> anyhow::Result<()> {
    let (sender, reply) = builder(args, peer).stream();
    let sending = async {
        // Whether it succeeds, the reply tells.
        send(payload, sender).await;
        std::future::pending::<()>().await;
    };
    let receiving = async {
        let reply = reply.await.map_err(Failure::from)?;
        result.reply(reply).await
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
pub(super) struct ResultWriter {
    output: Output,
    is_terminal: bool,
    /// JSON is laid out, where the result comes in one piece.
    json: bool,
}

impl ResultWriter {
    /// With `json`, JSON that comes in one piece is laid out.
    pub(super) fn new(json: bool) -> Self {
        Self {
            output: Output::stdout(),
            is_terminal: std::io::stdout().is_terminal(),
            json,
        }
    }

    /// Writes all of it.
    pub(super) async fn reply(mut self, reply: Reply) -> anyhow::Result<()> {
        match reply {
            Reply::Single(payload) => self.whole(&payload).await,
            Reply::Stream(parts) => self.stream(parts).await,
        }
    }

    async fn whole(&mut self, payload: &Bytes) -> anyhow::Result<()> {
        let laid_out = if self.json { json::pretty(payload) } else { None };
        match laid_out {
            Some(text) => Ok(self.output.write_line(&text).await?),
            None => {
                self.output.write(payload).await?;
                self.end(payload.last().copied()).await
            }
        }
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
