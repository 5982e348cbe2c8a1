//! What is known about a value: OBJECT.

use switchboard_hub::keys::structures::Structure;

use crate::args::parse_integer;
use crate::call::Call;
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::refusal::Refusal;

/// The key is the second argument.
const SECOND: Keys = Keys::Range {
    first: 2,
    last: 2,
    step: 1,
};

pub(super) const OBJECT: Command = Command {
    name: "object",
    arity: -2,
    flags: &[],
    keys: Keys::None,
    since: "2.2.3",
    summary: "Tells what is known about a value.",
    complexity: "Depends on the subcommand",
    syntax: "ENCODING | FREQ | HELP | IDLETIME | REFCOUNT",
    support: Support::Full,
    run: Run::Container(&[ENCODING, FREQ, HELP, IDLETIME, REFCOUNT]),
};

const ENCODING: Command = Command {
    name: "object|encoding",
    arity: 3,
    flags: &[Flag::ReadOnly],
    keys: SECOND,
    since: "2.2.3",
    summary: "Tells how Redis would keep such a value.",
    complexity: "O(N), N elements of a small structure",
    syntax: "key",
    support: Support::Differs("it says what Redis takes for a value of that size; ours are kept otherwise"),
    run: Run::Keys(encoding),
};

const FREQ: Command = Command {
    name: "object|freq",
    since: "4.0.0",
    summary: "Refuses, as without an LFU policy.",
    complexity: "O(1)",
    support: Support::Differs("how often keys are used is not counted"),
    run: Run::Keys(freq),
    ..ENCODING
};

const IDLETIME: Command = Command {
    name: "object|idletime",
    summary: "Tells 0: keys have no time of last use.",
    complexity: "O(1)",
    support: Support::Differs("always 0"),
    run: Run::Keys(|call| number(call, 0)),
    ..ENCODING
};

const REFCOUNT: Command = Command {
    name: "object|refcount",
    summary: "Tells 1: no value is shared.",
    complexity: "O(1)",
    support: Support::Differs("always 1"),
    run: Run::Keys(|call| number(call, 1)),
    ..ENCODING
};

const HELP: Command = Command {
    name: "object|help",
    arity: 2,
    flags: &[],
    keys: Keys::None,
    since: "6.2.0",
    summary: "Tells what the subcommands do.",
    complexity: "O(1)",
    syntax: "",
    support: Support::Differs("in words of its own"),
    run: Run::Keys(help),
};

fn help(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let lines = [
        "OBJECT <subcommand> [<key>]. Subcommands are:",
        "ENCODING <key>",
        "    How Redis would keep the value.",
        "FREQ <key>",
        "    Refused: how often keys are used is not counted.",
        "HELP",
        "    This.",
        "IDLETIME <key>",
        "    0.",
        "REFCOUNT <key>",
        "    1.",
    ];
    call.reply.array(lines.len());
    for line in lines {
        call.reply.simple(line);
    }
    Ok(())
}

fn number(call: &mut Call<'_, '_>, number: i64) -> Result<(), Refusal> {
    if call.cells.cell(&call.args.key(2)?)?.is_present() {
        call.reply.integer(number);
    } else {
        call.reply.null();
    }
    Ok(())
}

fn freq(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    if call.cells.cell(&call.args.key(2)?)?.is_present() {
        return Err(Refusal::new(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
             switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    call.reply.null();
    Ok(())
}

fn encoding(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let cell = call.cells.cell(&call.args.key(2)?)?;
    let encoding = match (cell.kind(), cell.structure()) {
        (None, _) => None,
        (_, Some(structure)) => Some(of_structure(structure)),
        (Some(_), None) => Some(of_plain(cell.plain()?.unwrap_or_default())),
    };
    call.reply.bulk_or_null(encoding.map(str::as_bytes));
    Ok(())
}

/// A string is kept beside its header up to so many bytes.
const EMBEDDED_BYTES_MAX: usize = 44;

fn of_plain(value: &[u8]) -> &'static str {
    if parse_integer(value).is_some() {
        "int"
    } else if value.len() <= EMBEDDED_BYTES_MAX {
        "embstr"
    } else {
        "raw"
    }
}

/// The defaults of Redis 7.2 for `hash-max-listpack-entries` and its like.
const HASH_FIELDS_MAX: usize = 512;
const SET_INTEGERS_MAX: usize = 512;
const SET_MEMBERS_MAX: usize = 128;
const SORTED_SET_MEMBERS_MAX: usize = 128;
const ELEMENT_BYTES_MAX: usize = 64;
/// The size of a node of a list.
const LIST_BYTES_MAX: usize = 8 * 1024;

fn of_structure(structure: &Structure) -> &'static str {
    let is_small = |element: &[u8]| element.len() <= ELEMENT_BYTES_MAX;
    match structure {
        Structure::Hash(hash) => {
            let fits = hash.len() <= HASH_FIELDS_MAX
                && hash
                    .iter()
                    .all(|(field, value)| is_small(field) && is_small(value));
            if fits { "listpack" } else { "hashtable" }
        }
        Structure::List(list) => {
            // An element costs at least three bytes beside its own there.
            let mut bytes = 0;
            let fits = list.iter().all(|element| {
                bytes += element.len() + 3;
                bytes <= LIST_BYTES_MAX
            });
            if fits { "listpack" } else { "quicklist" }
        }
        Structure::Set(set) => {
            if set.len() <= SET_INTEGERS_MAX && set.iter().all(|member| parse_integer(member).is_some()) {
                "intset"
            } else if set.len() <= SET_MEMBERS_MAX && set.iter().all(is_small) {
                "listpack"
            } else {
                "hashtable"
            }
        }
        Structure::SortedSet(set) => {
            let fits = set.len() <= SORTED_SET_MEMBERS_MAX && set.iter().all(|(member, _)| is_small(member));
            if fits { "listpack" } else { "skiplist" }
        }
    }
}
