//! The elements of a structure in order: SORT, SORT_RO.

use std::cmp::Ordering;

use switchboard_hub::keys::structures::{List, Structure};
use switchboard_hub::keys::{Cell, Cells, Key, Kind};

use crate::args::Args;
use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::limits::check_answer;
use crate::long;
use crate::refusal::Refusal;
use crate::reply::Reply;

mod pattern;

use pattern::Pattern;

const DIFFERS: Support = Support::Differs(
    "on engines that cannot hold all keys (NATS), `BY` and `GET` with a `*` reach only the keys that the command names",
);

pub(super) const SORT: Command = Command {
    name: "sort",
    arity: -2,
    flags: &[Flag::Write, Flag::DenyOom, Flag::Feeds, Flag::KeysByPattern],
    keys: Keys::FirstAndStore,
    since: "1.0.0",
    summary: "Tells the elements of a list, set or sorted set in order, or puts them into a list.",
    complexity: "O(N*log(N)), N elements",
    syntax: "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE destination]",
    support: DIFFERS,
    run: Run::Keys(|call| sort(call, true)),
};

pub(super) const SORT_RO: Command = Command {
    name: "sort_ro",
    flags: &[Flag::ReadOnly, Flag::KeysByPattern],
    keys: Keys::FIRST,
    since: "7.0.0",
    summary: "Tells the elements of a list, set or sorted set in order.",
    syntax: "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]",
    run: Run::Keys(|call| sort(call, false)),
    ..SORT
};

const NO_NUMBER: Refusal = Refusal::new("ERR One or more scores can't be converted into double");

/// What is told for each element.
enum Tell {
    /// The element itself.
    Element,
    /// Nothing: what has no `*` is the name of nothing.
    Nothing,
    /// What stands elsewhere for it.
    LookedUp(Pattern),
}

impl Tell {
    fn of(text: &[u8]) -> Self {
        match text {
            b"#" => Self::Element,
            text => Pattern::of(text).map_or(Self::Nothing, Self::LookedUp),
        }
    }

    fn is_looked_up(&self) -> bool {
        matches!(self, Self::LookedUp(_))
    }
}

/// What is asked for.
#[derive(Default)]
struct Options {
    descending: bool,
    by_bytes: bool,
    unsorted: bool,
    /// Where what elements are compared by stands, if it is not themselves.
    by: Option<Pattern>,
    offset: i64,
    /// All, if negative.
    count: i64,
    /// What is told for each element.
    tells: Vec<Tell>,
    /// The argument that names the key where it goes.
    store: Option<usize>,
}

impl Options {
    fn of(args: &Args, may_store: bool) -> Result<Self, Refusal> {
        let mut options = Self {
            count: -1,
            ..Self::default()
        };
        let mut index = 2;
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
                options.by = Pattern::of(args.at(index + 1));
                options.unsorted = options.by.is_none();
                index += 1;
            } else if args.is(index, "GET") && follow >= 1 {
                options.tells.push(Tell::of(args.at(index + 1)));
                index += 1;
            } else {
                return Err(Refusal::SYNTAX);
            }
            index += 1;
        }
        if options.tells.is_empty() {
            options.tells.push(Tell::Element);
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
    let elements = match &options.by {
        Some(by) => by_weights(call.cells, key, by, options)?,
        None => {
            let elements = elements_of(call.cells.cell(key)?, options)?;
            let chosen = elements.get(options.range(elements.len())).unwrap_or_default();
            check_size(chosen, options.tells.len())?;
            if !options.tells.iter().any(Tell::is_looked_up) {
                let told = chosen.iter().flat_map(|element| {
                    let tells = options.tells.iter();
                    tells.map(move |tell| matches!(tell, Tell::Element).then_some(*element))
                });
                let list = say(call.reply, options, chosen.len(), told);
                return list.map_or(Ok(()), |(list, to)| store(call, list, to));
            }
            chosen.iter().map(|element| element.to_vec()).collect()
        }
    };
    let (mut told, mut bytes) = (Vec::new(), 0_usize);
    for element in &elements {
        for tell in &options.tells {
            let found = match tell {
                Tell::Element => Some(element.clone()),
                Tell::Nothing => None,
                Tell::LookedUp(pattern) => pattern.look(call.cells, element)?,
            };
            bytes = bytes.saturating_add(found.as_ref().map_or(0, Vec::len));
            check_answer(bytes)?;
            told.push(found);
        }
    }
    let list = say(
        call.reply,
        options,
        elements.len(),
        told.iter().map(Option::as_deref),
    );
    list.map_or(Ok(()), |(list, to)| store(call, list, to))
}

/// The elements that are asked for, in the order of what stands elsewhere for each of them.
fn by_weights(
    cells: &mut Cells<'_>,
    key: &Key,
    by: &Pattern,
    options: &Options,
) -> Result<Vec<Vec<u8>>, Refusal> {
    let elements = unsorted(cells.cell(key)?)?;
    check_size(&elements, 1)?;
    let elements: Vec<Vec<u8>> = elements.into_iter().map(<[u8]>::to_vec).collect();
    let mut weighed = Vec::with_capacity(elements.len());
    for element in elements {
        let weight = by.look(cells, &element)?;
        let number = match &weight {
            Some(weight) if !options.by_bytes => number(weight).ok_or(NO_NUMBER)?,
            _ => 0.0,
        };
        weighed.push((number, weight.filter(|_| options.by_bytes), element));
    }
    weighed.sort_by(|one, other| {
        let order = (one.0.total_cmp(&other.0)).then_with(|| one.1.cmp(&other.1));
        turned(order.then_with(|| one.2.cmp(&other.2)), options.descending)
    });
    let chosen = options.range(weighed.len());
    let elements = weighed.into_iter().map(|(_, _, element)| element);
    Ok(elements.skip(chosen.start).take(chosen.len()).collect())
}

/// Answers what is told of so many elements, or puts it into a list that goes to a key.
fn say<'t>(
    reply: &mut Reply,
    options: &Options,
    elements: usize,
    told: impl Iterator<Item = Option<&'t [u8]>>,
) -> Option<(List, usize)> {
    let Some(to) = options.store else {
        reply.array(elements * options.tells.len());
        told.for_each(|told| reply.bulk_or_null(told));
        return None;
    };
    let mut list = List::default();
    told.for_each(|told| list.push_back(told.unwrap_or_default()));
    Some((list, to))
}

/// Puts a list at the key that an argument names.
fn store(call: &mut Call<'_, '_>, list: List, to: usize) -> Result<(), Refusal> {
    let to = call.args.key(to)?;
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

/// All elements, in the order in which they stand there.
fn unsorted<'c>(cell: &'c Cell<'_>) -> Result<Vec<&'c [u8]>, Refusal> {
    Ok(match cell.structure() {
        Some(Structure::List(list)) => list.iter().collect(),
        Some(Structure::Set(set)) => set.iter().collect(),
        Some(Structure::SortedSet(set)) => set.iter().map(|(member, _)| member).collect(),
        None if !cell.is_present() => Vec::new(),
        Some(Structure::Hash(_)) | None => return Err(Refusal::WRONG_TYPE),
    })
}

/// All elements, in the order that is asked for.
fn elements_of<'c>(cell: &'c Cell<'_>, options: &Options) -> Result<Vec<&'c [u8]>, Refusal> {
    let mut elements = unsorted(cell)?;
    let Some(kind) = cell.kind() else {
        return Ok(elements);
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
    let mut numbered = numbered.ok_or(NO_NUMBER)?;
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
