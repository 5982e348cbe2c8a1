//! Fields by chance: HRANDFIELD.

use crate::call::Call;
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::random::Draw;
use crate::refusal::Refusal;

pub(super) const HRANDFIELD: Command = Command {
    name: "hrandfield",
    arity: -2,
    flags: &[Flag::ReadOnly],
    keys: Keys::FIRST,
    since: "6.2.0",
    summary: "Tells a field of a hash by chance, or several: different ones, or if the count is below 0 the same again \
              too.",
    complexity: "O(N), N: how many fields are told",
    syntax: "key [count [WITHVALUES]]",
    support: Support::Differs("below -1048576, the count is refused"),
    run: Run::Keys(hrandfield),
};

/// What the count is, and whether values are asked for.
fn read(call: &Call<'_, '_>) -> Result<Option<(i64, bool)>, Refusal> {
    /// With values, the answer has twice as many.
    const WITH_VALUES_MAX: u64 = i64::MAX.unsigned_abs() / 2;
    if call.args.len() == 2 {
        return Ok(None);
    }
    let count = match call.args.integer(2)? {
        i64::MIN => return Err(Refusal::BEYOND_LONG),
        count => count,
    };
    match call.args.len() {
        3 => Ok(Some((count, false))),
        4 if call.args.is(3, "withvalues") => {
            if count.unsigned_abs() > WITH_VALUES_MAX {
                return Err(Refusal::OUT_OF_RANGE);
            }
            Ok(Some((count, true)))
        }
        _ => Err(Refusal::SYNTAX),
    }
}

fn hrandfield(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let asked = read(call)?;
    let hash = call.cells.cell(&call.args.key(1)?)?.hash()?;
    let len = hash.map_or(0, |hash| hash.len());
    let pair = |place| hash.and_then(|hash| hash.at(place));
    let Some((count, with_values)) = asked else {
        let drawn = (len > 0).then(|| fastrand::usize(..len)).and_then(pair);
        call.reply.bulk_or_null(drawn.map(|(field, _)| field));
        return Ok(());
    };
    if len == 0 {
        call.reply.array(0);
        return Ok(());
    }
    Draw::of(count)?.answer(
        len,
        call.reply,
        |reply, count| {
            if with_values {
                reply.pairs(count);
            } else {
                reply.array(count);
            }
        },
        |reply, place| {
            let (field, value) = pair(place).unwrap_or_default();
            if with_values {
                reply.pair();
            }
            reply.bulk(field);
            if with_values {
                reply.bulk(value);
            }
        },
    )
}
