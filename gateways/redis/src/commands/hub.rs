//! What is the hub's own: calls of operations.

use std::time::Duration;

use bytestring::ByteString;
use switchboard_hub::{Body, ErrorKind, Fault, Replier, requests};
use tokio::time::{Instant, timeout_at};

use crate::args::Args;
use crate::command::{Command, Flag, Group, Keys, Run, Support};
use crate::conversation::{Conversation, Step};
use crate::refusal::Refusal;

/// See the module.
pub(crate) static GROUP: Group = Group {
    name: "switchboard",
    title: "Switchboard",
    commands: &[Command {
        name: "call",
        arity: -2,
        flags: &[Flag::NoScript],
        keys: Keys::None,
        since: "",
        summary: "Calls an operation of the hub, and tells its answer.",
        complexity: "that of the operation",
        syntax: "operation [payload]",
        support: Support::Own,
        run: Run::Session(call),
    }],
};

/// Operations that each connection has for itself, by other words here.
const CONNECTION_OPERATIONS: [&str; 5] = [
    requests::LOGIN,
    requests::SERVE,
    requests::UNSERVE,
    requests::SUBSCRIBE,
    requests::UNSUBSCRIBE,
];

/// How long to wait before a call is tried again whose time was over.
const TIMEOUT_RETRY_WAIT: Duration = Duration::from_millis(500);

/// Bytes of a streamed answer that are on their way here at once.
const STREAM_BYTES_MAX: usize = 256 * 1024;

fn call(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    if args.len() > 3 {
        return Err(Refusal::new("ERR wrong number of arguments for 'call' command"));
    }
    let operation = ByteString::from(args.text(1)?);
    if CONNECTION_OPERATIONS.contains(&&*operation) {
        let kind = ErrorKind::Unsupported;
        let message = format!("{operation} is about the connection that it comes over: it has none here");
        return Err(Fault::error(kind, message).into());
    }
    let options = &talk.shared.options;
    let (time, bytes_max) = (options.call_timeout, options.answer_bytes_max);
    let deadline = Instant::now() + time;
    let (reply, answer) = Replier::pair(STREAM_BYTES_MAX);
    // It is handed on, and may stay for as long as who answers wants.
    let payload = bytes::Bytes::copy_from_slice(args.at(2));
    talk.session
        .call(operation.clone(), Body::Single(payload), Some(deadline), reply);
    Ok(Step::then(async move {
        let answered = timeout_at(deadline, async { answer.await?.collect(bytes_max).await }).await;
        let answer = answered.unwrap_or_else(|_| {
            let message = format!("{operation} did not answer within {time:?}");
            Err(Fault::retry(TIMEOUT_RETRY_WAIT, message))
        })?;
        Ok(move |talk: &mut Conversation| talk.reply.bulk(&answer))
    }))
}
