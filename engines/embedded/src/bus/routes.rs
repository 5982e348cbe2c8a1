//! Who gets a message.

use std::sync::Arc;

use bytestring::ByteString;
use foldhash::HashMap;
use switchboard_engine::bus::BusMessage;

use super::Mailbox;

/// Subscriptions by their filters.
#[derive(Debug, Default)]
pub(super) struct Routes {
    filters: HashMap<ByteString, Receivers>,
    /// Those of the filters that have wildcards; a hub has few.
    patterns: Vec<ByteString>,
    is_closed: bool,
}

/// The subscriptions to one filter.
#[derive(Debug, Default)]
struct Receivers {
    single: Vec<Arc<Mailbox>>,
    groups: HashMap<ByteString, Group>,
}

/// Those who share what comes: each in turn.
#[derive(Debug, Default)]
struct Group {
    members: Vec<Arc<Mailbox>>,
    turn: usize,
}

impl Routes {
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub(super) fn add(&mut self, filter: ByteString, group: Option<ByteString>, mailbox: Arc<Mailbox>) {
        if is_pattern(&filter) && !self.filters.contains_key(&filter) {
            self.patterns.push(filter.clone());
        }
        let receivers = self.filters.entry(filter).or_default();
        match group {
            Some(group) => receivers.groups.entry(group).or_default().members.push(mailbox),
            None => receivers.single.push(mailbox),
        }
    }

    pub(super) fn remove(&mut self, filter: &ByteString, group: Option<&ByteString>, mailbox: &Arc<Mailbox>) {
        let Some(receivers) = self.filters.get_mut(filter) else {
            return;
        };
        let others = |other: &Arc<Mailbox>| !Arc::ptr_eq(other, mailbox);
        match group {
            Some(name) => {
                if let Some(group) = receivers.groups.get_mut(name) {
                    group.members.retain(others);
                    if group.members.is_empty() {
                        receivers.groups.remove(name);
                    }
                }
            }
            None => receivers.single.retain(others),
        }
        if receivers.single.is_empty() && receivers.groups.is_empty() {
            self.filters.remove(filter);
            self.patterns.retain(|pattern| pattern != filter);
        }
    }

    /// Hands a message to all that it is for, and tells whether there were any.
    pub(super) fn deliver(&mut self, message: &BusMessage) -> bool {
        let patterns = self
            .patterns
            .iter()
            .filter(|pattern| matches(pattern, &message.topic));
        let mut has_come = false;
        for filter in std::iter::once(&message.topic)
            .filter(|topic| !is_pattern(topic))
            .chain(patterns)
        {
            if let Some(receivers) = self.filters.get_mut(filter) {
                receivers.deliver(message);
                has_come = true;
            }
        }
        has_come
    }

    pub(super) fn close(&mut self) {
        self.is_closed = true;
        for receivers in self.filters.values() {
            let members = receivers.groups.values().flat_map(|group| &group.members);
            receivers
                .single
                .iter()
                .chain(members)
                .for_each(|mailbox| mailbox.end());
        }
    }
}

impl Receivers {
    fn deliver(&mut self, message: &BusMessage) {
        for mailbox in &self.single {
            mailbox.add(message.clone());
        }
        for group in self.groups.values_mut() {
            group.turn = group.turn.wrapping_add(1);
            if let Some(mailbox) = group.members.get(group.turn % group.members.len().max(1)) {
                mailbox.add(message.clone());
            }
        }
    }
}

/// Whether a filter is for more than one topic.
fn is_pattern(filter: &str) -> bool {
    filter.split('/').any(|level| level == "+") || filter == "#" || filter.ends_with("/#")
}

/// Whether a topic is one of those that a filter is for: `+` stands for one level, a final `#` for the level before it
/// and all that follow; a wildcard in the first level for none that begins with `$`.
fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut wanted = filter.split('/');
    let mut levels = topic.split('/');
    loop {
        match (wanted.next(), levels.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}
