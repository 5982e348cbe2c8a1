//! Directories that can be opened, and those that cannot: what is said, and that nothing is changed.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use switchboard_engine::keys::{Condition, Revision, Write, Written};
use switchboard_engine::{Bucket, Durability, Engine, Key};
use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions, OpenError};
use tempfile::TempDir;

fn options(path: &Path) -> EmbeddedOptions {
    EmbeddedOptions::new(DataDir::Path(path.to_owned()))
}

fn refusal(path: &Path) -> OpenError {
    Embedded::open(options(path)).expect_err("it cannot be opened")
}

async fn put(engine: &Embedded, name: &str, value: &str) -> Revision {
    let key = Key::new(name.to_owned()).unwrap();
    let written = engine
        .keys()
        .write(&Bucket::default(), key, Write::put(value.to_owned()));
    match written.await.unwrap() {
        Written::Done { after, .. } => after.unwrap().revision,
        unmet => panic!("{unmet:?}"),
    }
}

async fn value(engine: &Embedded, name: &str) -> Option<String> {
    let entry = engine
        .keys()
        .get(&Bucket::default(), name.as_bytes())
        .await
        .unwrap();
    entry.map(|entry| String::from_utf8(entry.value.to_vec()).unwrap())
}

#[tokio::test]
async fn a_second_one_is_refused_while_the_first_is_open() {
    let directory = TempDir::new().unwrap();
    let first = Embedded::open(options(directory.path())).unwrap();
    let error = refusal(directory.path());
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    assert!(
        error.to_string().contains(directory.path().to_str().unwrap()),
        "{error}"
    );
    put(&first, "a", "1").await;
    first.close().await.unwrap();
    assert_eq!(
        value(&Embedded::open(options(directory.path())).unwrap(), "a")
            .await
            .unwrap(),
        "1"
    );
}

#[tokio::test]
async fn dropping_it_is_closing_it() {
    let directory = TempDir::new().unwrap();
    let engine = Embedded::open(options(directory.path())).unwrap();
    put(&engine, "a", "1").await;
    tokio::task::spawn_blocking(|| drop(engine)).await.unwrap();
    let engine = Embedded::open(options(directory.path())).unwrap();
    assert_eq!(value(&engine, "a").await.unwrap(), "1");
}

#[tokio::test]
async fn an_older_format_is_made_the_newest() {
    let directory = TempDir::new().unwrap();
    let engine = Embedded::open(options(directory.path())).unwrap();
    put(&engine, "a", "1").await;
    engine.close().await.unwrap();
    drop(engine);
    let format = directory.path().join("format");
    let newest = fs::read_to_string(&format).unwrap();
    fs::write(&format, "switchboard data 1\n").unwrap();
    let engine = Embedded::open(options(directory.path())).unwrap();
    assert_eq!(value(&engine, "a").await.unwrap(), "1");
    assert_eq!(fs::read_to_string(&format).unwrap(), newest);
}

#[test]
fn another_format_is_refused_with_what_to_do() {
    let directory = TempDir::new().unwrap();
    drop(Embedded::open(options(directory.path())).unwrap());
    fs::write(directory.path().join("format"), "switchboard data 7\n").unwrap();
    let error = refusal(directory.path());
    assert!(
        matches!(error, OpenError::OtherFormat { found: 7, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("export"), "{error}");
    for nonsense in ["", "switchboard data x", "something else"] {
        fs::write(directory.path().join("format"), nonsense).unwrap();
        assert!(
            matches!(refusal(directory.path()), OpenError::Damaged { .. }),
            "{nonsense:?}"
        );
    }
}

#[test]
fn where_nothing_can_be_written_is_said() {
    // Not even root can write there.
    for path in ["/proc/self", "/proc/self/data"] {
        let error = refusal(Path::new(path));
        assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
        assert!(error.to_string().contains(path), "{error}");
    }
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(refusal(&file), OpenError::Io { .. }));
}

#[tokio::test]
async fn a_creation_that_did_not_finish_is_begun_anew() {
    let directory = TempDir::new().unwrap();
    drop(Embedded::open(options(directory.path())).unwrap());
    fs::remove_file(directory.path().join("format")).unwrap();
    // Closing an engine writes that it was closed, so this one is not as it was created.
    assert!(matches!(refusal(directory.path()), OpenError::Damaged { .. }));

    let directory = TempDir::new().unwrap();
    let engine = Embedded::open(options(directory.path())).unwrap();
    let copy = TempDir::new().unwrap();
    for name in ["mark", "lock"] {
        fs::copy(directory.path().join(name), copy.path().join(name)).unwrap();
    }
    fs::create_dir(copy.path().join("store")).unwrap();
    fs::write(copy.path().join("store/version"), "half").unwrap();
    drop(engine);
    let engine = Embedded::open(options(copy.path())).unwrap();
    put(&engine, "a", "1").await;
}

/// What a process leaves that was killed now, and what a loss of power leaves that keeps less than the system was
/// given: the mark of an earlier moment, and a journal that ends anywhere.
async fn with_an_unsynced_end() -> (TempDir, u64, u64) {
    let directory = TempDir::new().unwrap();
    let mut options = options(directory.path());
    options.durability = Durability::Never;
    let engine = Embedded::open(options).unwrap();
    let journal_bytes = || {
        let bytes = fs::read(directory.path().join("store/0.jnl")).unwrap();
        bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1) as u64
    };
    put(&engine, "synced", "1").await;
    engine.flush().await.unwrap();
    let synced = journal_bytes();
    let mark = fs::read(directory.path().join("mark")).unwrap();
    put(&engine, "unsynced", "1").await;
    engine.clear_up().await.unwrap();
    let written = journal_bytes();
    assert!(written > synced);

    let left = TempDir::new().unwrap();
    copy_all(directory.path(), left.path());
    fs::write(left.path().join("mark"), mark).unwrap();
    (left, synced, written)
}

fn copy_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

fn journal(directory: &Path) -> fs::File {
    fs::OpenOptions::new()
        .write(true)
        .open(directory.join("store/0.jnl"))
        .unwrap()
}

#[tokio::test]
async fn a_torn_end_is_repaired() {
    let (left, synced, written) = with_an_unsynced_end().await;
    for end in [synced, synced + 1, synced + 20, written - 1, written] {
        let copy = TempDir::new().unwrap();
        copy_all(left.path(), copy.path());
        // The length was written, the last bytes were not.
        journal(copy.path()).set_len(end).unwrap();
        journal(copy.path()).set_len(1_000_000).unwrap();
        let engine = Embedded::open(options(copy.path())).unwrap();
        assert_eq!(value(&engine, "synced").await.unwrap(), "1");
        assert_eq!(value(&engine, "unsynced").await.is_some(), end == written);
        let revision = put(&engine, "more", "2").await;
        assert!(revision > Revision(2), "{revision} may have been given before");
        engine.close().await.unwrap();
        assert_eq!(
            value(&Embedded::open(options(copy.path())).unwrap(), "more")
                .await
                .unwrap(),
            "2"
        );
    }
}

#[tokio::test]
async fn what_was_synced_is_missed_unless_its_loss_is_accepted() {
    let (left, synced, _) = with_an_unsynced_end().await;
    journal(left.path()).write_all_at(b"x", synced / 2).unwrap();
    for _ in 0..2 {
        let error = refusal(left.path()).to_string();
        assert!(error.contains("0.jnl") && error.contains("byte"), "{error}");
    }
    let accepting = EmbeddedOptions {
        accept_loss: true,
        ..options(left.path())
    };
    let engine = Embedded::open(accepting).unwrap();
    assert_eq!(value(&engine, "unsynced").await, None);
    put(&engine, "more", "2").await;
    engine.close().await.unwrap();
    drop(engine);
    let engine = Embedded::open(options(left.path())).unwrap();
    assert_eq!(value(&engine, "more").await.unwrap(), "2");
}

#[tokio::test]
async fn revisions_that_were_lost_are_not_given_again() {
    let (left, synced, _) = with_an_unsynced_end().await;
    journal(left.path()).set_len(synced).unwrap();
    let engine = Embedded::open(options(left.path())).unwrap();
    put(&engine, "unsynced", "another").await;
    let stale = Write::put("overwritten").when(Condition::At(Revision(2)));
    let key = Key::new("unsynced").unwrap();
    let outcome = engine.keys().write(&Bucket::default(), key, stale).await.unwrap();
    assert!(matches!(outcome, Written::Unmet { .. }), "{outcome:?}");
}

#[test]
fn nothing_is_left_of_a_state_in_memory() {
    let engine = Embedded::open(EmbeddedOptions::new(DataDir::Memory)).unwrap();
    assert!(
        engine.description().contains("memory"),
        "{}",
        engine.description()
    );
    drop(Arc::clone(&engine));
}
