//! The elements of a structure in order: SORT, SORT_RO.

use std::cmp::Ordering;

use switchboard_hub::keys::structures::{List, Structure};
use switchboard_hub::keys::{Cell, Key, Kind};

use crate::args::Args;
use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::limits::check_answer;
use crate::long;
use crate::refusal::Refusal;

const DIFFERS: Support = Support::Differs(
    "`BY` and `GET` with a `*` are refused: they would read keys that the command does not name",
);

pub(super) const SORT: Command = Command {
    name: "sort",
    arity: -2,
    flags: &[Flag::Write, Flag::DenyOom, Flag::Feeds],
    keys: Keys::FirstAndStore,
    since: "1.0.0",
    summary: "Tells the elements of a list, set or sorted set in order, or puts them into a list.",
    complexity: "O(N*log(N)), N elements",
    syntax: "key [BY nosort] [LIMIT offset count] [GET # ...] [ASC | DESC] [ALPHA] [STORE destination]",
    support: DIFFERS,
    run: Run::Keys(|call| sort(call, true)),
};

pub(super) const SORT_RO: Command = Command {
    name: "sort_ro",
    flags: &[Flag::ReadOnly],
    keys: Keys::FIRST,
    since: "7.0.0",
    summary: "Tells the elements of a list, set or sorted set in order.",
    syntax: "key [BY nosort] [LIMIT offset count] [GET # ...] [ASC | DESC] [ALPHA]",
    run: Run::Keys(|call| sort(call, false)),
    ..SORT
};

/// What is asked for.
#[derive(Default)]
struct Options {
    descending: bool,
    by_bytes: bool,
    unsorted: bool,
    offset: i64,
    /// All, if negative.
    count: i64,
    /// For each `GET`, whether it is the element itself; nothing has any other name without a `*`.
    tells: Vec<bool>,
    /// The argument that names the key where it goes.
    store: Option<usize>,
}

impl Options {
    fn of(args: &Args, may_store: bool) -> Result<Self, Refusal> {
        let mut options = Self {
            count: -1,
            ..Self::default()
        };
        let (mut index, mut has_pattern) = (2, false);
        while index < args.len() {
            let follow = args.len() - index - 1;
            if args.is(index, "ASC") {
                options.descending = false;
            } else if args.is(index, "DESC") {
                options.descending = true;
            } else if args.is(index, "ALPHA") {
                options.by_bytes = true;
            } else if args.is(index, "LIMIT") && follow >= 2 {
                (options.offset, options.count) = (args.integer(index + 1)?, args.integer(index + 2)?);
                index += 2;
            } else if args.is(index, "STORE") && may_store && follow >= 1 {
                options.store = Some(index + 1);
                index += 1;
            } else if args.is(index, "BY") && follow >= 1 {
                has_pattern |= args.at(index + 1).contains(&b'*');
                options.unsorted = true;
                index += 1;
            } else if args.is(index, "GET") && follow >= 1 {
                has_pattern |= args.at(index + 1).contains(&b'*');
                options.tells.push(args.is(index + 1, "#"));
                index += 1;
            } else {
                return Err(Refusal::SYNTAX);
            }
            index += 1;
        }
        if has_pattern {
            return Err(Refusal::new(
                "ERR BY and GET with a pattern are not supported: they would read keys that the command does not name",
            ));
        }
        if options.tells.is_empty() {
            options.tells.push(true);
        }
        Ok(options)
    }

    /// The part of so many elements that is asked for.
    fn range(&self, len: usize) -> std::ops::Range<usize> {
        let start = usize::try_from(self.offset).unwrap_or(0).min(len);
        let end = match usize::try_from(self.count) {
            Ok(count) => start.saturating_add(count).min(len),
            Err(_) => len,
        };
        start..end
    }
}

fn sort(call: &mut Call<'_, '_>, may_store: bool) -> Result<(), Refusal> {
    let options = Options::of(call.args, may_store)?;
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    let len = cell.structure().map_or(0, Structure::len);
    long::through(len, || sort_and_tell(call, &key, &options))
}

fn sort_and_tell(call: &mut Call<'_, '_>, key: &Key, options: &Options) -> Result<(), Refusal> {
    let cell = call.cells.cell(key)?;
    let elements = elements_of(cell, options)?;
    let chosen = elements.get(options.range(elements.len())).unwrap_or_default();
    check_size(chosen, options.tells.len())?;
    let Some(store) = options.store else {
        call.reply.array(chosen.len() * options.tells.len());
        for element in chosen {
            for is_element in &options.tells {
                call.reply.bulk_or_null(is_element.then_some(element));
            }
        }
        return Ok(());
    };
    let mut list = List::default();
    for element in chosen {
        for is_element in &options.tells {
            list.push_back(if *is_element { element } else { b"" });
        }
    }
    let to = call.args.key(store)?;
    call.reply.count(list.len());
    let cell = call.cells.cell(&to)?;
    if list.is_empty() {
        if cell.remove() {
            call.effects.event(Class::Generic, "del", &to);
        }
    } else {
        cell.put_structure(Structure::List(list));
        cell.set_expires(None);
        call.effects.event(Class::List, "sortstore", &to);
        call.effects.feed(&to);
    }
    Ok(())
}

/// # Errors
/// When elements that are told so many times are too much: each `GET` tells them once more.
fn check_size(elements: &[&[u8]], times: usize) -> Result<(), Refusal> {
    /// What an element costs beside its bytes, in a list or an answer.
    const ELEMENT_COST_BYTES: usize = 32;
    let bytes: usize = elements
        .iter()
        .map(|element| element.len() + ELEMENT_COST_BYTES)
        .sum();
    check_answer(bytes.saturating_mul(times))
}

/// All elements, in the order that is asked for.
fn elements_of<'c>(cell: &'c Cell<'_>, options: &Options) -> Result<Vec<&'c [u8]>, Refusal> {
    let Some(kind) = cell.kind() else {
        return Ok(Vec::new());
    };
    let mut elements: Vec<&[u8]> = match cell.structure() {
        Some(Structure::List(list)) => list.iter().collect(),
        Some(Structure::Set(set)) => set.iter().collect(),
        Some(Structure::SortedSet(set)) => set.iter().map(|(member, _)| member).collect(),
        Some(Structure::Hash(_)) | None => return Err(Refusal::WRONG_TYPE),
    };
    if options.unsorted {
        match kind {
            // What is stored has an order that does not depend on chance.
            Kind::Set if options.store.is_some() => by_bytes(&mut elements, options.descending),
            Kind::List | Kind::SortedSet if options.descending => elements.reverse(),
            _ => {}
        }
    } else if options.by_bytes {
        by_bytes(&mut elements, options.descending);
    } else {
        elements = by_number(&elements, options.descending)?;
    }
    Ok(elements)
}

fn by_bytes(elements: &mut [&[u8]], descending: bool) {
    elements.sort_by(|one, other| turned(one.cmp(other), descending));
}

fn by_number<'c>(elements: &[&'c [u8]], descending: bool) -> Result<Vec<&'c [u8]>, Refusal> {
    let numbered: Option<Vec<(f64, &[u8])>> = (elements.iter())
        .map(|element| Some((number(element)?, *element)))
        .collect();
    let mut numbered = numbered.ok_or(Refusal::new(
        "ERR One or more scores can't be converted into double",
    ))?;
    numbered.sort_by(|one, other| {
        let order = one.0.total_cmp(&other.0).then_with(|| one.1.cmp(other.1));
        turned(order, descending)
    });
    Ok(numbered.into_iter().map(|(_, element)| element).collect())
}

/// As `strtod` reads it: spaces before it do not matter, and nothing is 0. A zero has no sign.
fn number(text: &[u8]) -> Option<f64> {
    match text.trim_ascii_start() {
        [] => Some(0.0),
        text => crate::args::parse_float(text).map(|number| number + 0.0),
    }
}

fn turned(order: Ordering, descending: bool) -> Ordering {
    if descending { order.reverse() } else { order }
}
