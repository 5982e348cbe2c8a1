//! Nothing that is damaged on the disk is served, and nothing goes missing without a word.
//!
//! A small data directory is built, its bytes are changed, files are cut short and taken away, one at a time, and the
//! engine is opened on it. Each time it refuses with the place, or a read of what is damaged is an error, or everything
//! is as it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use switchboard_engine::keys::{Scan, Write};
use switchboard_engine::{Bucket, Durability, Engine, EngineError, Key, ManualClock, Timestamp};
use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions, OpenError};
use tempfile::TempDir;

/// How many changes are tried on each file: with `SWITCHBOARD_DAMAGES=1000000`, every byte.
fn tries() -> usize {
    let asked = std::env::var("SWITCHBOARD_DAMAGES");
    asked.ok().and_then(|tries| tries.parse().ok()).unwrap_or(16)
}

/// What was written: values by bucket and key.
type Expected = BTreeMap<(String, Vec<u8>), Vec<u8>>;

/// The files of a directory, without the zeros at their ends, and their lengths.
#[derive(Clone)]
struct Files(BTreeMap<PathBuf, (Vec<u8>, u64)>);

impl Files {
    fn read(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        Self::read_into(root, Path::new(""), &mut files);
        Self(files)
    }

    fn read_into(root: &Path, below: &Path, files: &mut BTreeMap<PathBuf, (Vec<u8>, u64)>) {
        for entry in fs::read_dir(root.join(below)).unwrap() {
            let entry = entry.unwrap();
            let path = below.join(entry.file_name());
            if entry.path().is_dir() {
                Self::read_into(root, &path, files);
                continue;
            }
            let mut bytes = fs::read(entry.path()).unwrap();
            let length = bytes.len() as u64;
            let used = bytes
                .iter()
                .rposition(|byte| *byte != 0)
                .map_or(0, |last| last + 1);
            bytes.truncate(used);
            files.insert(path, (bytes, length));
        }
    }

    fn write(&self) -> TempDir {
        let directory = TempDir::new().unwrap();
        for (path, (bytes, length)) in &self.0 {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
            fs::OpenOptions::new()
                .write(true)
                .open(&path)
                .unwrap()
                .set_len(*length)
                .unwrap();
        }
        directory
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.0.keys().cloned().collect()
    }
}

fn options(path: &Path) -> EmbeddedOptions {
    EmbeddedOptions {
        durability: Durability::Never,
        clock: Arc::new(ManualClock::at(Timestamp::from_millis(1_000))),
        ..EmbeddedOptions::new(DataDir::Path(path.to_owned()))
    }
}

fn bucket(name: &str) -> Bucket {
    Bucket::new(name.to_owned()).unwrap()
}

/// A directory with tables and a journal, as a process that was killed leaves it.
async fn build() -> (Files, Expected) {
    let directory = TempDir::new().unwrap();
    let mut expected = Expected::new();
    for generation in 0..3_u8 {
        let engine = Embedded::open(options(directory.path())).unwrap();
        // The last generation leaves half of the keys as they are, in tables.
        for number in (0..60_u8).filter(|number| generation < 2 || number % 2 == 0) {
            let name = if number % 3 == 0 { "default" } else { "other" };
            let key = format!("key {number:02}").into_bytes();
            let handle = Key::new(key.clone()).unwrap();
            let write = match (number + generation) % 5 {
                0 => Write::delete(),
                1 => Write::put(vec![generation; 20_000]),
                _ => Write::put(format!("value {number} of {generation}")),
            };
            match &write.change {
                switchboard_engine::keys::Change::Put(value) => {
                    expected.insert((name.to_owned(), key), value.to_vec())
                }
                _ => expected.remove(&(name.to_owned(), key)),
            };
            engine.keys().write(&bucket(name), handle, write).await.unwrap();
            if number % 10 == 9 {
                engine.flush().await.unwrap();
            }
        }
        if generation == 2 {
            engine.flush().await.unwrap();
            let files = Files::read(directory.path());
            return (files, expected);
        }
        engine.close().await.unwrap();
    }
    unreachable!("the last generation is not closed")
}

/// What came of opening.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Refused,
    SomeDamaged,
    AllThere,
}

/// Opens, and compares all that can be read with what was written.
async fn judge(files: &Files, expected: &Expected, what: &str) -> Outcome {
    let directory = files.write();
    let engine = match Embedded::open(options(directory.path())) {
        Ok(engine) => engine,
        Err(error) => {
            let text = error.to_string();
            let place = directory.path().to_str().unwrap();
            assert!(text.contains(place), "{what}: {text:?} does not say where");
            assert!(
                matches!(error, OpenError::Damaged { .. } | OpenError::OtherFormat { .. }),
                "{what}: {error:?}"
            );
            return Outcome::Refused;
        }
    };
    let mut outcome = Outcome::AllThere;
    for name in ["default", "other"] {
        for number in 0..60 {
            let key = format!("key {number:02}").into_bytes();
            let there = expected.get(&(name.to_owned(), key.clone()));
            match engine.keys().get(&bucket(name), &key).await {
                Ok(entry) => {
                    let value = entry.map(|entry| entry.value.to_vec());
                    assert!(
                        value.as_ref() == there,
                        "{what}: {name}/key {number:02} is another one"
                    );
                }
                Err(EngineError::Damaged(text)) => {
                    assert!(
                        text.contains(name) && text.contains(&format!("key {number:02}")),
                        "{text}"
                    );
                    outcome = Outcome::SomeDamaged;
                }
                Err(other) => panic!("{what}: {other:?}"),
            }
        }
        outcome = outcome.min(scan(&engine, name, expected, what).await);
    }
    engine.close().await.ok();
    outcome
}

async fn scan(engine: &Embedded, name: &str, expected: &Expected, what: &str) -> Outcome {
    let scan = Scan {
        values: true,
        ..Scan::default()
    };
    match engine.keys().scan(&bucket(name), scan).await {
        Ok(page) => {
            let seen = page.entries.into_iter();
            let seen: Expected = seen
                .map(|(key, entry)| ((name.to_owned(), key.as_bytes().to_vec()), entry.value.to_vec()))
                .collect();
            let there = expected.iter().filter(|((bucket, _), _)| bucket == name);
            assert!(
                seen.iter().eq(there),
                "{what}: a scan of {name} shows something else"
            );
            Outcome::AllThere
        }
        Err(EngineError::Damaged(text)) => {
            assert!(text.contains(name), "{what}: {text}");
            Outcome::SomeDamaged
        }
        Err(other) => panic!("{what}: {other:?}"),
    }
}

/// Numbers below `end`, spread over the whole range, its ends among them.
fn spread(end: usize, tries: usize) -> Vec<usize> {
    let step = end.div_ceil(tries).max(1);
    let mut numbers: Vec<usize> = (0..end).step_by(step).collect();
    if end > 0 {
        numbers.push(end - 1);
    }
    numbers
}

fn summary(outcomes: &BTreeMap<(String, Outcome), usize>) -> String {
    let lines = outcomes.iter();
    lines
        .map(|((file, outcome), count)| format!("{count:6} {outcome:?} {file}\n"))
        .collect()
}

#[tokio::test]
async fn a_directory_that_is_whole_is_read() {
    let (files, expected) = build().await;
    assert_eq!(judge(&files, &expected, "nothing").await, Outcome::AllThere);
}

#[tokio::test]
async fn a_flipped_bit_anywhere_is_found_or_harmless() {
    let (files, expected) = build().await;
    let mut outcomes = BTreeMap::new();
    for path in files.paths() {
        let length = files.0[&path].0.len();
        for place in spread(length, tries()) {
            let mut files = files.clone();
            let bit = 1 << (place % 8);
            files.0.get_mut(&path).unwrap().0[place] ^= bit;
            let what = format!("bit {bit:#x} of byte {place} of {length} in {}", path.display());
            let outcome = judge(&files, &expected, &what).await;
            *outcomes.entry((path.display().to_string(), outcome)).or_insert(0) += 1;
        }
    }
    println!("{}", summary(&outcomes));
}

#[tokio::test]
async fn a_file_cut_short_is_found_or_harmless() {
    let (files, expected) = build().await;
    let mut outcomes = BTreeMap::new();
    for path in files.paths() {
        let length = files.0[&path].0.len();
        for place in spread(length, tries()) {
            let mut files = files.clone();
            let file = files.0.get_mut(&path).unwrap();
            file.0.truncate(place);
            file.1 = place as u64;
            let what = format!("{} cut after byte {place} of {length}", path.display());
            let outcome = judge(&files, &expected, &what).await;
            *outcomes.entry((path.display().to_string(), outcome)).or_insert(0) += 1;
        }
    }
    println!("{}", summary(&outcomes));
}

#[tokio::test]
async fn a_missing_file_is_found_or_harmless() {
    let (files, expected) = build().await;
    let mut outcomes = BTreeMap::new();
    for path in files.paths() {
        let mut files = files.clone();
        files.0.remove(&path);
        let outcome = judge(&files, &expected, &format!("{} is missing", path.display())).await;
        *outcomes.entry((path.display().to_string(), outcome)).or_insert(0) += 1;
    }
    println!("{}", summary(&outcomes));
}
