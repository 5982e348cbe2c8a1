//! Lists: elements in order.

use std::ops::Range;

use switchboard_hub::keys::structures::List;

use crate::args::Args;
use crate::command::Group;
use crate::long;
use crate::refusal::Refusal;
use crate::reply::Reply;

mod change;
mod look;
mod moves;
mod pop;
mod pop_many;
mod push;
#[cfg(test)]
mod tests;

/// See the module.
pub(crate) static GROUP: Group = Group {
    name: "list",
    title: "Lists",
    commands: &[
        moves::BLMOVE,
        pop_many::BLMPOP,
        pop::BLPOP,
        pop::BRPOP,
        moves::BRPOPLPUSH,
        look::LINDEX,
        change::LINSERT,
        look::LLEN,
        moves::LMOVE,
        pop_many::LMPOP,
        pop::LPOP,
        look::LPOS,
        push::LPUSH,
        push::LPUSHX,
        look::LRANGE,
        change::LREM,
        change::LSET,
        change::LTRIM,
        pop::RPOP,
        moves::RPOPLPUSH,
        push::RPUSH,
        push::RPUSHX,
    ],
};

/// One of the two ends of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Left,
    Right,
}

impl End {
    /// That which an argument names.
    ///
    /// # Errors
    /// When it names none.
    fn of(args: &Args, index: usize) -> Result<Self, Refusal> {
        if args.is(index, "left") {
            Ok(Self::Left)
        } else if args.is(index, "right") {
            Ok(Self::Right)
        } else {
            Err(Refusal::SYNTAX)
        }
    }

    fn push(self, list: &mut List, element: &[u8]) {
        match self {
            Self::Left => list.push_front(element),
            Self::Right => list.push_back(element),
        }
    }

    fn pop(self, list: &mut List) -> Option<Box<[u8]>> {
        match self {
            Self::Left => list.pop_front(),
            Self::Right => list.pop_back(),
        }
    }

    /// The element at this end.
    fn peek(self, list: &List) -> Option<&[u8]> {
        match self {
            Self::Left => list.at(0),
            Self::Right => list.at(list.len().checked_sub(1)?),
        }
    }

    /// Takes so many elements from here, or all if there are fewer, and answers them.
    fn answer_taken(self, reply: &mut Reply, list: &mut List, count: usize) {
        let count = count.min(list.len());
        reply.array(count);
        long::through(count, || match self {
            Self::Left => {
                list.range(0, count).for_each(|element| reply.bulk(element));
                list.drop_front(count);
            }
            Self::Right => {
                let last = list.range(list.len() - count, list.len());
                last.rev().for_each(|element| reply.bulk(element));
                list.drop_back(count);
            }
        });
    }

    /// The event of an element that was added here.
    fn pushed(self) -> &'static str {
        match self {
            Self::Left => "lpush",
            Self::Right => "rpush",
        }
    }

    /// The event of an element that was taken from here.
    fn popped(self) -> &'static str {
        match self {
            Self::Left => "lpop",
            Self::Right => "rpop",
        }
    }
}

/// The place that an index names; one below 0 counts from the end.
fn place(index: i64, len: usize) -> Option<usize> {
    match usize::try_from(index) {
        Ok(place) => Some(place).filter(|place| *place < len),
        Err(_) => len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

/// The places from one index to another, that included; indices below 0 count from the end.
fn places(start: i64, stop: i64, len: usize) -> Range<usize> {
    let place = |index: i64| match usize::try_from(index) {
        Ok(place) => Some(place.min(len)),
        Err(_) => len.checked_sub(usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    let from = place(start).unwrap_or(0);
    let to = place(stop).map_or(0, |last| (last + 1).min(len));
    from..to.max(from)
}
