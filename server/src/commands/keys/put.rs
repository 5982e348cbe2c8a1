//! `put`: a value, sent as it is read.

use futures_util::TryStreamExt;
use switchboard_peer::{Fault, PartSender};

use super::Request;
use crate::{cli::keys::PutArgs, client::Client, exit::Failure, payload::Payload};

/// `switchboard put`
pub(in crate::commands) async fn put(args: PutArgs, client: Client) -> anyhow::Result<()> {
    let mut request = Request::of(&args.bucket);
    request.set_bytes("key", Some(&args.key));
    request.set_expiry(args.expires);
    request.set("if_absent", args.if_absent.then_some(true));
    request.set("revision", args.revision);
    let head = request.json();
    let value = Payload::from_argument(args.value);
    client
        .visit(async |peer| {
            let (mut sender, reply) = peer.at_hub().call("keys.put").stream();
            let sending = async {
                // Whether it succeeds, the reply tells.
                if sender.send(head).await.is_ok() {
                    send(value, sender).await;
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                stored = reply => {
                    stored.map_err(Failure::from)?;
                    Ok(())
                }
                () = sending => Ok(()),
            }
        })
        .await
}

async fn send(value: Payload, mut sender: PartSender) {
    let mut chunks = value.chunks();
    loop {
        match chunks.try_next().await {
            Ok(Some(chunk)) => {
                if sender.send(chunk).await.is_err() {
                    return;
                }
            }
            Ok(None) => return sender.finish(),
            Err(error) => return sender.fail(Fault::failed(format!("cannot read the value: {error}"))),
        }
    }
}
