//! `get`: a value to stdout, as it comes.

use super::Request;
use crate::{cli::keys::GetArgs, client::Client, commands::call::ResultWriter, exit::Failure};

/// `switchboard get`
pub(in crate::commands) async fn get(args: GetArgs, client: Client) -> anyhow::Result<()> {
    let mut request = Request::of(&args.bucket);
    request.set_bytes("key", Some(&args.key));
    let request = request.json();
    let operation = if args.json { "keys.entry" } else { "keys.get" };
    client
        .visit(async |peer| {
            let reply = peer.at_hub().call(operation).send(request).await;
            ResultWriter::new(args.json)
                .reply(reply.map_err(Failure::from)?)
                .await
        })
        .await
}
