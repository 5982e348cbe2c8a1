//! All commands.

use std::sync::LazyLock;

use foldhash::HashMap;

use crate::command::{Command, Group, Run};
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
    &commands::scripting::GROUP,
    &commands::memento::GROUP,
    &commands::pubsub::GROUP,
    &commands::transactions::GROUP,
    &commands::connection::GROUP,
    &commands::server::GROUP,
    &commands::hub::GROUP,
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

/// All commands; their subcommands are in them.
pub(crate) fn all() -> Vec<&'static Command> {
    GROUPS.iter().flat_map(|group| group.commands).collect()
}

/// The command or subcommand of that name, like `config|get`.
pub(crate) fn find_whole(name: &[u8]) -> Option<&'static Command> {
    let Some(end) = name.iter().position(|byte| *byte == b'|') else {
        return find(name);
    };
    let Run::Container(subcommands) = find(name.get(..end)?)?.run else {
        return None;
    };
    subcommands
        .iter()
        .find(|sub| sub.name.as_bytes().eq_ignore_ascii_case(name))
}

/// Which group a command is of.
pub(crate) fn group_of(name: &str) -> &'static str {
    let name = name.split_once('|').map_or(name, |(container, _)| container);
    let has = |group: &&&Group| group.commands.iter().any(|command| command.name == name);
    GROUPS.iter().find(has).map_or("", |group| group.name)
}

#[cfg(test)]
mod tests;
