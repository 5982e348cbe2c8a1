//! A whole state, from one embedded engine to another.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use switchboard_engine::keys::{Change, Expiry, Scan, Write};
use switchboard_engine::names::VALUE_BYTES_MAX;
use switchboard_engine::queues::{Counts, JobState, Push};
use switchboard_engine::structures::Structure;
use switchboard_engine::transfer::{RETURN_WAIT, Totals, TransferError, export, import, verify};
use switchboard_engine::{Bucket, Engine, Key, Kind, QueueName, Timestamp};
use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions};

fn engine() -> Arc<Embedded> {
    Embedded::open(EmbeddedOptions::new(DataDir::Memory)).expect("memory")
}

async fn exported(engine: &Embedded) -> (Vec<u8>, Totals) {
    let mut bytes = Vec::new();
    let mut told = 0;
    let totals = export(engine, &mut bytes, &mut |totals| told = totals.bytes)
        .await
        .expect("exported");
    assert_eq!(totals.bytes, bytes.len() as u64);
    assert!(told <= totals.bytes);
    (bytes, totals)
}

async fn imported(bytes: &[u8]) -> Result<(Arc<Embedded>, Totals), TransferError> {
    let engine = engine();
    let totals = import(&*engine, bytes, &mut |_| {}).await?;
    Ok((engine, totals))
}

/// Keys of a bucket with their kinds, values and expiries.
async fn keys(engine: &Embedded, bucket: &Bucket) -> Vec<(Key, Kind, Vec<u8>, Option<Timestamp>)> {
    let mut all = Vec::new();
    let mut scan = Scan {
        values: true,
        ..Scan::default()
    };
    loop {
        let page = engine.keys().scan(bucket, scan.clone()).await.unwrap();
        let entries = page.entries.into_iter();
        all.extend(entries.map(|(key, entry)| (key, entry.kind, entry.value.to_vec(), entry.expires)));
        match page.cursor {
            Some(cursor) => scan.after = Some(cursor),
            None => return all,
        }
    }
}

fn in_an_hour() -> Timestamp {
    Timestamp::from(SystemTime::now()).after(Duration::from_secs(3600))
}

async fn fill_keys(engine: &Embedded) -> [Bucket; 2] {
    let buckets = [Bucket::default(), Bucket::new("hub.retained").unwrap()];
    for number in 0..2500_u32 {
        let key = Key::new(number.to_be_bytes().to_vec()).unwrap();
        let write = match number % 3 {
            0 => Write::put(vec![number as u8; 100]).expiring(Expiry::At(in_an_hour())),
            _ => Write::put(vec![number as u8; 10]),
        };
        engine.keys().write(&buckets[0], key, write).await.unwrap();
    }
    for (key, value) in [
        (&b"\xff\0"[..], vec![]),
        (b"large", vec![7; 3_000_000]),
        (b"a", vec![1]),
    ] {
        let key = Key::new(key).unwrap();
        engine
            .keys()
            .write(&buckets[1], key, Write::put(value))
            .await
            .unwrap();
    }
    buckets
}

#[tokio::test]
async fn keys_arrive_with_values_and_expiries() {
    let from = engine();
    let buckets = fill_keys(&from).await;
    let (bytes, totals) = exported(&from).await;
    assert_eq!((totals.keys, totals.jobs, totals.blobs), (2503, 0, 0));
    assert_eq!(verify(&bytes[..], &mut |_| {}).await.unwrap(), totals);
    let (to, there) = imported(&bytes).await.unwrap();
    assert_eq!(there, totals);
    for bucket in buckets {
        assert_eq!(keys(&to, &bucket).await, keys(&from, &bucket).await, "{bucket}");
    }
    assert_eq!(to.keys().buckets().await, from.keys().buckets().await);
}

/// A structure of that kind, with so many elements.
fn structure(kind: Kind, count: u32) -> Option<Structure> {
    let mut structure = Structure::new(kind)?;
    for number in 0..count {
        let name = number.to_be_bytes();
        match &mut structure {
            Structure::Hash(hash) => {
                hash.insert(&name, b"value");
            }
            Structure::List(list) => list.push_back(&name),
            Structure::Set(set) => {
                set.insert(&name);
            }
            Structure::SortedSet(set) => {
                set.insert(&name, f64::from(number % 7));
            }
        }
    }
    Some(structure)
}

#[tokio::test]
async fn structures_arrive_as_they_are() {
    let from = engine();
    let bucket = Bucket::default();
    let mut put = Vec::new();
    for (count, kind) in [1, 30_000]
        .into_iter()
        .flat_map(|count| Kind::ALL.map(|kind| (count, kind)))
    {
        let Some(structure) = structure(kind, count) else {
            continue;
        };
        let change = Change::PutStructure {
            kind,
            encoded: structure.encode().into(),
        };
        let write = Write::change(change).expiring(Expiry::At(in_an_hour()));
        let key = Key::new(format!("{kind} {count}")).unwrap();
        from.keys().write(&bucket, key.clone(), write).await.unwrap();
        put.push((key, structure));
    }
    let (bytes, totals) = exported(&from).await;
    assert_eq!(totals.keys, put.len() as u64);
    let (to, there) = imported(&bytes).await.unwrap();
    assert_eq!(there, totals);
    assert_eq!(keys(&to, &bucket).await, keys(&from, &bucket).await);
    for (key, structure) in put {
        let entry = to.keys().get(&bucket, key.as_ref()).await.unwrap().unwrap();
        assert_eq!(Structure::decode(entry.kind, &entry.value), Ok(structure));
    }
}

/// More than a value may have, as few fields.
fn huge() -> Structure {
    let mut structure = Structure::new(Kind::Hash).expect("a kind of structures");
    if let Structure::Hash(hash) = &mut structure {
        for number in 0..5_u8 {
            hash.insert(&[number], &vec![number; 16 * 1024 * 1024]);
        }
    }
    structure
}

#[tokio::test]
async fn a_structure_that_is_larger_than_any_value_arrives() {
    let from = engine();
    let (bucket, key) = (Bucket::default(), Key::new("huge").unwrap());
    let encoded = huge().encode();
    assert!(encoded.len() > VALUE_BYTES_MAX);
    let change = Change::PutStructure {
        kind: Kind::Hash,
        encoded: encoded.into(),
    };
    let write = Write::change(change).expiring(Expiry::At(in_an_hour()));
    from.keys().write(&bucket, key.clone(), write).await.unwrap();
    let after = Key::new("later").unwrap();
    from.keys().write(&bucket, after, Write::put("x")).await.unwrap();
    let (bytes, totals) = exported(&from).await;
    assert_eq!(totals.keys, 2);
    assert_eq!(verify(&bytes[..], &mut |_| {}).await.unwrap(), totals);
    let (to, there) = imported(&bytes).await.unwrap();
    assert_eq!(there, totals);
    assert!(keys(&to, &bucket).await == keys(&from, &bucket).await);
    // Without its end, it is told.
    let cut = verify(&bytes[..bytes.len() / 2], &mut |_| {}).await;
    assert!(matches!(cut, Err(TransferError::Damaged { .. })), "{cut:?}");
}

/// Lets the first job that is ready fail.
async fn fail(engine: &Embedded, queue: &QueueName, reason: &'static str) -> JobState {
    let reserved = engine
        .queues()
        .reserve(queue, 1, Duration::from_secs(60), Duration::ZERO)
        .await
        .unwrap();
    let lease = &reserved.first().expect("a job").lease;
    engine
        .queues()
        .nack(queue, lease, Duration::ZERO, reason.into())
        .await
        .unwrap()
}

async fn payloads(engine: &Embedded, queue: &QueueName, state: JobState) -> Vec<String> {
    let peeked = engine.queues().peek(queue, state, None, 1000).await.unwrap();
    let payload = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    peeked.iter().map(|job| payload(&job.job.payload)).collect()
}

#[tokio::test]
async fn jobs_arrive_as_they_stood() {
    let from = engine();
    let queue = QueueName::new("work").unwrap();
    let push = |payload: &'static str| Push {
        headers: vec![("for".into(), payload.into())],
        attempts_max: 2,
        ..Push::new(payload)
    };
    from.queues().push(&queue, push("dead")).await.unwrap();
    assert_eq!(fail(&from, &queue, "once").await, JobState::Ready);
    assert_eq!(fail(&from, &queue, "twice").await, JobState::Dead);
    from.queues().push(&queue, push("failed")).await.unwrap();
    assert_eq!(fail(&from, &queue, "it was hot").await, JobState::Ready);
    let delayed = Push {
        delay: Duration::from_secs(3600),
        ..push("delayed")
    };
    from.queues().push(&queue, delayed).await.unwrap();
    let urgent = Push {
        priority: 9,
        ..push("reserved")
    };
    from.queues().push(&queue, urgent).await.unwrap();
    let lease = Duration::from_secs(600);
    let reserved = from
        .queues()
        .reserve(&queue, 1, lease, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(reserved[0].job.payload, "reserved");
    for payload in ["first", "second"] {
        from.queues().push(&queue, push(payload)).await.unwrap();
    }
    let (bytes, totals) = exported(&from).await;
    assert_eq!(totals.jobs, 6);
    let (to, there) = imported(&bytes).await.unwrap();
    assert_eq!(there, totals, "no attempts are forgotten");

    let dead = to.queues().peek(&queue, JobState::Dead, None, 10).await.unwrap();
    assert_eq!((&dead[0].job.payload[..], dead[0].attempts), (&b"dead"[..], 2));
    assert_eq!(
        (dead[0].reason.as_deref(), dead[0].job.attempts_max),
        (Some("twice"), 2)
    );
    assert_eq!(dead[0].job.headers, [("for".into(), "dead".into())]);
    assert_eq!(
        payloads(&to, &queue, JobState::Ready).await,
        ["reserved", "first", "second"]
    );
    let waiting = to
        .queues()
        .peek(&queue, JobState::Delayed, None, 10)
        .await
        .unwrap();
    assert_eq!(
        (&waiting[0].job.payload[..], waiting[0].attempts),
        (&b"failed"[..], 1)
    );
    assert_eq!(waiting[0].reason.as_deref(), Some("it was hot"));
    let now = Timestamp::from(SystemTime::now());
    // The engine may measure by another clock than this one: a second is beyond doubt.
    assert!(waiting[0].until.unwrap().since(now) <= RETURN_WAIT + Duration::from_secs(1));
    assert_eq!(waiting[1].job.payload, "delayed");
    let left = waiting[1].until.unwrap().since(now);
    assert!(
        left > Duration::from_secs(3000) && left <= Duration::from_secs(3601),
        "{left:?}"
    );
    // The one that was reserved has all its attempts, and its priority.
    let first = to
        .queues()
        .reserve(&queue, 1, lease, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(
        (&first[0].job.payload[..], first[0].attempt),
        (&b"reserved"[..], 1)
    );
}

#[tokio::test]
async fn thousands_of_jobs_keep_their_order() {
    let from = engine();
    let queue = QueueName::new("long").unwrap();
    for number in 0..2300 {
        let push = Push {
            delay: Duration::from_secs(if number % 5 == 0 { 600 } else { 0 }),
            ..Push::new(number.to_string())
        };
        from.queues().push(&queue, push).await.unwrap();
    }
    let (bytes, _) = exported(&from).await;
    let (to, _) = imported(&bytes).await.unwrap();
    let counts = Counts {
        ready: 1840,
        delayed: 460,
        ..Counts::default()
    };
    assert_eq!(to.queues().counts(&queue).await, Ok(counts));
    let mut ids = Vec::new();
    for state in [JobState::Ready, JobState::Delayed] {
        let mut after = None;
        loop {
            let page = to.queues().peek(&queue, state, after, 1000).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.job.id);
            ids.extend(page.iter().map(|job| (job.job.id, job.job.payload.clone())));
        }
    }
    ids.sort();
    let numbers: Vec<u32> = ids
        .iter()
        .map(|(_, payload)| std::str::from_utf8(payload).unwrap().parse().unwrap())
        .collect();
    assert_eq!(numbers, (0..2300).collect::<Vec<_>>());
}

#[tokio::test]
async fn blobs_arrive_whole_with_their_types() {
    let from = engine();
    let bucket = Bucket::new("files").unwrap();
    let content: Vec<u8> = (0..1_000_000_u32).map(|number| (number * 7) as u8).collect();
    for (name, content_type, content) in [
        ("photo", Some("image/jpeg"), &content[..]),
        ("empty", None, &[]),
        ("näme/of one", None, &content[..10]),
    ] {
        let put = from
            .blobs()
            .put(&bucket, name.into(), content_type.map(Into::into));
        let mut writer = put.await.unwrap();
        for part in content.chunks(99_999) {
            writer.write(part.to_vec().into()).await.unwrap();
        }
        writer.finish().await.unwrap();
    }
    let (bytes, totals) = exported(&from).await;
    assert_eq!(totals.blobs, 3);
    let (to, _) = imported(&bytes).await.unwrap();
    let list = async |engine: &Embedded| {
        let list = engine.blobs().list(&bucket, "", None, 10).await.unwrap();
        let known = list
            .into_iter()
            .map(|info| (info.name, info.size, info.sha256, info.content_type));
        known.collect::<Vec<_>>()
    };
    assert_eq!(list(&to).await, list(&from).await);
    let reader = to
        .blobs()
        .get(&bucket, "photo", None)
        .await
        .unwrap()
        .expect("there");
    let parts: Vec<_> = reader.parts.collect().await;
    let read: Vec<u8> = parts
        .into_iter()
        .flat_map(|part| part.unwrap().to_vec())
        .collect();
    assert!(read == content);
}

#[tokio::test]
async fn nothing_is_an_export_too() {
    let (bytes, totals) = exported(&engine()).await;
    assert_eq!((totals.keys, totals.jobs, totals.blobs), (0, 0, 0));
    let (to, _) = imported(&bytes).await.unwrap();
    assert_eq!(to.keys().buckets().await, Ok(vec![]));
}

#[tokio::test]
async fn only_an_empty_engine_takes_a_state_in() {
    let from = engine();
    fill_keys(&from).await;
    let (bytes, _) = exported(&from).await;
    let refused = import(&*from, &bytes[..], &mut |_| {}).await;
    assert!(
        matches!(&refused, Err(TransferError::NotEmpty(held)) if held == "buckets of keys: 2"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn damage_is_found_before_it_is_taken_in_and_wherever_it_is() {
    let from = engine();
    let bucket = Bucket::default();
    for number in 0..20 {
        let key = Key::new(format!("key {number}")).unwrap();
        from.keys()
            .write(&bucket, key, Write::put("value"))
            .await
            .unwrap();
    }
    let (bytes, _) = exported(&from).await;
    for at in (0..bytes.len()).step_by(3) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert!(verify(&flipped[..], &mut |_| {}).await.is_err(), "byte {at}");
        assert!(verify(&bytes[..at], &mut |_| {}).await.is_err(), "cut at {at}");
    }
    let mut flipped = bytes.clone();
    let middle = bytes.len() / 2;
    flipped[middle] ^= 1;
    let damaged = imported(&flipped).await.map(drop).unwrap_err();
    let TransferError::Damaged { at, .. } = damaged else {
        panic!("{damaged}")
    };
    assert!(
        at <= middle as u64 && at + 64 > middle as u64,
        "{at} is near {middle}"
    );
}
