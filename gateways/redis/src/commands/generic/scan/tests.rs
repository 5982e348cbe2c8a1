//! Scans of a hub that keeps its keys in memory.

use std::collections::BTreeSet;

use bytestring::ByteString;
use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions};
use switchboard_hub::keys::structures::{List, Structure};
use switchboard_hub::keys::{Change, Write};
use switchboard_hub::{Account, Hub, HubConfig, SessionInfo};

use super::*;

/// A database with these keys.
async fn database(names: impl IntoIterator<Item = Vec<u8>>) -> Database {
    let engine = Embedded::open(EmbeddedOptions::new(DataDir::Memory)).unwrap();
    let hub = Hub::with_engine(HubConfig::default(), engine).await.unwrap();
    let info = SessionInfo {
        door: ByteString::from_static("test"),
        address: String::new(),
        account: Account::guest(),
        client: None,
    };
    let database = Database {
        session: Arc::new(hub.open(info).unwrap()),
        bucket: Bucket::default(),
    };
    for name in names {
        database.write(name, Write::put("x")).await;
    }
    database
}

impl Database {
    async fn write(&self, name: impl AsRef<[u8]> + Into<Bytes>, write: Write) {
        let key = Key::new(name).unwrap();
        let keys = self.session.keys().unwrap();
        keys.write(&self.bucket, key, write).unwrap().await.unwrap();
    }
}

fn numbered(count: usize) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(|number| format!("key:{number:05}").into_bytes())
}

fn wanted(line: &str) -> Result<Wanted, Refusal> {
    let args: Args = line.split(' ').map(|arg| Bytes::from(arg.to_owned())).collect();
    Wanted::read(&args, 2)
}

async fn names(database: &Database, pattern: &str) -> Vec<String> {
    let found = matching(database, &Glob::new(pattern.as_bytes())).await.unwrap();
    let text = |key: &Key| key.as_bytes().escape_ascii().to_string();
    found.iter().map(text).collect()
}

#[tokio::test]
async fn keys_that_fit_are_told() {
    let database = database(numbered(2_500)).await;
    assert_eq!(names(&database, "*").await.len(), 2_500);
    assert_eq!(names(&database, "key:0001?").await.len(), 10);
    assert_eq!(names(&database, "*7").await.len(), 250);
    assert_eq!(names(&database, "key:00012").await, ["key:00012"]);
    for pattern in ["key:0001", "", "none", "[", "key:0001[^0-9]"] {
        assert!(names(&database, pattern).await.is_empty(), "{pattern}");
    }
}

#[tokio::test]
async fn a_scan_tells_each_key_once() {
    let database = database(numbered(2_500)).await;
    for line in [
        "scan 0",
        "scan 0 COUNT 7",
        "scan 0 COUNT 1500",
        "scan 0 MATCH key* COUNT 99999",
    ] {
        let wanted = wanted(line).unwrap();
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let (found, next) = wanted.find(&database, after).await.unwrap();
            assert!(found.len() <= wanted.count, "{line}");
            seen.extend(found);
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), 2_500, "{line}");
        assert!(seen.is_sorted());
    }
}

#[tokio::test]
async fn a_scan_tells_what_fits() {
    let database = database(numbered(30)).await;
    let mut list = List::default();
    list.push_back(b"x");
    let change = Change::PutStructure {
        kind: switchboard_hub::keys::Kind::List,
        encoded: Structure::List(list).encode().into(),
    };
    database.write("list", Write::change(change)).await;
    let found = |line: &'static str| {
        let database = &database;
        async move { wanted(line).unwrap().find(database, None).await.unwrap() }
    };
    let (keys, after) = found("scan 0 TYPE LIST COUNT 100").await;
    assert_eq!((keys, after), (vec![Key::new("list").unwrap()], None));
    let (keys, after) = found("scan 0 TYPE string COUNT 30").await;
    assert_eq!((keys.len(), after.is_some()), (30, true));
    assert_eq!(found("scan 0 TYPE what COUNT 100").await.0.len(), 0);
    // It looks at so many, whether they fit or not.
    let (keys, after) = found("scan 0 MATCH *5 COUNT 10").await;
    assert_eq!((keys.len(), after), (1, Some(Key::new("key:00009").unwrap())));
    for (line, refusal) in [
        ("scan 0 COUNT 0", Refusal::SYNTAX),
        ("scan 0 COUNT", Refusal::SYNTAX),
        ("scan 0 WHAT x", Refusal::SYNTAX),
        ("scan 0 COUNT x", Refusal::NOT_AN_INTEGER),
    ] {
        assert_eq!(wanted(line).err(), Some(refusal), "{line}");
    }
}

#[tokio::test]
async fn any_key_may_be_picked() {
    let empty = database([]).await;
    assert_eq!(random::pick(&empty).await.unwrap(), None);
    let few = database(numbered(3)).await;
    let many = database(numbered(3_000)).await;
    let alike = database((0..1_100).map(|count| [&[0xff; 300][..], &vec![b'x'; count]].concat())).await;
    fastrand::seed(1);
    for (database, count, distinct) in [(few, 50, 3), (many, 100, 80), (alike, 5, 2)] {
        let mut picked = BTreeSet::new();
        for _ in 0..count {
            picked.insert(random::pick(&database).await.unwrap().unwrap());
        }
        assert!(picked.len() >= distinct, "{} of {count}", picked.len());
        let last = picked.last().unwrap();
        assert!(distinct < 80 || last.as_bytes() > &b"key:02000"[..], "{last:?}");
    }
}
