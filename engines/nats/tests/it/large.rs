//! More keys than one answer of a server holds.

use std::collections::BTreeMap;

use switchboard_engine::keys::{BATCH_WRITES_MAX, BatchOutcome, Scan, Write};
use switchboard_engine::{Bucket, Engine, Key};
use switchboard_engine_nats::Nats;

use crate::server::Server;
use crate::tools::{key, open, soon};

async fn put_all(engine: &Nats, bucket: &Bucket, keys: &[Key]) {
    for keys in keys.chunks(BATCH_WRITES_MAX) {
        let writes = keys.iter().map(|key| (key.clone(), Write::put("1"))).collect();
        let outcome = soon("a batch", engine.keys().batch(bucket, writes)).await;
        assert!(matches!(outcome, Ok(BatchOutcome::Done(_))), "{outcome:?}");
    }
}

async fn scan_all(engine: &Nats, bucket: &Bucket, prefix: &[u8], limit: usize) -> Vec<Key> {
    let mut scan = Scan {
        prefix: prefix.to_vec().into(),
        limit,
        ..Scan::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = soon("a page", engine.keys().scan(bucket, scan.clone()))
            .await
            .expect("scanning");
        seen.extend(page.entries.into_iter().map(|(key, _)| key));
        match page.cursor {
            Some(cursor) => scan.after = Some(cursor),
            None => return seen,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_keys_are_scanned_in_order_and_counted() {
    let server = Server::start();
    let engine = open(&server).await;
    let bucket = Bucket::default();
    let mut keys: Vec<Key> = (0..2_500)
        .map(|number| key(format!("user:{number:05}")))
        .collect();
    keys.extend((0..1_500_u32).map(|number| key(number.wrapping_mul(2_654_435_761).to_be_bytes())));
    keys.sort();
    keys.dedup();
    put_all(&engine, &bucket, &keys).await;

    assert_eq!(scan_all(&engine, &bucket, b"", 0).await, keys);
    assert_eq!(scan_all(&engine, &bucket, b"", 333).await, keys);
    let users: Vec<Key> = keys
        .iter()
        .filter(|key| key.as_bytes().starts_with(b"user:01"))
        .cloned()
        .collect();
    assert_eq!(scan_all(&engine, &bucket, b"user:01", 100).await, users);
    let count = soon("a count", engine.keys().count(&bucket)).await;
    assert_eq!(count, Ok(keys.len() as u64));

    let gone: Vec<(Key, Write)> = users.iter().map(|key| (key.clone(), Write::delete())).collect();
    soon("a batch", engine.keys().batch(&bucket, gone))
        .await
        .expect("deleting");
    assert_eq!(
        scan_all(&engine, &bucket, b"user:01", 100).await,
        Vec::<Key>::new()
    );
    let count = soon("a count", engine.keys().count(&bucket)).await;
    assert_eq!(count, Ok((keys.len() - users.len()) as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_long_keys_with_one_beginning_are_scanned_in_order() {
    let server = Server::start();
    let engine = open(&server).await;
    let bucket = Bucket::default();
    let stem = "k".repeat(300);
    // Their hashes are in another order than they are.
    let keys: BTreeMap<Key, ()> = (0..1_100)
        .map(|number| (key(format!("{stem}{number:04}")), ()))
        .collect();
    let keys: Vec<Key> = keys.into_keys().collect();
    put_all(&engine, &bucket, &keys).await;
    put_all(&engine, &bucket, &[key("a"), key("z")]).await;

    assert_eq!(scan_all(&engine, &bucket, stem.as_bytes(), 400).await, keys);
    let all = scan_all(&engine, &bucket, b"", 0).await;
    assert_eq!(all.len(), keys.len() + 2);
    assert!(all.is_sorted());
}
