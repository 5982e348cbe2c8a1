//! `publish`: one message, acknowledged.

use switchboard_peer::PublishOptions;

use crate::{cli::topics::PublishArgs, client::Client, exit::Failure, payload::Payload};

/// Largest payload of a message in bytes. It crosses in JSON, where a byte may take two, and all must fit the 16 MiB
/// that a hub takes, with room left for the topic.
const PAYLOAD_BYTES_MAX: usize = (8 << 20) - (64 << 10);

/// `switchboard publish`
pub(super) async fn publish(args: PublishArgs, client: Client) -> anyhow::Result<()> {
    let payload = Payload::from_argument(args.payload);
    let options = PublishOptions {
        retain: args.retain,
        expires: args.expires.map(|span| span.0),
    };
    client
        .visit(async |peer| {
            let payload = payload
                .read(PAYLOAD_BYTES_MAX)
                .await
                .map_err(|error| Failure::Error(format!("cannot read the message: {error}")))?;
            let published = peer.at_hub().publish(&args.topic, payload, options).await;
            published.map_err(Failure::from)?;
            Ok(())
        })
        .await
}
