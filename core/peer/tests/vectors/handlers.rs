//! What the recorded server did.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;
use switchboard_peer::{Context, Fault, Handlers, PartReceiver, Results};
use tokio::sync::{Notify, mpsc};

/// How long the operation `slow` takes.
const SLOW: Duration = Duration::from_millis(150);

/// The size of the parts in which `scat` answers, in bytes.
const SCAT_BYTES: usize = 4;

/// What a test learns from the handlers.
pub struct Seen {
    /// Tells when `slow` was entered.
    pub slow: Arc<Notify>,
    /// The notifications, by name and payload.
    pub notes: mpsc::UnboundedReceiver<(String, String)>,
}

pub fn recorded() -> (Handlers, Seen) {
    let slow = Arc::new(Notify::new());
    let (note, notes) = mpsc::unbounded_channel();
    let (raw_note, json_note) = (note.clone(), note);
    let entered = Arc::clone(&slow);
    let handlers = Handlers::new()
        .handle_raw("echo", |_, payload| async { Ok(payload) })
        .handle_raw(&"n".repeat(0xfff), |_, payload| async { Ok(payload) })
        .handle_raw("slow", move |_, payload| {
            entered.notify_one();
            async {
                tokio::time::sleep(SLOW).await;
                Ok(payload)
            }
        })
        .handle_raw("fail", |_, _| async {
            Err(Fault::failed("something \"bad\" happened — naïve"))
        })
        .handle_raw("failempty", |_, _| async { Err(Fault::failed("")) })
        .on_raw("note", move |_, payload| {
            let _ = raw_note.send(("note".into(), String::from_utf8_lossy(&payload).into()));
            async {}
        })
        .on("jnote", move |_, person: Value| {
            let _ = json_note.send(("jnote".into(), person["name"].to_string()));
            async {}
        });
    (streams(json(handlers)), Seen { slow, notes })
}

fn json(handlers: Handlers) -> Handlers {
    handlers
        .handle("greet", |_, person: Value| async move {
            let name = person["name"].as_str().unwrap_or_default();
            Ok(serde_json::json!({ "greeting": format!("Hello {name}") }))
        })
        .handle("int", |_, number: Option<i64>| async move {
            Ok(number.unwrap_or(0) + 1)
        })
        .handle("jecho", |_, value: Value| async { Ok(value) })
        .handle("noparams", |_, _: IgnoredAny| async { Ok(42) })
        .handle("void", |_, _: IgnoredAny| async { Ok(()) })
}

fn streams(handlers: Handlers) -> Handlers {
    handlers
        .handle_stream("secho", crate::common::cat)
        .handle_stream("scat", collect_then_answer)
        .handle_stream("sfail", |_, _, results| async move {
            let _ = results.send("partial").await;
            Err(Fault::failed("stream handler failed"))
        })
}

async fn collect_then_answer(_: Context, body: PartReceiver, results: Results) -> Result<(), Fault> {
    let whole = body.collect(usize::MAX).await?;
    for part in whole.chunks(SCAT_BYTES) {
        // A caller that is gone wants no more parts.
        let _ = results.send(Bytes::copy_from_slice(part)).await;
    }
    Ok(())
}
