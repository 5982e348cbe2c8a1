//! Edits in few words.

use std::any::Any;

use switchboard_engine::keys::{Cell, Cells, Edit, Reach};
use switchboard_engine::structures::{Hash, List, Structure};
use switchboard_engine::{EngineError, Key, Result};

use super::Store;
use crate::tools::{key, soon};

/// An edit that is a closure.
struct Act<T, F> {
    keys: Option<Vec<Key>>,
    changes: bool,
    act: F,
    outcome: Option<Result<T>>,
}

impl<T, F> Edit for Act<T, F>
where
    T: Send + 'static,
    F: FnMut(&mut Cells<'_>) -> Result<T> + Send + 'static,
{
    fn reach(&self) -> Reach<'_> {
        self.keys.as_deref().map_or(Reach::Any, Reach::Keys)
    }

    fn changes(&self) -> bool {
        self.changes
    }

    fn run(&mut self, cells: &mut Cells<'_>) {
        self.outcome = Some((self.act)(cells));
    }
}

impl Store {
    /// Runs an edit, and gives what its last run came to.
    pub(super) async fn edit_as<T, F>(&self, keys: Option<Vec<Key>>, changes: bool, act: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Cells<'_>) -> Result<T> + Send + 'static,
    {
        let edit = Act {
            keys,
            changes,
            act,
            outcome: None,
        };
        let answer = self.engine.keys().edit(&self.bucket, Box::new(edit));
        let edit: Box<dyn Any> = soon("an edit", answer).await?;
        let edit = edit
            .downcast::<Act<T, F>>()
            .expect("an engine gives back the edit");
        edit.outcome.expect("an engine runs the edit")
    }

    /// Runs an edit of keys.
    pub(super) fn try_edit<'a, T, F>(
        &'a self,
        names: &[&str],
        act: F,
    ) -> impl Future<Output = Result<T>> + use<'a, T, F>
    where
        T: Send + 'static,
        F: FnMut(&mut Cells<'_>) -> Result<T> + Send + 'static,
    {
        let keys = names.iter().map(key).collect();
        self.edit_as(Some(keys), true, act)
    }

    /// Changes a key by an edit.
    pub(super) async fn edit<T, F>(&self, name: &'static str, mut act: F) -> T
    where
        T: Send + 'static,
        F: FnMut(&mut Cell<'_>) -> Result<T> + Send + 'static,
    {
        let edited = self.try_edit(&[name], move |cells| act(cells.cell(&key(name))?));
        edited.await.expect("editing")
    }

    /// Looks at several keys by an edit that changes nothing.
    pub(super) async fn look<T, F>(&self, names: &[&str], act: F) -> T
    where
        T: Send + 'static,
        F: FnMut(&mut Cells<'_>) -> Result<T> + Send + 'static,
    {
        let keys = names.iter().map(key).collect();
        let looked = self.edit_as(Some(keys), false, act);
        looked.await.expect("looking")
    }

    /// The structure that a key has, if it has something.
    pub(super) async fn structure(&self, name: &str) -> Option<Structure> {
        let entry = self.get(name).await?;
        Some(Structure::decode(entry.kind, &entry.value).expect("an encoding"))
    }

    pub(super) async fn list(&self, name: &str) -> Vec<Vec<u8>> {
        match self.structure(name).await {
            None => Vec::new(),
            Some(Structure::List(list)) => elements(&list),
            Some(other) => panic!("{name} has a list, not {other:?}"),
        }
    }
}

pub(super) fn elements(list: &List) -> Vec<Vec<u8>> {
    list.iter().map(<[u8]>::to_vec).collect()
}

/// The number that a key has, as text; 0 if it has none.
pub(super) fn number(cell: &Cell<'_>) -> Result<u64> {
    let Some(text) = cell.plain()? else { return Ok(0) };
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or(EngineError::NotAnInteger)
}

/// Adds one to the number that a key has.
pub(super) fn count(cell: &mut Cell<'_>) -> Result<u64> {
    let number = number(cell)? + 1;
    cell.put(number.to_string());
    Ok(number)
}

/// The number in a field of a hash.
pub(super) fn field(hash: Option<&Hash>, field: &str) -> u64 {
    let value = hash.and_then(|hash| hash.get(field.as_bytes()));
    let text = value.map(|value| std::str::from_utf8(value).expect("text"));
    text.map_or(0, |text| text.parse().expect("a number"))
}
