//! Edits: on copies of what there is, all in one step.

use std::collections::BTreeMap;
use std::time::Duration;

use switchboard_engine::keys::{Cell, Cells, Change, Edit, Entry, Expiry, Outcome, Reach, Write};
use switchboard_engine::names::check_value;
use switchboard_engine::{Answer, Bucket, Key, Result, Timestamp};

use super::flaw::Flaw;
use super::state::Kept;
use super::world::Reference;

/// How long a mutant leaves an edit half done.
const STEP: Duration = Duration::from_millis(1);

type Entries = BTreeMap<Key, Entry>;

impl Reference {
    pub fn run(&self, bucket: &Bucket, mut edit: Box<dyn Edit>) -> Answer<Box<dyn Edit>> {
        let flaw = self.world.flaw;
        if matches!(flaw, Flaw::EditApart | Flaw::HalfEdit) {
            return self.run_in_steps(bucket.clone(), edit);
        }
        self.look(|state| {
            let now = state.now;
            let kept = state.buckets.entry(bucket.clone()).or_default();
            let entries = kept.entries.clone();
            let before_all = kept.clone();
            for (key, write) in writes(&mut *edit, &entries, now, flaw)? {
                if let Err(error) = kept.write(&key, write, now, flaw) {
                    *kept = before_all;
                    return Err(error);
                }
            }
            Ok(edit)
        })
    }

    fn run_in_steps(&self, bucket: Bucket, mut edit: Box<dyn Edit>) -> Answer<Box<dyn Edit>> {
        let engine = self.clone();
        Answer::later(async move {
            let flaw = engine.world.flaw;
            let read = |kept: &Kept| kept.entries.clone();
            let writes = engine.try_look(|state| {
                let entries = state.buckets.get(&bucket).map(read).unwrap_or_default();
                writes(&mut *edit, &entries, state.now, flaw)
            })?;
            for (key, write) in writes {
                tokio::time::sleep(STEP).await;
                engine.try_look(|state| {
                    let now = state.now;
                    let kept = state.buckets.entry(bucket.clone()).or_default();
                    kept.write(&key, write, now, flaw)
                })?;
            }
            Ok(edit)
        })
    }
}

/// What an edit makes of what there is.
fn writes(edit: &mut dyn Edit, entries: &Entries, now: Timestamp, flaw: Flaw) -> Result<Vec<(Key, Write)>> {
    let mut cells = match edit.reach() {
        Reach::Any => Cells::new(now, Some(Box::new(|key| Cell::of_entry(entries.get(key))))),
        Reach::Keys(keys) => {
            let mut cells = Cells::new(now, None);
            for key in keys {
                cells.add(key.clone(), Cell::of_entry(entries.get(key))?);
            }
            cells
        }
    };
    edit.run(&mut cells);
    let mut writes = Vec::new();
    for (key, cell) in cells.into_cells() {
        let (change, expires) = match cell.into_outcome(now) {
            Outcome::Same if flaw == Flaw::WritesWhatItSaw => {
                writes.push((key, Write::change(Change::Touch)));
                continue;
            }
            Outcome::Same => continue,
            // What it had stays, instead of nothing.
            Outcome::Removed if flaw == Flaw::KeepsEmpty => (Change::Touch, None),
            Outcome::Removed => (Change::Delete, None),
            Outcome::Plain { value, expires } => {
                check_value(value.as_ref().map_or(0, bytes::Bytes::len))?;
                (value.map_or(Change::Touch, Change::Put), expires)
            }
            Outcome::Structure {
                is_replaced: false,
                expires,
                ..
            } if flaw == Flaw::LosesLog => (Change::Touch, expires),
            Outcome::Structure { content, expires, .. } => {
                let Some(structure) = content.structure() else {
                    continue;
                };
                let encoded = structure.encode().into();
                let kind = structure.kind();
                (Change::PutStructure { kind, encoded }, expires)
            }
        };
        let expiry = expires.map_or(Expiry::Never, Expiry::At);
        writes.push((key, Write::change(change).expiring(expiry)));
    }
    Ok(writes)
}
