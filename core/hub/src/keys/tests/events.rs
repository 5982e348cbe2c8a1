//! Messages about keys.

use switchboard_engine::keys::{Change, Expiry};

use super::moody::Moody;
use super::*;
use crate::policy::Policy;
use crate::subscription::Deliveries;

fn watch(session: &Session, filter: &str) -> Deliveries {
    let (sink, deliveries) = session.sink(Policy::DropOldest);
    session.subscribe(filter, &sink).unwrap();
    deliveries
}

/// Topic, value and what happened, of the next message.
async fn told(deliveries: &mut Deliveries) -> (String, String, String) {
    let delivery = deliveries.recv().await.expect("a message");
    let header = |name: &str| {
        let headers = &delivery.message.headers;
        let found = headers.iter().find(|(found, _)| found == name);
        found.expect("both headers").1.to_string()
    };
    assert!(header(REVISION).parse::<u64>().unwrap() > 0);
    let value = String::from_utf8(delivery.message.payload.to_vec()).unwrap();
    (delivery.topic().to_string(), value, header(CHANGE))
}

fn of(topic: &str, value: &str, change: &str) -> (String, String, String) {
    (topic.to_owned(), value.to_owned(), change.to_owned())
}

async fn write(session: &Session, bucket: &Bucket, name: &str, write: Write) {
    let written = session.keys().unwrap().write(bucket, key(name), write);
    written.unwrap().await.unwrap();
}

#[tokio::test]
async fn structures_are_told_by_their_kind() {
    let hub = hub_on(&engine()).await;
    let session = session(&hub);
    let mut all = watch(&session, "$keys/#");
    let list = Change::PutStructure {
        kind: Kind::List,
        encoded: (&b"\x02\x01a"[..]).into(),
    };
    write(&session, &Bucket::default(), "l", Write::change(list)).await;
    let delivery = all.recv().await.expect("a message");
    assert!(delivery.message.payload.is_empty());
    let kind = (KIND, "list");
    let headers = &delivery.message.headers;
    assert!(
        headers.iter().any(|(name, value)| (&**name, &**value) == kind),
        "{headers:?}"
    );
    write(&session, &Bucket::default(), "l", Write::put("plain")).await;
    assert_eq!(told(&mut all).await, of("$keys/default/l", "plain", "put"));
}

#[tokio::test]
async fn every_kind_of_change_is_told() {
    let (engine, clock) = engine_with_clock();
    let hub = hub_on(&engine).await;
    let session = session(&hub);
    put(&session, "before", "0").await;
    let mut all = watch(&session, "$keys/#");
    let other = super::session(&hub);
    let mut one = watch(&other, "$keys/default/n");
    let bucket = Bucket::default();
    put(&session, "home/lamp", "on").await;
    assert_eq!(told(&mut all).await, of("$keys/default/home/lamp", "on", "put"));
    write(&session, &bucket, "n", Write::change(Change::Increment(5))).await;
    assert_eq!(told(&mut all).await, of("$keys/default/n", "5", "put"));
    assert_eq!(told(&mut one).await, of("$keys/default/n", "5", "put"));
    write(&session, &bucket, "home/lamp", Write::delete()).await;
    assert_eq!(told(&mut all).await, of("$keys/default/home/lamp", "", "delete"));
    let soon = switchboard_engine::Clock::now(&clock).after(Duration::from_secs(1));
    write(
        &session,
        &bucket,
        "n",
        Write::change(Change::Touch).expiring(Expiry::At(soon)),
    )
    .await;
    assert_eq!(told(&mut all).await, of("$keys/default/n", "5", "put"));
    clock.advance(Duration::from_secs(2));
    engine.clear_up().await.unwrap();
    assert_eq!(told(&mut all).await, of("$keys/default/n", "", "expire"));
}

#[tokio::test]
async fn nobody_else_can_say_so() {
    let hub = hub_on(&engine()).await;
    let session = session(&hub);
    let fault = session
        .publish(Publish::new("$keys/default/x", "lie"))
        .await
        .unwrap_err();
    assert_eq!(kind(&fault), Some(ErrorKind::Denied));
}

#[tokio::test(start_paused = true)]
async fn what_is_in_buckets_that_are_new_is_told_too() {
    let engine = engine();
    let hub = hub_on(&engine).await;
    let session = session(&hub);
    // Nothing is there at all; the bucket `default` is watched all the same.
    let mut all = watch(&session, "$keys/#");
    put(&session, "a", "1").await;
    assert_eq!(told(&mut all).await, of("$keys/default/a", "1", "put"));
    let bucket = Bucket::new("new").unwrap();
    write(&session, &bucket, "b", Write::put("2")).await;
    write(&session, &bucket, "a", Write::put("3")).await;
    assert_eq!(told(&mut all).await, of("$keys/new/a", "3", "put"));
    assert_eq!(told(&mut all).await, of("$keys/new/b", "2", "put"));
    write(&session, &bucket, "a", Write::put("4")).await;
    assert_eq!(told(&mut all).await, of("$keys/new/a", "4", "put"));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_watched_for_longer_than_somebody_wants_to_know() {
    let engine = Moody::new(false);
    let hub = hub_on(&engine).await;
    let session = session(&hub);
    assert_eq!(engine.watches_of(&Bucket::default()).len(), 0);
    let (sink, mut first) = session.sink(Policy::DropOldest);
    session.subscribe("$keys/#", &sink).unwrap();
    put(&session, "a", "1").await;
    assert_eq!(told(&mut first).await.0, "$keys/default/a");
    session.unsubscribe("$keys/#");
    let is_running = || hub.inner().key_events.is_running();
    while is_running() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut again = watch(&session, "$keys/+/a");
    assert!(is_running());
    put(&session, "a", "2").await;
    assert_eq!(told(&mut again).await, of("$keys/default/a", "2", "put"));
    assert_eq!(engine.watches_of(&Bucket::default()).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_was_lost_goes_on_where_it_was() {
    let engine = Moody::new(false);
    let hub = hub_on(&engine).await;
    let session = session(&hub);
    put(&session, "old", "0").await;
    let mut all = watch(&session, "$keys/#");
    put(&session, "a", "1").await;
    assert_eq!(told(&mut all).await, of("$keys/default/a", "1", "put"));
    engine.end_watches();
    put(&session, "b", "2").await;
    write(&session, &Bucket::default(), "a", Write::delete()).await;
    // Neither `old` nor what was told before.
    assert_eq!(told(&mut all).await, of("$keys/default/b", "2", "put"));
    assert_eq!(told(&mut all).await, of("$keys/default/a", "", "delete"));
    let begun = engine.watches_of(&Bucket::default());
    assert!(
        matches!(begun[..], [WatchFrom::Now, WatchFrom::After(_)]),
        "{begun:?}"
    );
}
