//! Writing, replacing and deleting.

use bytes::Bytes;
use bytestring::ByteString;
use switchboard_engine::names::BLOB_NAME_BYTES_MAX;
use switchboard_engine::{Bucket, EngineError};
use tokio::task::JoinSet;

use super::{BIG, PART, Shelf, rest, sha256};
use crate::TestBed;
use crate::tools::{millis, noise, soon};

/// A blob comes back as it was written, with its size, its SHA-256, its media type and when it was put; whatever its
/// size, empty and large ones too.
pub async fn a_blob_comes_back_as_it_was_written(bed: &mut dyn TestBed) {
    let shelf = Shelf::new(bed);
    for bytes in [0, 1, PART - 1, PART, PART + 1, BIG] {
        let content = noise(bytes, bytes as u64 + 1);
        let begun = bed.now();
        let told = shelf.put("a", &content).await;
        let put = begun..=bed.now();
        assert_eq!((&told.name[..], told.size), ("a", bytes as u64));
        assert_eq!(told.sha256, sha256(&content));
        assert_eq!(told.content_type, None);
        assert!(put.contains(&told.created), "{told:?}");
        assert_eq!(shelf.info("a").await, Some(told.clone()));
        assert_eq!(shelf.list("", None, 10).await, std::slice::from_ref(&told));
        assert_eq!(shelf.open("a", None).await.map(|reader| reader.info), Some(told));
        assert!(
            shelf.read("a").await.as_ref() == Some(&content),
            "a blob of {bytes} bytes"
        );
    }
}

/// The media type is kept; empty parts add nothing.
pub async fn a_blob_may_have_a_content_type(bed: &mut dyn TestBed) {
    let shelf = Shelf::new(bed);
    let mut writer = shelf.begin("a", Some("text/plain")).await.expect("beginning");
    for part in ["", "one", "", " two", ""] {
        soon("writing", writer.write(part.into())).await.expect("writing");
    }
    let told = soon("finishing", writer.finish()).await.expect("finishing");
    assert_eq!(told.content_type.as_deref(), Some("text/plain"));
    assert_eq!(shelf.info("a").await, Some(told));
    assert_eq!(shelf.read("a").await, Some("one two".into()));
}

/// A blob is not there before it is finished: until then readers see the one before it, or none.
pub async fn a_blob_is_visible_when_it_is_finished(bed: &mut dyn TestBed) {
    let shelf = Shelf::new(bed);
    let new = noise(BIG / 10, 1);
    let writer = shelf.half("a", &new).await;
    assert_eq!(shelf.info("a").await, None);
    assert!(shelf.open("a", None).await.is_none());
    assert_eq!(shelf.names().await, [""; 0]);
    assert!(!shelf.is_listed().await && !shelf.delete("a").await);
    let first = soon("finishing", writer.finish()).await.expect("finishing");
    assert_eq!(shelf.info("a").await, Some(first.clone()));

    let old = new;
    let new = noise(BIG / 10 + 5, 2);
    let writer = shelf.half("a", &new).await;
    assert_eq!(shelf.info("a").await, Some(first));
    assert!(shelf.read("a").await == Some(old));
    soon("finishing", writer.finish()).await.expect("finishing");
    assert!(shelf.read("a").await == Some(new));
    assert_eq!(shelf.names().await, ["a"]);
}

/// Dropping a writer leaves nothing behind, and what was there before stays.
pub async fn a_dropped_writer_leaves_nothing(bed: &mut dyn TestBed) {
    let shelf = Shelf::new(bed);
    let content = noise(BIG / 10, 3);
    drop(shelf.begin("never", None).await);
    drop(shelf.half("never", &content).await);
    assert_eq!(shelf.info("never").await, None);
    assert!(!shelf.is_listed().await);

    let kept = shelf.put("kept", &"kept".into()).await;
    drop(shelf.half("kept", &content).await);
    assert_eq!(shelf.list("", None, 10).await, [kept]);
    assert_eq!(shelf.read("kept").await, Some("kept".into()));
}

/// Of many who write one name at once, the last to finish wins, and nothing is mixed.
pub async fn concurrent_writers_mix_nothing(bed: &mut dyn TestBed) {
    let shelf = Shelf::new(bed);
    let contents: Vec<Bytes> = (0..8)
        .map(|number| noise(PART * 2 + number, number as u64))
        .collect();
    let mut tasks = JoinSet::new();
    for content in contents.clone() {
        let (shelf, contents) = (shelf.clone(), contents.clone());
        tasks.spawn(async move {
            for _ in 0..3 {
                shelf.put("a", &content).await;
                // A reader whose blob was replaced may get an error instead of the rest.
                let reader = shelf.open("a", None).await.expect("somebody's blob is there");
                if let Ok(seen) = rest(reader).await {
                    assert!(
                        contents.contains(&seen),
                        "nobody wrote these {} bytes",
                        seen.len()
                    );
                }
            }
        });
    }
    while let Some(written) = soon("the end of a writer", tasks.join_next()).await {
        written.expect("a writer");
    }
    let seen = shelf.read("a").await.expect("it was put");
    let info = shelf.info("a").await.expect("it was put");
    assert!(contents.contains(&seen));
    assert_eq!((info.size, info.sha256), (seen.len() as u64, sha256(&seen)));
}

/// A deleted blob is gone, and can be deleted once; a bucket is listed for as long as it holds a blob.
pub async fn a_deleted_blob_is_gone(bed: &mut dyn TestBed) {
    let shelf = Shelf::new(bed);
    assert!(!shelf.delete("a").await && !shelf.is_listed().await);
    shelf.put("a", &"1".into()).await;
    shelf.put("b", &"2".into()).await;
    assert!(shelf.is_listed().await);
    assert!(shelf.delete("a").await);
    assert!(!shelf.delete("a").await);
    assert_eq!(shelf.info("a").await, None);
    assert_eq!(shelf.read("a").await, None);
    assert_eq!(shelf.names().await, ["b"]);
    assert!(shelf.delete("b").await);
    assert!(!shelf.is_listed().await);
    shelf.put("a", &"3".into()).await;
    assert_eq!(shelf.read("a").await, Some("3".into()));
}

/// Names are any text of up to 4095 bytes but NUL: what looks like a path is none, and case matters.
pub async fn names_are_any_text(bed: &mut dyn TestBed) {
    let shelf = Shelf::new(bed);
    let longest = "ä".repeat(BLOB_NAME_BYTES_MAX / 2) + "x";
    let mut names = vec![
        "a",
        "A",
        "a/b",
        "a/",
        "/",
        "/a",
        ".",
        "..",
        "../../a",
        "a b",
        "a.b",
        "a*",
        ">",
        "%2F",
        "\\",
        "C:",
        "\n",
        "ä",
        "a\u{308}",
        "😀",
        "CON",
        longest.as_str(),
    ];
    for name in &names {
        shelf.put(name, &Bytes::copy_from_slice(name.as_bytes())).await;
    }
    for name in &names {
        assert_eq!(
            shelf.read(name).await.as_deref(),
            Some(name.as_bytes()),
            "{name:?}"
        );
    }
    names.sort();
    assert_eq!(shelf.names().await, names);
    for name in &names {
        assert!(shelf.delete(name).await, "{name:?}");
    }
    assert!(!shelf.is_listed().await);
}

/// What is no name is invalid to put, and not there.
pub async fn illegal_names_are_invalid(bed: &mut dyn TestBed) {
    let shelf = Shelf::new(bed);
    for name in ["", "a\0", &"x".repeat(BLOB_NAME_BYTES_MAX + 1)] {
        let outcome = shelf.begin(name, None).await;
        assert!(matches!(outcome, Err(EngineError::Invalid(_))), "{name:?}");
        let blobs = shelf.engine.blobs();
        let asked = soon("an info", blobs.info(&shelf.bucket, name)).await;
        assert!(
            matches!(asked, Ok(None) | Err(EngineError::Invalid(_))),
            "{name:?}"
        );
        let deleted = soon("a deletion", blobs.delete(&shelf.bucket, name)).await;
        assert!(
            matches!(deleted, Ok(false) | Err(EngineError::Invalid(_))),
            "{name:?}"
        );
    }
    assert!(!shelf.is_listed().await);
}

/// Buckets are apart, and have nothing to do with those of keys.
pub async fn buckets_of_blobs_are_apart(bed: &mut dyn TestBed) {
    let one = Shelf::new(bed);
    let longer = Bucket::new(format!("{}.a", one.bucket)).expect("a plain name");
    let other = Shelf::at(bed, longer);
    one.put("a", &"1".into()).await;
    other.put("a", &"2".into()).await;
    assert!(one.delete("a").await);
    assert_eq!(other.read("a").await, Some("2".into()));
    assert!(!one.is_listed().await && other.is_listed().await);
    let keys = soon("the buckets", other.engine.keys().buckets())
        .await
        .expect("listing");
    assert!(!keys.contains(&other.bucket));
}

/// Blobs that were finished are there after a reopening; writers of before are not.
pub async fn blobs_outlast_reopening(bed: &mut dyn TestBed) {
    if !bed.abilities().outlasts_its_process {
        return;
    }
    let shelf = Shelf::new(bed);
    let content = noise(BIG / 10, 4);
    let told = shelf.put("a", &content).await;
    shelf.put("empty", &Bytes::new()).await;
    drop(shelf.half("half", &content).await);
    shelf.put("deleted", &content).await;
    shelf.delete("deleted").await;
    let bucket = shelf.bucket.clone();
    drop(shelf);
    bed.reopen().await;
    let shelf = Shelf::at(bed, bucket);
    assert_eq!(shelf.info("a").await, Some(told));
    assert!(shelf.read("a").await == Some(content));
    assert_eq!(shelf.names().await, ["a", "empty"]);
    assert!(shelf.is_listed().await);
}

/// After the end of the process, blobs that were finished and flushed are there whole, and what was half written is
/// not.
pub async fn finished_blobs_outlast_a_crash(bed: &mut dyn TestBed) {
    if !bed.abilities().outlasts_its_process {
        return;
    }
    let shelf = Shelf::new(bed);
    let old = noise(BIG / 10, 5);
    let told = shelf.put("a", &old).await;
    soon("a flush", shelf.engine.flush()).await.expect("flushing");
    let half = shelf.half("a", &noise(BIG / 10, 6)).await;
    let never = shelf.half("never", &noise(BIG / 10, 7)).await;
    let bucket = shelf.bucket.clone();
    drop(shelf);
    bed.crash_and_reopen().await;
    let shelf = Shelf::at(bed, bucket);
    assert_eq!(shelf.list("", None, 10).await, [told]);
    assert!(shelf.read("a").await == Some(old));
    // What the writers of before do now concerns nobody.
    drop((half, never));
    bed.pass(millis(1)).await;
    let expected: [ByteString; 1] = ["a".into()];
    assert_eq!(shelf.names().await, expected);
}
