//! `keys`: all keys that begin so, page by page.

use serde_json::Value;

use super::{Request, shown, shown_value};
use crate::{cli::keys::KeysArgs, client::Client, exit::Failure, output::Output};

/// `switchboard keys`
pub(in crate::commands) async fn keys(args: KeysArgs, client: Client) -> anyhow::Result<()> {
    client
        .visit(async |peer| {
            let mut output = Output::stdout();
            let mut after = None;
            loop {
                let mut request = Request::of(&args.bucket);
                request.set_bytes("prefix", args.prefix.as_deref());
                request.set("values", args.values.then_some(true));
                if let Some((field, cursor)) = after {
                    request.set(field, Some::<Value>(cursor));
                }
                let request = Value::Object(request.0);
                let page = peer
                    .at_hub()
                    .call("keys.scan")
                    .request::<_, Value>(&request)
                    .await;
                let mut page = page.map_err(Failure::from)?;
                let lines = lines(&args, &page);
                output.write(lines.as_bytes()).await?;
                let next = [("after", "next"), ("after_base64", "next_base64")];
                after = next
                    .into_iter()
                    .find_map(|(field, next)| Some((field, page.get_mut(next)?.take())));
                if after.is_none() {
                    return Ok(());
                }
            }
        })
        .await
}

fn lines(args: &KeysArgs, page: &Value) -> String {
    let mut lines = String::new();
    for entry in page.get("keys").and_then(Value::as_array).into_iter().flatten() {
        if args.json {
            lines += &entry.to_string();
        } else {
            lines += &shown(entry, "key");
            if args.values {
                lines.push('\t');
                lines += &shown_value(entry);
            }
        }
        lines.push('\n');
    }
    lines
}
