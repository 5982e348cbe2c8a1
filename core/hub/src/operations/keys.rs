//! `keys.*`: the verbs on keys, as operations. JSON in and out; values may be raw bytes: `keys.get` answers with one (and
//! with a structure as JSON),
//! and `keys.put`, `keys.cas` and `keys.append` take one as the parts of a stream that follow its JSON.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use serde_json::{Number, Value, json};
use switchboard_peer::{Body, ErrorKind, Fault, PartReceiver, Replier};
use tokio::runtime::Handle;

use super::{STOPPING_RETRY_WAIT, json, single};
use crate::call::Call;
use crate::hub::HubInner;
use crate::keys::json::{change, entry, page, readable};
use crate::keys::{
    BatchOutcome, Bucket, Change, Changes, Entry, SessionKeys, Timestamp, VALUE_BYTES_MAX, WatchEvent,
    Written,
};
use crate::requests::keys::{
    APPEND, BATCH, BUCKETS, BatchRequest, CAS, DELETE, ENTRY, EXPIRE, GET, INCR, KeyRequest, PUT, SCAN,
    ScanRequest, WATCH, WatchRequest, WriteRequest, WriteVerb,
};
use crate::requests::{self, NoRequest};

/// Whether calls change nothing.
const SAFE: bool = true;

/// The operations: name, whether it is safe, and whether its result is JSON.
pub(super) const ALL: [(&str, bool, bool); 12] = [
    (GET, SAFE, false),
    (ENTRY, SAFE, true),
    (PUT, !SAFE, true),
    (CAS, !SAFE, true),
    (DELETE, !SAFE, true),
    (INCR, !SAFE, true),
    (APPEND, !SAFE, true),
    (EXPIRE, !SAFE, true),
    (SCAN, SAFE, true),
    (WATCH, SAFE, false),
    (BATCH, !SAFE, true),
    (BUCKETS, SAFE, true),
];

/// A value of more bytes is answered as a stream: 1 MiB, so that no door has to hold it whole.
const SINGLE_BYTES_MAX: usize = 1024 * 1024;

/// The parts of such a stream.
const PART_BYTES: usize = 64 * 1024;

/// Answers one of them, as its caller. It takes a task only where the caller's stream or the engine has to be waited
/// for.
pub(super) fn answer(hub: Arc<HubInner>, call: Call, reply: Replier) {
    let mut answering = Box::pin(respond(hub, call, reply));
    if answering.as_mut().now_or_never().is_none()
        && let Ok(runtime) = Handle::try_current()
    {
        runtime.spawn(answering);
    }
}

async fn respond(hub: Arc<HubInner>, call: Call, reply: Replier) {
    let Some(session) = hub.session(call.caller.session) else {
        return reply.fault(Fault::failed("the session is closed"));
    };
    let keys = match session.keys(&hub) {
        Ok(keys) => keys,
        Err(fault) => return reply.fault(fault),
    };
    let operation = &*call.operation;
    match operation {
        GET => match get(keys, single(operation, call.body)).await {
            Ok(entry) => match readable(&entry) {
                Ok(value) => send_value(value, reply).await,
                Err(fault) => reply.fault(fault),
            },
            Err(fault) => reply.fault(fault),
        },
        WATCH => match watch(keys, call.body).await {
            Ok((changes, _caller)) => send_changes(&hub, changes, reply).await,
            Err(fault) => reply.fault(fault),
        },
        ENTRY => reply.answer(
            get(keys, single(operation, call.body))
                .await
                .and_then(|found| json(&entry(&found, true))),
        ),
        SCAN => reply.answer(scan(keys, single(operation, call.body)).await),
        BATCH => reply.answer(batch(keys, single(operation, call.body)).await),
        BUCKETS => reply.answer(buckets(keys, single(operation, call.body)).await),
        _ => reply.answer(write(keys, operation, call.body).await),
    }
}

async fn get(keys: SessionKeys<'_>, body: Result<Bytes, Fault>) -> Result<Entry, Fault> {
    let (bucket, key) = requests::parse::<KeyRequest>(GET, &body?)?.place()?;
    let entry = keys.get(&bucket, &key)?.await?;
    entry.ok_or_else(|| {
        let said = format!(
            "no key \"{}\" in the bucket {bucket}",
            key.as_ref().escape_ascii()
        );
        Fault::error(ErrorKind::Unknown, said)
    })
}

async fn send_value(value: Bytes, reply: Replier) {
    if value.len() <= SINGLE_BYTES_MAX {
        return reply.result(value);
    }
    let mut parts = reply.stream();
    let mut rest = value;
    while !rest.is_empty() {
        let part = rest.split_to(rest.len().min(PART_BYTES));
        if parts.send(part).await.is_err() {
            return;
        }
    }
    parts.finish();
}

async fn write(keys: SessionKeys<'_>, operation: &str, body: Body) -> Result<Bytes, Fault> {
    let verb = match operation {
        PUT => WriteVerb::Put,
        CAS => WriteVerb::Cas,
        DELETE => WriteVerb::Delete,
        INCR => WriteVerb::Incr,
        APPEND => WriteVerb::Append,
        _ => WriteVerb::Expire,
    };
    let (head, value) = match body {
        Body::Single(head) => (head, None),
        Body::Stream(parts) => head_and_value(operation, parts).await?,
    };
    let request: WriteRequest = requests::parse(operation, &head)?;
    let (bucket, key, mut write) = request.write(verb, now())?;
    if let Some(value) = value {
        if request.has_value() {
            return Err(Fault::invalid(
                "the value stands in the JSON and follows it: give one",
            ));
        }
        match &mut write.change {
            Change::Put(place) | Change::Append(place) => *place = value,
            _ => {
                return Err(Fault::invalid(format!(
                    "{operation} takes no value after its JSON"
                )));
            }
        }
    }
    let outcome = keys.write(&bucket, key, write)?.await?;
    answer_write(verb, outcome)
}

/// The first part of a stream, and what follows it, gathered.
async fn head_and_value(operation: &str, parts: PartReceiver) -> Result<(Bytes, Option<Bytes>), Fault> {
    let (head, rest) = first_part(operation, parts).await?;
    let value = rest.collect(VALUE_BYTES_MAX).await?;
    Ok((head, Some(value)))
}

async fn first_part(operation: &str, mut parts: PartReceiver) -> Result<(Bytes, PartReceiver), Fault> {
    match parts.next().await.transpose()? {
        Some(head) => Ok((head, parts)),
        None => Err(Fault::invalid(format!(
            "{operation}: the stream has no first part with JSON"
        ))),
    }
}

fn answer_write(verb: WriteVerb, outcome: Written) -> Result<Bytes, Fault> {
    let (before, after) = match outcome {
        Written::Done { before, after } => (before, after),
        Written::Unmet { current } => return Err(conflict(current.as_ref(), "the key")),
    };
    match verb {
        WriteVerb::Delete => json(&json!({"deleted": before.is_some()})),
        WriteVerb::Expire if before.is_none() => {
            Err(Fault::error(ErrorKind::Unknown, "there is no such key"))
        }
        WriteVerb::Incr => json(&after.map(|found| {
            let mut shown = entry(&found, false);
            if let Ok(number) = serde_json::from_slice::<Number>(&found.value) {
                shown.insert("value".to_owned(), Value::Number(number));
            }
            shown
        })),
        // Null, if its time is over already.
        _ => json(&after.map(|found| entry(&found, false))),
    }
}

fn conflict(current: Option<&Entry>, what: &str) -> Fault {
    Fault::error(
        ErrorKind::Conflict,
        match current {
            Some(entry) => format!(
                "{what} has a value, of the revision {}: nothing was changed",
                entry.revision
            ),
            None => format!("{what} has no value: nothing was changed"),
        },
    )
}

async fn batch(keys: SessionKeys<'_>, body: Result<Bytes, Fault>) -> Result<Bytes, Fault> {
    let (bucket, writes) = requests::parse::<BatchRequest>(BATCH, &body?)?.writes(now())?;
    match keys.batch(&bucket, writes)?.await? {
        BatchOutcome::Done(outcomes) => {
            let shown =
                |(_, after): &(Option<Entry>, Option<Entry>)| after.as_ref().map(|found| entry(found, false));
            let results: Vec<_> = outcomes.iter().map(shown).collect();
            json(&json!({"results": results}))
        }
        BatchOutcome::Unmet { index, current } => {
            Err(conflict(current.as_ref(), &format!("the key of write {index}")))
        }
    }
}

async fn scan(keys: SessionKeys<'_>, body: Result<Bytes, Fault>) -> Result<Bytes, Fault> {
    let (bucket, scan) = requests::parse::<ScanRequest>(SCAN, &body?)?.scan()?;
    let values = scan.values;
    json(&page(&keys.scan(&bucket, scan)?.await?, values))
}

async fn buckets(keys: SessionKeys<'_>, body: Result<Bytes, Fault>) -> Result<Bytes, Fault> {
    requests::parse::<NoRequest>(BUCKETS, &body?)?;
    let buckets = keys.buckets().await?;
    let names: Vec<_> = buckets.iter().map(Bucket::as_str).collect();
    json(&json!({"buckets": names}))
}

/// The changes; and what is left of the caller's stream, if it is one: as long as that is there, he is.
async fn watch(keys: SessionKeys<'_>, body: Body) -> Result<(Changes, Option<PartReceiver>), Fault> {
    let (head, rest) = match body {
        Body::Single(head) => (head, None),
        Body::Stream(parts) => {
            let (head, rest) = first_part(WATCH, parts).await?;
            (head, Some(rest))
        }
    };
    let (bucket, prefix, from) = requests::parse::<WatchRequest>(WATCH, &head)?.watch()?;
    Ok((keys.watch(&bucket, prefix, from)?.await?, rest))
}

/// A line of JSON for each change, until the caller has enough.
async fn send_changes(hub: &HubInner, mut changes: Changes, reply: Replier) {
    let enough = reply.cancellation();
    let mut parts = reply.stream();
    loop {
        let change = tokio::select! {
            biased;
            () = enough.cancelled() => return,
            () = hub.draining.cancelled() => {
                return parts.fail(Fault::retry(STOPPING_RETRY_WAIT, "the hub is going down"));
            }
            change = changes.next() => change,
        };
        let line = match change {
            None => return parts.finish(),
            Some(change) => change.and_then(|change| line(&change)),
        };
        match line {
            Ok(line) => {
                if parts.send(line).await.is_err() {
                    return;
                }
            }
            Err(fault) => return parts.fail(fault),
        }
    }
}

fn line(event: &WatchEvent) -> Result<Bytes, Fault> {
    let mut line = serde_json::to_vec(&change(event)).map_err(|error| Fault::failed(error.to_string()))?;
    line.push(b'\n');
    Ok(line.into())
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

#[cfg(test)]
mod tests;
