//! Members.

use indexmap::IndexSet;

use super::less_room;
use super::log::{LENGTH_BYTES, Log, LogReader, damaged};
use crate::Result;

const ADD: u8 = 1;
const REMOVE: u8 = 2;

/// What a member costs beside its bytes.
const MEMBER_COST_BYTES: usize = 48;

/// What a member takes in an encoding beside its bytes, at most: what the change is, a length.
const CHANGE_BYTES: usize = 1 + LENGTH_BYTES;

/// Members. They have places, from 0 to one less than there are: a new one gets the last, and when one is removed the
/// last takes its place.
#[derive(Debug, Clone, Default)]
pub struct Set {
    members: IndexSet<Box<[u8]>, foldhash::fast::RandomState>,
    bytes: usize,
    log: Log,
}

impl Set {
    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is such a member.
    pub fn contains(&self, member: &[u8]) -> bool {
        self.members.contains(member)
    }

    /// The member at a place.
    pub fn at(&self, place: usize) -> Option<&[u8]> {
        self.members.get_index(place).map(|member| &**member)
    }

    /// All members, by their places.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator {
        self.members.iter().map(|member| &**member)
    }

    /// Adds a member. Tells whether it is new.
    pub fn insert(&mut self, member: &[u8]) -> bool {
        let is_new = self.add(member);
        if is_new {
            self.log.change(ADD).bytes(member);
        }
        is_new
    }

    /// Takes a member away. Tells whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let was_there = self.take(member);
        if was_there {
            self.log.change(REMOVE).bytes(member);
        }
        was_there
    }

    fn add(&mut self, member: &[u8]) -> bool {
        if self.members.contains(member) {
            return false;
        }
        self.bytes += member.len() + MEMBER_COST_BYTES;
        self.members.insert(member.into())
    }

    fn take(&mut self, member: &[u8]) -> bool {
        let was_there = self.members.swap_remove(member);
        if was_there {
            self.bytes -= member.len() + MEMBER_COST_BYTES;
            if let Some(room) = less_room(self.len(), self.members.capacity()) {
                self.members.shrink_to(room);
            }
        }
        was_there
    }

    pub(super) fn encoded_bytes(&self) -> usize {
        self.bytes - self.len() * (MEMBER_COST_BYTES - CHANGE_BYTES)
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut log = Log::with_capacity(self.encoded_bytes());
        for member in self.iter() {
            log.change(ADD).bytes(member);
        }
        log.take()
    }

    pub(super) fn replay(&mut self, log: &[u8]) -> Result<()> {
        let mut log = LogReader::new(log);
        while let Some(what) = log.change() {
            match what {
                ADD => {
                    self.add(log.bytes()?);
                }
                REMOVE if self.take(log.bytes()?) => {}
                _ => return Err(damaged()),
            }
        }
        Ok(())
    }
}

impl PartialEq for Set {
    /// Whether they have the same members.
    fn eq(&self, other: &Self) -> bool {
        self.members == other.members
    }
}
