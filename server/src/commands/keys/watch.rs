//! `watch`: changes, a line each, until enough have come.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use serde_json::Value;
use switchboard_peer::{Fault, Handlers, KeepAlive, PartReceiver, Presence, Reply};

use super::{Request, shown, shown_value};
use crate::{
    cli::keys::WatchArgs,
    client::{CLOSE_WAIT, Client, ended_failure},
    exit::Failure,
    output::Output,
};

/// Between two watches, at least: a hub that ends them at once must not keep this busy.
const AGAIN_WAIT_MIN: Duration = Duration::from_millis(100);

/// `switchboard watch`
pub(in crate::commands) async fn watch(args: WatchArgs, client: Client) -> anyhow::Result<()> {
    let link = client.keep(Handlers::new(), Presence::default(), None).await?;
    let mut watcher = Watcher {
        left: args.count.map(u64::from),
        is_at_changes: args.news,
        known: None,
        output: Output::stdout(),
        args,
    };
    let watched = tokio::select! {
        biased;
        watched = watcher.watch(&link) => watched,
        ended = link.closed() => Err(ended_failure(ended).into()),
    };
    link.shutdown(CLOSE_WAIT).await;
    watched
}

struct Watcher {
    args: WatchArgs,
    /// Lines that are still to be printed, if they are counted.
    left: Option<u64>,
    /// Whether all that there was has been told.
    is_at_changes: bool,
    /// All changes up to this revision have been told.
    known: Option<u64>,
    output: Output,
}

/// How a watch ended.
enum End {
    Enough,
    Fault(Fault),
}

impl Watcher {
    /// Watches again and again, where it was.
    async fn watch(&mut self, link: &KeepAlive) -> anyhow::Result<()> {
        loop {
            let wait = match self.once(link).await? {
                End::Enough => return Ok(()),
                End::Fault(Fault::Retry { wait, message }) => {
                    tracing::info!(%message, "the watch ended: asking again");
                    wait
                }
                End::Fault(fault) => return Err(Failure::from(fault).into()),
            };
            tokio::time::sleep(wait.max(AGAIN_WAIT_MIN)).await;
        }
    }

    async fn once(&mut self, link: &KeepAlive) -> anyhow::Result<End> {
        let mut request = Request::of(&self.args.bucket);
        request.set_bytes("prefix", self.args.prefix.as_deref());
        request.set("after_revision", self.known);
        request.set(
            "news_only",
            (self.args.news && self.known.is_none()).then_some(true),
        );
        let reply = async {
            let peer = link.connected().await?;
            // By stream: it may take as long as it likes.
            let (mut sender, reply) = peer.at_hub().call("keys.watch").stream();
            sender.send(request.json()).await?;
            sender.finish();
            reply.await
        };
        match reply.await {
            Ok(Reply::Stream(changes)) => {
                tracing::info!("watching");
                self.print(changes).await
            }
            Ok(Reply::Single(_)) => Ok(End::Fault(Fault::failed("the hub did not answer with a stream"))),
            Err(fault) => Ok(End::Fault(fault)),
        }
    }

    async fn print(&mut self, mut changes: PartReceiver) -> anyhow::Result<End> {
        let mut unread = BytesMut::new();
        while let Some(part) = changes.next().await {
            match part {
                Ok(part) => unread.extend_from_slice(&part),
                Err(fault) => return Ok(End::Fault(fault)),
            }
            while let Some(line) = take_line(&mut unread) {
                if let Some(line) = self.line(&line)? {
                    self.output.write_line(line.as_bytes()).await?;
                    self.left = self.left.map(|left| left - 1);
                }
                if self.left == Some(0) {
                    return Ok(End::Enough);
                }
            }
        }
        Ok(End::Fault(Fault::retry(
            AGAIN_WAIT_MIN,
            "the hub ended the watch",
        )))
    }

    /// What to print of a change, if anything; notes how far all has been told.
    fn line(&mut self, json: &[u8]) -> anyhow::Result<Option<String>> {
        let change: Value = serde_json::from_slice(json)?;
        let event = change.get("event").and_then(Value::as_str).unwrap_or_default();
        match event {
            "reset" => self.is_at_changes = false,
            "current" => self.is_at_changes = true,
            _ => {}
        }
        if self.is_at_changes {
            let revision = change.get("revision").and_then(Value::as_u64);
            self.known = revision.or(self.known);
        }
        if self.args.json {
            return Ok(Some(change.to_string()));
        }
        Ok(match event {
            "put" => Some(format!(
                "put\t{}\t{}",
                shown(&change, "key"),
                shown_value(&change)
            )),
            "delete" | "expire" => Some(format!("{event}\t{}", shown(&change, "key"))),
            _ => None,
        })
    }
}

/// The first line, without its end.
fn take_line(unread: &mut BytesMut) -> Option<Bytes> {
    let end = unread.iter().position(|byte| *byte == b'\n')?;
    let line = unread.split_to(end).freeze();
    unread.advance(1);
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::keys::BucketArgs;

    fn watcher(json: bool) -> Watcher {
        Watcher {
            args: WatchArgs {
                prefix: None,
                news: false,
                count: None,
                json,
                bucket: BucketArgs { bucket: None },
            },
            left: None,
            is_at_changes: false,
            known: None,
            output: Output::stdout(),
        }
    }

    #[test]
    fn lines_are_taken_whole() {
        let mut unread = BytesMut::from(&b"a\n\nb"[..]);
        assert_eq!(take_line(&mut unread).as_deref(), Some(&b"a"[..]));
        assert_eq!(take_line(&mut unread).as_deref(), Some(&b""[..]));
        assert_eq!(take_line(&mut unread), None);
        unread.extend_from_slice(b"c\n");
        assert_eq!(take_line(&mut unread).as_deref(), Some(&b"bc"[..]));
    }

    #[test]
    fn a_watch_goes_on_only_after_what_was_told_with_all_before_it() {
        let mut watcher = watcher(false);
        let mut line = |json: &str| (watcher.line(json.as_bytes()).expect("JSON"), watcher.known);
        let put = r#"{"event":"put","key":"a","value":"x\ty","revision":9}"#;
        assert_eq!(line(put), (Some("put\ta\tx\\ty".to_owned()), None));
        assert_eq!(line(r#"{"event":"current","revision":12}"#), (None, Some(12)));
        assert_eq!(
            line(r#"{"event":"expire","key":"a","revision":13}"#),
            (Some("expire\ta".to_owned()), Some(13))
        );
        assert_eq!(line(r#"{"event":"reset"}"#), (None, Some(13)));
        assert_eq!(line(put).1, Some(13));
    }

    #[test]
    fn json_is_handed_on() {
        let line = watcher(true).line(br#"{"event":"reset"}"#).expect("JSON");
        assert_eq!(line.as_deref(), Some(r#"{"event":"reset"}"#));
    }
}
