//! All commands.

use std::sync::LazyLock;

use foldhash::HashMap;

use crate::command::{Command, Group};
use crate::commands;

/// The groups, in the order of the manual. Each is registered here, by one line.
pub(crate) static GROUPS: &[&Group] = &[
    &commands::generic::GROUP,
    &commands::strings::GROUP,
    &commands::bitmaps::GROUP,
    &commands::hashes::GROUP,
    &commands::lists::GROUP,
    &commands::sets::GROUP,
    &commands::sorted_sets::GROUP,
    &commands::memento::GROUP,
    &commands::connection::GROUP,
];

/// The command of that name, in whatever case.
pub(crate) fn find(name: &[u8]) -> Option<&'static Command> {
    /// No name is longer.
    const NAME_BYTES_MAX: usize = 32;
    static BY_NAME: LazyLock<HashMap<&'static [u8], &'static Command>> = LazyLock::new(|| {
        let commands = GROUPS.iter().flat_map(|group| group.commands);
        commands
            .map(|command| (command.name.as_bytes(), command))
            .collect()
    });
    let mut lower = [0; NAME_BYTES_MAX];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    BY_NAME.get(&*lower).copied()
}
