//! `subscribe`: messages, a line each, until enough have come.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::json;
use switchboard_peer::{DeliveryPolicy, Handlers, KeepAlive, Name, Presence, Subscription};
use tokio::sync::mpsc;

use crate::{
    cli::topics::{Policy, SubscribeArgs},
    client::{CLOSE_WAIT, Client, ended_failure},
    output::{Output, plain},
};

/// Messages that wait for stdout; behind it waits the connection, and then the hub, as the policy says.
const QUEUE_MESSAGES: usize = 64;

type Message = (Name, Bytes);

/// `switchboard subscribe`
pub(super) async fn subscribe(args: SubscribeArgs, client: Client) -> anyhow::Result<()> {
    let (sender, messages) = mpsc::channel::<Message>(QUEUE_MESSAGES);
    let handlers = Handlers::new().on_any(move |context, payload| {
        let sender = sender.clone();
        let topic = context.operation().clone();
        async move {
            // Refused only once enough have come.
            let _ = sender.send((topic, payload)).await;
        }
    });
    let policy = Some(delivery_policy(args.policy));
    let subscriptions = args.filters.iter().map(|topic| Subscription {
        topic: topic.clone(),
        policy,
    });
    let presence = Presence {
        subscriptions: subscriptions.collect(),
        ..Presence::default()
    };
    let link = client.keep(handlers, presence, None).await?;
    tracing::info!(filters = ?args.filters, "subscribed");
    let printed = print(&args, &link, messages).await;
    link.shutdown(CLOSE_WAIT).await;
    printed
}

async fn print(
    args: &SubscribeArgs,
    link: &KeepAlive,
    mut messages: mpsc::Receiver<Message>,
) -> anyhow::Result<()> {
    let mut output = Output::stdout();
    let mut left = args.count.map(u64::from);
    while left != Some(0) {
        let message = tokio::select! {
            biased;
            message = messages.recv() => message,
            ended = link.closed() => return Err(ended_failure(ended).into()),
        };
        // The handlers hold the other end for as long as the link is there.
        let Some((topic, payload)) = message else { break };
        let line = if args.json {
            as_json(&topic, &payload)
        } else {
            as_text(&topic, &payload)
        };
        output.write_line(line.as_bytes()).await?;
        left = left.map(|left| left - 1);
    }
    Ok(())
}

fn delivery_policy(policy: Policy) -> DeliveryPolicy {
    match policy {
        Policy::Block => DeliveryPolicy::Block,
        Policy::DropOldest => DeliveryPolicy::DropOldest,
        Policy::Latest => DeliveryPolicy::Latest,
        Policy::Disconnect => DeliveryPolicy::Disconnect,
    }
}

/// Topic, tab, payload. What would break the line, or the terminal, is escaped; what is no text is replaced.
fn as_text(topic: &str, payload: &[u8]) -> String {
    format!("{}\t{}", plain(topic), plain(&String::from_utf8_lossy(payload)))
}

/// An object that loses nothing.
fn as_json(topic: &str, payload: &[u8]) -> String {
    let message = match std::str::from_utf8(payload) {
        Ok(payload) => json!({ "topic": topic, "payload": payload }),
        Err(_) => json!({ "topic": topic, "payload_base64": STANDARD.encode(payload) }),
    };
    message.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_is_in_it() {
        assert_eq!(as_text("home/lamp", b"on"), "home/lamp\ton");
        assert_eq!(
            as_text("a\tb", b"x\ny\x1b[2J\xff\0"),
            "a\\tb\tx\\ny\\u{1b}[2J\u{fffd}\\u{0}"
        );
        assert_eq!(as_text("ö/日", "grün".as_bytes()), "ö/日\tgrün");
    }

    #[test]
    fn json_loses_nothing() {
        assert_eq!(as_json("t", b"a\"\n"), r#"{"payload":"a\"\n","topic":"t"}"#);
        assert_eq!(
            as_json("t", b"\xff\0"),
            r#"{"payload_base64":"/wA=","topic":"t"}"#
        );
    }
}
