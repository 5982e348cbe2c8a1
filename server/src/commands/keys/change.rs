//! `delete` and `incr`.

use serde_json::Value;

use super::Request;
use crate::{
    cli::keys::{DeleteArgs, IncrArgs},
    client::Client,
    exit::Failure,
    output::Output,
};

/// `switchboard delete`
pub(in crate::commands) async fn delete(args: DeleteArgs, client: Client) -> anyhow::Result<()> {
    client
        .visit(async |peer| {
            for key in &args.keys {
                let mut request = Request::of(&args.bucket);
                request.set_bytes("key", Some(key));
                let deleted = peer
                    .at_hub()
                    .call("keys.delete")
                    .request_raw(request.json())
                    .await;
                deleted.map_err(Failure::from)?;
            }
            Ok(())
        })
        .await
}

/// `switchboard incr`
pub(in crate::commands) async fn incr(args: IncrArgs, client: Client) -> anyhow::Result<()> {
    let mut request = Request::of(&args.bucket);
    request.set_bytes("key", Some(&args.key));
    request.set("by", Some(Value::Number(args.by.clone())));
    request.set_expiry(args.expires);
    let request = Value::Object(request.0);
    client
        .visit(async |peer| {
            let entry = peer
                .at_hub()
                .call("keys.incr")
                .request::<_, Value>(&request)
                .await;
            let value = match entry.map_err(Failure::from)?.get("value") {
                Some(value) => value.to_string(),
                None => return Err(Failure::Error("the key expired in this moment".to_owned()).into()),
            };
            Ok(Output::stdout().write_line(value.as_bytes()).await?)
        })
        .await
}
