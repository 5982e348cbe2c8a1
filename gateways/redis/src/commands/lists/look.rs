//! Looking at lists: LINDEX, LLEN, LPOS, LRANGE.

use super::{place, places};
use crate::args::{Args, parse_integer};
use crate::call::Call;
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::long;
use crate::refusal::Refusal;

pub(super) const LINDEX: Command = Command {
    name: "lindex",
    arity: 3,
    flags: &[Flag::ReadOnly],
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Tells the element at an index of a list; one below 0 counts from the end.",
    complexity: "O(1)",
    syntax: "key index",
    support: Support::Full,
    run: Run::Keys(lindex),
};

pub(super) const LLEN: Command = Command {
    name: "llen",
    arity: 2,
    flags: &[Flag::ReadOnly, Flag::Fast],
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Tells how many elements a list has.",
    complexity: "O(1)",
    syntax: "key",
    support: Support::Full,
    run: Run::Keys(llen),
};

pub(super) const LPOS: Command = Command {
    name: "lpos",
    arity: -3,
    flags: &[Flag::ReadOnly],
    keys: Keys::FIRST,
    since: "6.0.6",
    summary: "Tells at which indices of a list an element is.",
    complexity: "O(N), N: how many elements are compared",
    syntax: "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
    support: Support::Full,
    run: Run::Keys(lpos),
};

pub(super) const LRANGE: Command = Command {
    name: "lrange",
    arity: 4,
    flags: &[Flag::ReadOnly],
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Tells the elements of a list from one index to another, that included.",
    complexity: "O(N), N: how many elements that are",
    syntax: "key start stop",
    support: Support::Full,
    run: Run::Keys(lrange),
};

fn lindex(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let cell = call.cells.cell(&call.args.key(1)?)?;
    let Some(list) = cell.list()? else {
        call.reply.null();
        return Ok(());
    };
    let place = place(call.args.integer(2)?, list.len());
    call.reply.bulk_or_null(place.and_then(|place| list.at(place)));
    Ok(())
}

fn llen(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let list = call.cells.cell(&call.args.key(1)?)?.list()?;
    call.reply.count(list.map_or(0, |list| list.len()));
    Ok(())
}

fn lrange(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (start, stop) = (call.args.integer(2)?, call.args.integer(3)?);
    let Some(list) = call.cells.cell(&call.args.key(1)?)?.list()? else {
        call.reply.array(0);
        return Ok(());
    };
    let places = places(start, stop, list.len());
    call.reply.array(places.len());
    long::through(places.len(), || {
        for element in list.range(places.start, places.end) {
            call.reply.bulk(element);
        }
    });
    Ok(())
}

/// What LPOS looks for.
struct Search {
    /// Whether it begins at the end.
    is_backward: bool,
    /// How many matches do not count.
    skip: u64,
    /// How many matches to tell; `None` for one that is not in an array. 0 is all.
    count: Option<usize>,
    /// How many elements to compare; 0 is all.
    compare_max: usize,
}

impl Search {
    /// # Errors
    /// When there is something that is no option.
    fn read(args: &Args) -> Result<Self, Refusal> {
        let mut search = Self {
            is_backward: false,
            skip: 0,
            count: None,
            compare_max: 0,
        };
        for (pair, index) in args.from(3).chunks(2).zip((3..).step_by(2)) {
            let Some(value) = pair.get(1) else {
                return Err(Refusal::SYNTAX);
            };
            let not_negative = |words| {
                let number = parse_integer(value).and_then(|number| usize::try_from(number).ok());
                number.ok_or(Refusal::new(words))
            };
            if args.is(index, "rank") {
                let rank = parse_integer(value).ok_or(Refusal::NOT_AN_INTEGER)?;
                (search.is_backward, search.skip) = rank_of(rank)?;
            } else if args.is(index, "count") {
                search.count = Some(not_negative("ERR COUNT can't be negative")?);
            } else if args.is(index, "maxlen") {
                search.compare_max = not_negative("ERR MAXLEN can't be negative")?;
            } else {
                return Err(Refusal::SYNTAX);
            }
        }
        Ok(search)
    }

    /// The indices among elements that match, in the order of the search.
    fn matches(&self, matching: impl DoubleEndedIterator<Item = bool> + ExactSizeIterator) -> Vec<usize> {
        let unless_0 = |number: usize| if number == 0 { usize::MAX } else { number };
        let matching = matching.enumerate();
        let (mut forward, mut backward);
        let in_order: &mut dyn Iterator<Item = (usize, bool)> = if self.is_backward {
            backward = matching.rev();
            &mut backward
        } else {
            forward = matching;
            &mut forward
        };
        in_order
            .take(unless_0(self.compare_max))
            .filter(|(_, is_match)| *is_match)
            .map(|(index, _)| index)
            .skip(usize::try_from(self.skip).unwrap_or(usize::MAX))
            .take(unless_0(self.count.unwrap_or(1)))
            .collect()
    }
}

/// Whether to begin at the end, and how many matches to pass over.
fn rank_of(rank: i64) -> Result<(bool, u64), Refusal> {
    match rank {
        0 => Err(Refusal::new(
            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to \
             start from the end of the list",
        )),
        i64::MIN => Err(Refusal::BEYOND_LONG),
        rank => Ok((rank < 0, rank.unsigned_abs() - 1)),
    }
}

fn lpos(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let search = Search::read(call.args)?;
    let list = call.cells.cell(&call.args.key(1)?)?.list()?;
    let element = call.args.at(2);
    let found = match list {
        Some(list) => long::through(list.len(), || {
            search.matches(list.range(0, list.len()).map(|known| known == element))
        }),
        None => Vec::new(),
    };
    match (search.count, found.first()) {
        (Some(_), _) => {
            call.reply.array(found.len());
            for index in found {
                call.reply.count(index);
            }
        }
        (None, Some(index)) => call.reply.count(*index),
        (None, None) => call.reply.null(),
    }
    Ok(())
}
