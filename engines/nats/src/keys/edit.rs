//! Edits: run on what was read, and written if nothing of that was changed meanwhile.

use switchboard_engine::keys::{Cell, Cells, Edit, Entry, Outcome, Reach, Revision};
use switchboard_engine::{Bucket, EngineError, Key, Kind, Result, Timestamp};

use super::batch::{Going, room_beside};
use super::record::Writer;
use super::{CONFLICTS_MAX, Current, Shared, contended};
use crate::link::{Committed, Outgoing};
use crate::names::{Family, Stream};

/// What an edit comes to.
#[derive(Default)]
struct Plan {
    /// What is changed, and after that what was only looked at and has to be as it was.
    messages: Vec<Outgoing>,
    /// The keys that go.
    absent: Vec<Going>,
}

impl Shared {
    pub(super) async fn edit(&self, bucket: &Bucket, mut edit: Box<dyn Edit>) -> Result<Box<dyn Edit>> {
        let is_named = matches!(edit.reach(), Reach::Keys(_)) || edit.narrow();
        let (true, Reach::Keys(keys)) = (is_named, edit.reach()) else {
            return Err(EngineError::Unsupported(
                "state in a NATS cluster is changed only by keys that are named before".to_owned(),
            ));
        };
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys.dedup();
        if !edit.changes() {
            let current = self.current(Family::Values, bucket, &keys).await?;
            self.run(bucket, &mut *edit, &keys, current)?;
            return Ok(edit);
        }
        let register = self.link.names.bucket(Family::Values, bucket);
        self.register.add(&self.link, Stream::Keys, &register).await?;
        let _waiting = self.lock_all(&keys).await;
        let mut is_newest = !self.link.has_copies();
        for conflict in 0..CONFLICTS_MAX {
            let current = self.current(Family::Values, bucket, &keys).await?;
            let plan = self.run(bucket, &mut *edit, &keys, current)?;
            if plan.messages.is_empty() && is_newest {
                return Ok(edit);
            }
            if plan.messages.is_empty() {
                // Another hub may have written what this copy has not yet.
                self.link.catch_up(Stream::Keys).await?;
                is_newest = true;
                continue;
            }
            if self.store(bucket, &plan).await? {
                // The cluster may have come back empty in between.
                self.register.add(&self.link, Stream::Keys, &register).await?;
                return Ok(edit);
            }
            self.after_conflict(conflict).await?;
            is_newest = true;
        }
        Err(contended(&self.link))
    }

    /// False after a conflict.
    async fn store(&self, bucket: &Bucket, plan: &Plan) -> Result<bool> {
        let Committed::Stored(last) = self.link.commit(Stream::Keys, &plan.messages).await? else {
            return Ok(false);
        };
        self.bury_all(bucket, &plan.absent, last, plan.messages.len())
            .await;
        Ok(true)
    }

    fn run(&self, bucket: &Bucket, edit: &mut dyn Edit, keys: &[Key], current: Vec<Current>) -> Result<Plan> {
        let now = self.link.clock.now();
        let mut cells = Cells::new(now, None);
        for (key, current) in keys.iter().zip(&current) {
            cells.add(key.clone(), Cell::of_entry(current.entry.as_ref())?);
        }
        edit.run(&mut cells);
        let writer = Writer {
            names: &self.link.names,
            family: Family::Values,
            bucket,
        };
        let mut plan = Plan::default();
        // A message for each key, and as many more as fit.
        let mut room = room_beside(keys.len());
        let mut looked_at = Vec::new();
        // The cells are in the order of the keys.
        for ((key, cell), current) in cells.into_cells().into_iter().zip(&current) {
            let message = match after(cell.into_outcome(now), current.entry.as_ref(), now) {
                After::Same => {
                    looked_at.push(writer.looked_at(&key, current.sequence));
                    continue;
                }
                After::Removed => {
                    let is_told = room > 0;
                    if is_told {
                        room -= 1;
                        plan.messages.push(writer.deleted(&key, false));
                    }
                    plan.absent.push(Going {
                        key: key.clone(),
                        place: plan.messages.len(),
                        is_told,
                    });
                    writer.absent(&key, Some(current.sequence), false)
                }
                After::Has(entry) => {
                    self.check_value(entry.value.len())?;
                    writer.put(&key, Some(current.sequence), &entry, now)
                }
            };
            plan.messages.push(message);
        }
        if !plan.messages.is_empty() {
            plan.messages.append(&mut looked_at);
        }
        Ok(plan)
    }
}

/// What a key has after an edit.
enum After {
    Same,
    Removed,
    Has(Entry),
}

fn after(outcome: Outcome<'_>, before: Option<&Entry>, now: Timestamp) -> After {
    let (kind, value, expires) = match outcome {
        Outcome::Same => return After::Same,
        Outcome::Removed => return After::Removed,
        Outcome::Plain { value, expires } => {
            let value = value.or_else(|| before.map(|entry| entry.value.clone()));
            (Kind::Plain, value.unwrap_or_default(), expires)
        }
        Outcome::Structure { content, expires, .. } => {
            let structure = content.structure();
            let kind = structure.map_or(Kind::Plain, |structure| structure.kind());
            let encoded = structure.map_or(Vec::new(), |structure| structure.encode());
            (kind, encoded.into(), expires)
        }
    };
    After::Has(Entry {
        value,
        kind,
        revision: Revision(0),
        created: before.map_or(now, |entry| entry.created),
        expires,
    })
}
