//! Brings last values from the engine into memory: all as the hub begins, and those of other hubs as they come.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytestring::ByteString;
use futures_util::StreamExt;
use switchboard_engine::keys::{Entry, Watch, WatchEvent, WatchFrom};
use switchboard_engine::{Engine, Key, Result};

use super::record::{self, bucket};
use crate::hub::HubInner;
use crate::message::Message;
use crate::names;

/// How long to wait before watching again, after a watch has ended with an error.
const WATCH_AGAIN_WAIT: Duration = Duration::from_secs(1);

/// Reads all last values. If other hubs use the engine too, a task goes on with theirs.
pub(crate) async fn load(hub: &Arc<HubInner>, engine: &Arc<dyn Engine>) -> Result<()> {
    let mut watch = watch(engine).await?;
    while let Some(event) = watch.next().await {
        if let WatchEvent::Current { .. } = apply(hub, event?) {
            break;
        }
    }
    if engine.is_shared() {
        tokio::spawn(follow(Arc::downgrade(hub), Arc::clone(engine), watch));
    }
    Ok(())
}

async fn watch(engine: &Arc<dyn Engine>) -> Result<Watch> {
    engine
        .keys()
        .watch(&bucket(), bytes::Bytes::new(), WatchFrom::Everything)
        .await
}

async fn follow(hub: Weak<HubInner>, engine: Arc<dyn Engine>, mut changes: Watch) {
    loop {
        while let Some(event) = changes.next().await {
            let Some(hub) = hub.upgrade() else { return };
            match event {
                Ok(event) => drop(apply(&hub, event)),
                Err(error) => {
                    tracing::warn!(%error, "last values of other hubs are not followed for now");
                    break;
                }
            }
        }
        changes = loop {
            if hub.strong_count() == 0 {
                return;
            }
            tokio::time::sleep(WATCH_AGAIN_WAIT).await;
            if let Ok(again) = watch(&engine).await {
                break again;
            }
        };
    }
}

/// Makes a change in memory what it is in the engine. Hands the event back.
fn apply(hub: &HubInner, event: WatchEvent) -> WatchEvent {
    match &event {
        WatchEvent::Put { key, entry } => match message(key, entry) {
            Some(message) => {
                let topic = message.topic.clone();
                if let Err(fault) = hub.remember(&topic, entry.revision, Some(message)) {
                    tracing::error!(topic = &*topic, %fault, "a last value stays in the engine, but is told to nobody");
                }
            }
            None => tracing::error!(
                topic = %key.as_ref().escape_ascii(),
                "what the engine keeps as a last value is none, and is told to nobody"
            ),
        },
        WatchEvent::Delete { key, revision, .. } => {
            if let Ok(topic) = std::str::from_utf8(key.as_ref()) {
                let _ = hub.remember(topic, *revision, None);
            }
        }
        WatchEvent::Reset => hub.forget_last_values(),
        WatchEvent::Current { .. } => {}
    }
    event
}

fn message(key: &Key, entry: &Entry) -> Option<Message> {
    let topic = ByteString::try_from(key.to_bytes()).ok()?;
    names::check_topic(&topic).ok()?;
    names::check_retained_topic(&topic).ok()?;
    let record = record::decode(&entry.value)?;
    Message::kept(topic, record, entry.expires)
}
