//! Members by chance.

use super::Scores;
use crate::call::Call;
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::random::Draw;
use crate::refusal::Refusal;

pub(super) const ZRANDMEMBER: Command = Command {
    name: "zrandmember",
    arity: -2,
    flags: &[Flag::ReadOnly],
    keys: Keys::FIRST,
    since: "6.2.0",
    summary: "Tells members by chance; each may come again if the count is below 0.",
    complexity: "O(N) for N members that are told",
    syntax: "key [count [WITHSCORES]]",
    support: Support::Differs("below -1048576, the count is refused"),
    run: Run::Keys(zrandmember),
};

fn zrandmember(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let count = match call.args.len() {
        2 => None,
        len => Some((call.args.integer(2)?, len)),
    };
    let draw = match count {
        None => None,
        Some((_, len)) if len > 4 || (len == 4 && !call.args.is(3, "withscores")) => {
            return Err(Refusal::SYNTAX);
        }
        // The answer would have twice as many parts, which is more than can be counted.
        Some((count, 4)) if count > i64::MAX / 2 => return Err(Refusal::OUT_OF_RANGE),
        Some((count, len)) => Some((Draw::of(count)?, len == 4)),
    };
    let set = call.cells.cell(&call.args.key(1)?)?.sorted_set()?;
    let len = set.map_or(0, |set| set.len());
    let member = |place| set.and_then(|set| set.at_place(place));
    let Some((draw, with_scores)) = draw else {
        let drawn = (len > 0).then(|| fastrand::usize(..len)).and_then(member);
        call.reply.bulk_or_null(drawn.map(|(member, _)| member));
        return Ok(());
    };
    let scores = Scores::told(with_scores, call.reply);
    let head = |reply: &mut _, count| scores.head(reply, count);
    draw.answer(len, call.reply, head, |reply, place| {
        let (member, score) = member(place).unwrap_or_default();
        scores.member(reply, member, score);
    })
}
