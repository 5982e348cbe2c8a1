//! Bits of several values together: BITOP.

use crate::args::Args;
use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::long;
use crate::refusal::Refusal;

pub(super) const BITOP: Command = Command {
    name: "bitop",
    arity: -4,
    flags: &[Flag::Write, Flag::DenyOom],
    keys: Keys::Range {
        first: 2,
        last: -1,
        step: 1,
    },
    since: "2.6.0",
    summary: "Puts the bits of values together, and the result into a key.",
    complexity: "O(N), N bytes of all values",
    syntax: "<AND | OR | XOR | NOT> destkey key [key ...]",
    support: Support::Full,
    run: Run::Keys(bitop),
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
}

impl Operation {
    fn of(args: &Args) -> Result<Self, Refusal> {
        match args.at(1).to_ascii_uppercase().as_slice() {
            b"AND" => Ok(Self::And),
            b"OR" => Ok(Self::Or),
            b"XOR" => Ok(Self::Xor),
            b"NOT" if args.len() > 4 => Err(Refusal::new(
                "ERR BITOP NOT must be called with a single source key.",
            )),
            b"NOT" => Ok(Self::Not),
            _ => Err(Refusal::SYNTAX),
        }
    }

    fn of_bytes(self, one: u8, other: u8) -> u8 {
        match self {
            Self::And => one & other,
            Self::Or => one | other,
            Self::Xor => one ^ other,
            Self::Not => !other,
        }
    }
}

fn bitop(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let operation = Operation::of(call.args)?;
    let mut result: Vec<u8> = Vec::new();
    for index in 3..call.args.len() {
        let cell = call.cells.cell(&call.args.key(index)?)?;
        let value = cell.plain()?.unwrap_or_default();
        if index == 3 && operation != Operation::Not {
            result.extend_from_slice(value);
            continue;
        }
        // What is shorter ends in zeros.
        let length = result.len().max(value.len());
        long::through_bytes(length, || {
            result.resize(length, 0);
            let others = value.iter().copied().chain(std::iter::repeat(0));
            for (byte, other) in result.iter_mut().zip(others) {
                *byte = operation.of_bytes(*byte, other);
            }
        });
    }
    let key = call.args.key(2)?;
    let cell = call.cells.cell(&key)?;
    call.reply.count(result.len());
    if result.is_empty() {
        if cell.remove() {
            call.effects.event(Class::Generic, "del", &key);
        }
    } else {
        cell.put(result);
        cell.set_expires(None);
        call.effects.event(Class::String, "set", &key);
    }
    Ok(())
}
