//! Edits that change nothing, of what does not stand in an engine as it is shown.

use super::{Cell, Cells, Edit};
use crate::keys::Entry;
use crate::{Key, Result, Timestamp};

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
