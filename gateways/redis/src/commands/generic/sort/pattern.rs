//! Keys that SORT reads beside the one that it names.

use switchboard_hub::keys::{Cells, Key};

use crate::refusal::Refusal;

/// A name in which an element comes in the place of `*`: `weight_*`, or for a field of a hash `user_*->age`.
#[derive(Debug)]
pub(super) struct Pattern {
    before: Vec<u8>,
    after: Vec<u8>,
    field: Option<Vec<u8>>,
}

impl Pattern {
    /// The pattern, if there is a `*` in it.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        let mut parts = text.splitn(2, |byte| *byte == b'*');
        let (before, rest) = (parts.next()?, parts.next()?);
        let arrow = rest.windows(2).position(|two| two == b"->");
        // An arrow that points at nothing is a part of the name.
        let arrow = arrow.filter(|arrow| arrow + 2 < rest.len());
        let (after, field) = match arrow.and_then(|arrow| rest.split_at_checked(arrow)) {
            Some((after, field)) => (after, field.get(2..)),
            None => (rest, None),
        };
        Some(Self {
            before: before.to_vec(),
            after: after.to_vec(),
            field: field.map(<[u8]>::to_vec),
        })
    }

    /// What stands there for an element: nothing, if it is of another kind.
    ///
    /// # Errors
    /// When that key cannot be reached.
    pub(super) fn look(&self, cells: &mut Cells<'_>, element: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        let name = [&*self.before, element, &*self.after].concat();
        // What can be no key has nothing.
        let Ok(key) = Key::new(name) else {
            return Ok(None);
        };
        let cell = cells.cell(&key)?;
        let found = match &self.field {
            Some(field) => (cell.hash().ok().flatten()).and_then(|hash| hash.get(field)),
            None => cell.plain().ok().flatten(),
        };
        Ok(found.map(<[u8]>::to_vec))
    }
}
