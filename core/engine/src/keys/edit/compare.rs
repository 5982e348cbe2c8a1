//! Edits by comparing and setting: for engines that have no way of their own.

use std::time::Duration;

use super::{Cell, Cells, Content, Edit, Outcome, Reach};
use crate::keys::{BatchOutcome, Change, Condition, Entry, Expiry, Write, Written};
use crate::{Bucket, EngineError, Key, Keys, Kind, Result, Timestamp};

/// How often an edit begins again because its keys were changed meanwhile.
const TRIES: usize = 200;

/// Longest pause before it begins again.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// How long to wait when it began again too often.
const CONTENTION_WAIT: Duration = Duration::from_millis(100);

/// Runs an edit on what was read, and writes what it changed if nothing else was changed meanwhile: with one
/// [write](Keys::write) for one key, with a [batch](Keys::batch) for several.
///
/// # Errors
/// Unsupported, when it reaches any key, or changes several where the engine has no batches; unavailable, when its keys
/// are changed by others all the time; else as those.
pub async fn edit_by_compare(
    keys: &dyn Keys,
    bucket: &Bucket,
    mut edit: Box<dyn Edit>,
    now: impl Fn() -> Timestamp,
) -> Result<Box<dyn Edit>> {
    let Reach::Keys(reached) = edit.reach() else {
        return Err(EngineError::Unsupported(
            "this engine changes only keys that are named before".to_owned(),
        ));
    };
    let mut reached = reached.to_vec();
    reached.sort_unstable();
    reached.dedup();
    for attempt in 0..TRIES {
        let entries = keys.get_many(bucket, &reached).await?;
        let writes = run(&mut *edit, &reached, &entries, now())?;
        if writes.is_empty() || write(keys, bucket, writes).await? {
            return Ok(edit);
        }
        let pause = Duration::from_millis(1 << attempt.min(6)).min(PAUSE_MAX);
        tokio::time::sleep(pause.mul_f64(fastrand::f64())).await;
    }
    Err(EngineError::unavailable(
        CONTENTION_WAIT,
        "the keys are changed by others all the time",
    ))
}

/// Runs an edit that changes nothing on what was read.
///
/// # Errors
/// Damaged, when a structure is.
pub fn look_at_entries(
    edit: &mut dyn Edit,
    keys: &[Key],
    entries: &[Option<Entry>],
    now: Timestamp,
) -> Result<()> {
    let mut cells = Cells::new(now, None);
    for (key, entry) in keys.iter().zip(entries) {
        cells.add(key.clone(), Cell::of_entry(entry.as_ref())?);
    }
    edit.run(&mut cells);
    Ok(())
}

/// Runs an edit, and tells what it changes. A key that it only looked at is compared, if others are changed.
fn run(
    edit: &mut dyn Edit,
    keys: &[Key],
    entries: &[Option<Entry>],
    now: Timestamp,
) -> Result<Vec<(Key, Write)>> {
    let mut cells = Cells::new(now, None);
    for (key, entry) in keys.iter().zip(entries) {
        cells.add(key.clone(), Cell::of_entry(entry.as_ref())?);
    }
    edit.run(&mut cells);
    let mut writes = Vec::new();
    let mut looked_at = Vec::new();
    for (key, cell) in cells.into_cells() {
        let condition = cell.revision().map_or(Condition::Absent, Condition::At);
        let change = match cell.into_outcome(now) {
            Outcome::Same => {
                looked_at.push((key, Write::change(Change::Touch).when(condition)));
                continue;
            }
            Outcome::Removed => Write::delete(),
            Outcome::Plain { value: None, expires } => Write::change(Change::Touch).expiring(expiry(expires)),
            Outcome::Plain {
                value: Some(value),
                expires,
            } => Write::put(value).expiring(expiry(expires)),
            Outcome::Structure { content, expires, .. } => {
                Write::change(encoded(&content)).expiring(expiry(expires))
            }
        };
        writes.push((key, change.when(condition)));
    }
    if !writes.is_empty() {
        writes.append(&mut looked_at);
    }
    Ok(writes)
}

fn encoded(content: &Content<'_>) -> Change {
    let (kind, encoded) = content
        .structure()
        .map_or((Kind::Plain, Vec::new()), |structure| {
            (structure.kind(), structure.encode())
        });
    Change::PutStructure {
        kind,
        encoded: encoded.into(),
    }
}

fn expiry(expires: Option<Timestamp>) -> Expiry {
    expires.map_or(Expiry::Never, Expiry::At)
}

/// Whether nothing was changed meanwhile.
async fn write(keys: &dyn Keys, bucket: &Bucket, mut writes: Vec<(Key, Write)>) -> Result<bool> {
    if writes.len() > 1 {
        return Ok(matches!(keys.batch(bucket, writes).await?, BatchOutcome::Done(_)));
    }
    match writes.pop() {
        Some((key, write)) => Ok(matches!(
            keys.write(bucket, key, write).await?,
            Written::Done { .. }
        )),
        None => Ok(true),
    }
}
