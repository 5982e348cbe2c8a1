//! What sessions may do with keys, on a real engine in memory.

use std::sync::Arc;
use std::time::Duration;

use switchboard_engine::{Engine, ManualClock};
use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions};

use super::*;
use crate::config::HubConfig;
use crate::hub::Hub;
use crate::message::Publish;
use crate::names::Account;
use crate::session::{Session, SessionInfo};

mod edits;
mod events;
pub(crate) mod moody;

/// An engine in memory, by the clock of the machine.
pub(crate) fn engine() -> Arc<Embedded> {
    Embedded::open(EmbeddedOptions::new(DataDir::Memory)).expect("memory")
}

/// An engine in memory, by a clock that shows the machine's time until it is moved.
pub(crate) fn engine_with_clock() -> (Arc<Embedded>, ManualClock) {
    let clock = ManualClock::at(std::time::SystemTime::now().into());
    let engine = Embedded::open(EmbeddedOptions {
        clock: Arc::new(clock.clone()),
        ..EmbeddedOptions::new(DataDir::Memory)
    });
    (engine.expect("memory"), clock)
}

pub(crate) async fn hub_on(engine: &Arc<impl Engine>) -> Hub {
    let engine = Arc::clone(engine) as Arc<dyn Engine>;
    Hub::with_engine(HubConfig::default(), engine)
        .await
        .expect("an engine that works")
}

pub(crate) fn session(hub: &Hub) -> Session {
    hub.open(SessionInfo {
        door: "test".into(),
        address: "nowhere".to_owned(),
        account: Account::guest(),
        client: None,
    })
    .expect("room")
}

pub(crate) fn key(name: &str) -> Key {
    Key::new(name.to_owned()).expect("a legal name")
}

/// Puts into the bucket `default`.
pub(crate) async fn put(session: &Session, name: &str, value: &'static str) -> Entry {
    let written = session
        .keys()
        .unwrap()
        .write(&Bucket::default(), key(name), Write::put(value));
    match written.unwrap().await.unwrap() {
        Written::Done {
            after: Some(after), ..
        } => after,
        other => panic!("{name} should be there: {other:?}"),
    }
}

async fn retain(session: &Session, topic: &str, payload: &'static str) {
    session
        .publish(Publish::new(topic.to_owned(), payload).retain())
        .await
        .unwrap();
}

fn kind(fault: &Fault) -> Option<ErrorKind> {
    match fault {
        Fault::Error { kind, .. } => Some(*kind),
        Fault::Retry { .. } => None,
    }
}

#[tokio::test]
async fn buckets_of_the_hub_are_nobodys_business() {
    let engine = engine();
    let hub = hub_on(&engine).await;
    let session = session(&hub);
    retain(&session, "home/lamp", "on").await;
    put(&session, "a", "1").await;
    let keys = session.keys().unwrap();
    let own = Bucket::new("hub.retained").unwrap();
    let refused = [
        keys.get(&own, &key("home/lamp")).err(),
        keys.get_many(&own, &[key("home/lamp")]).err(),
        keys.write(&own, key("home/lamp"), Write::delete()).err(),
        keys.batch(&own, vec![(key("x"), Write::put("x"))]).err(),
        keys.scan(&own, Scan::default()).err(),
        keys.watch(&own, Bytes::new(), WatchFrom::Now).err(),
        keys.count(&own).err(),
        keys.clear(&own).err(),
    ];
    for (verb, fault) in refused.into_iter().enumerate() {
        let fault = fault.unwrap_or_else(|| panic!("verb {verb} is refused"));
        assert_eq!(kind(&fault), Some(ErrorKind::Denied), "{fault}");
    }
    assert_eq!(keys.buckets().await, Ok(vec![Bucket::default()]));
    let held = engine.keys().buckets().await.unwrap();
    assert_eq!(held, [Bucket::default(), own]);
}

#[tokio::test]
async fn keys_of_topics_show_last_values_and_cannot_be_written() {
    let hub = hub_on(&engine()).await;
    let session = session(&hub);
    retain(&session, "home/lamp", "on").await;
    put(&session, "other", "1").await;
    let (keys, bucket) = (session.keys().unwrap(), Bucket::default());
    let entry = keys.get(&bucket, &key("topic:home/lamp")).unwrap().await.unwrap();
    assert_eq!(entry.map(|entry| entry.value), Some("on".into()));
    for absent in ["topic:", "topic:nothing", "topic"] {
        assert_eq!(
            keys.get(&bucket, &key(absent)).unwrap().await,
            Ok(None),
            "{absent}"
        );
    }
    // In another bucket they are keys like others.
    let elsewhere = Bucket::new("elsewhere").unwrap();
    let written = keys.write(&elsewhere, key("topic:x"), Write::put("1"));
    assert!(matches!(written.unwrap().await, Ok(Written::Done { .. })));
    let refused = [
        keys.write(&bucket, key("topic:x"), Write::put("1")).err(),
        keys.batch(
            &bucket,
            vec![(key("a"), Write::delete()), (key("topic:x"), Write::delete())],
        )
        .err(),
    ];
    for fault in refused {
        let fault = fault.expect("refused");
        assert_eq!(kind(&fault), Some(ErrorKind::Denied), "{fault}");
        assert!(fault.message().contains("publish"), "{fault}");
    }
    let watch = keys.watch(&bucket, "topic:home".into(), WatchFrom::Now);
    assert_eq!(watch.err().as_ref().and_then(kind), Some(ErrorKind::Unsupported));
}

#[tokio::test]
async fn many_keys_are_read_at_once_whether_they_show_topics_or_not() {
    let hub = hub_on(&engine()).await;
    let session = session(&hub);
    retain(&session, "t", "last").await;
    put(&session, "a", "1").await;
    let wanted = ["topic:none", "a", "topic:", "topic:t", "none", "a"].map(key);
    let found = session.keys().unwrap().get_many(&Bucket::default(), &wanted);
    let values: Vec<_> = found
        .unwrap()
        .await
        .unwrap()
        .into_iter()
        .map(|entry| entry.map(|entry| entry.value))
        .collect();
    let (one, last) = (Some(Bytes::from("1")), Some(Bytes::from("last")));
    assert_eq!(values, [None, one.clone(), None, last, None, one]);
}

/// The names of a page, and its cursor.
async fn names(session: &Session, scan: Scan) -> (Vec<String>, Option<String>) {
    let text = |key: &Key| String::from_utf8(key.as_bytes().to_vec()).unwrap();
    let page = session.keys().unwrap().scan(&Bucket::default(), scan);
    let page = page.unwrap().await.unwrap();
    (
        page.entries.iter().map(|(key, _)| text(key)).collect(),
        page.cursor.as_ref().map(text),
    )
}

#[tokio::test]
async fn topics_are_scanned_by_their_prefix_page_by_page() {
    let hub = hub_on(&engine()).await;
    let session = session(&hub);
    for topic in ["home/a", "home/b", "home/c", "office/a"] {
        retain(&session, topic, "x").await;
    }
    put(&session, "key", "1").await;
    put(&session, "zebra", "1").await;
    let all = |prefix: &'static str, after: Option<&str>, limit| Scan {
        prefix: prefix.into(),
        after: after.map(key),
        limit,
        values: false,
    };
    assert_eq!(names(&session, all("", None, 0)).await.0, ["key", "zebra"]);
    let (first, cursor) = names(&session, all("topic:home/", None, 2)).await;
    assert_eq!(first, ["topic:home/a", "topic:home/b"]);
    let (second, end) = names(&session, all("topic:home/", cursor.as_deref(), 2)).await;
    assert_eq!((second, end), (vec!["topic:home/c".to_owned()], None));
    let four = ["topic:home/a", "topic:home/b", "topic:home/c", "topic:office/a"];
    assert_eq!(names(&session, all("topic:", Some("a"), 0)).await.0, four);
    assert!(
        names(&session, all("topic:", Some("zebra"), 0))
            .await
            .0
            .is_empty()
    );
    let with_values = Scan {
        values: true,
        ..all("topic:office", None, 0)
    };
    let page = session.keys().unwrap().scan(&Bucket::default(), with_values);
    assert_eq!(page.unwrap().await.unwrap().entries[0].1.value, "x");
}

#[tokio::test]
async fn what_no_hub_wrote_is_shown_as_no_last_value() {
    let engine = engine();
    let hub = hub_on(&engine).await;
    let session = session(&hub);
    let own = Bucket::new("hub.retained").unwrap();
    engine
        .keys()
        .write(&own, key("odd"), Write::put("\u{9}from the future"))
        .await
        .unwrap();
    let got = session.keys().unwrap().get(&Bucket::default(), &key("topic:odd"));
    assert_eq!(got.unwrap().await, Ok(None));
    let scan = Scan {
        prefix: TOPIC_KEY_PREFIX.into(),
        values: true,
        ..Scan::default()
    };
    assert!(names(&session, scan).await.0.is_empty());
}

#[tokio::test]
async fn without_an_engine_or_a_session_there_are_no_keys() {
    let bare = session(&Hub::default());
    assert_eq!(
        bare.keys().err().as_ref().and_then(kind),
        Some(ErrorKind::Unsupported)
    );
    let hub = hub_on(&engine()).await;
    let closed = session(&hub);
    closed.close();
    assert_eq!(
        closed.keys().err().as_ref().and_then(kind),
        Some(ErrorKind::Failed)
    );
}

#[tokio::test]
async fn a_stopped_hub_asks_to_come_back() {
    let hub = hub_on(&engine()).await;
    let session = session(&hub);
    put(&session, "a", "1").await;
    hub.stop().await.unwrap();
    hub.stop().await.unwrap();
    let write = session
        .keys()
        .unwrap()
        .write(&Bucket::default(), key("a"), Write::put("2"));
    assert!(matches!(write.unwrap().await, Err(Fault::Retry { .. })));
}

#[test]
fn every_error_of_an_engine_is_a_fault_of_its_kind() {
    let text = || "it is so".to_owned();
    for (error, expected) in [
        (EngineError::Invalid(text()), Some(ErrorKind::Invalid)),
        (EngineError::TooLarge(text()), Some(ErrorKind::TooLarge)),
        (EngineError::NotAnInteger, Some(ErrorKind::Conflict)),
        (EngineError::NotANumber, Some(ErrorKind::Conflict)),
        (EngineError::Overflow, Some(ErrorKind::Conflict)),
        (EngineError::WrongKind(Kind::List), Some(ErrorKind::Conflict)),
        (EngineError::LeaseLost(3), Some(ErrorKind::Conflict)),
        (EngineError::Unsupported(text()), Some(ErrorKind::Unsupported)),
        (EngineError::Damaged(text()), Some(ErrorKind::Failed)),
        (EngineError::Failed(text()), Some(ErrorKind::Failed)),
        (EngineError::unavailable(Duration::from_secs(1), "away"), None),
    ] {
        let fault = fault(error.clone());
        assert_eq!(kind(&fault), expected, "{error}");
        assert_eq!(fault.message(), error.to_string());
    }
}
