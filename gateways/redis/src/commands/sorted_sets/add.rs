//! Giving members their scores.

use smallvec::SmallVec;
use switchboard_hub::keys::structures::SortedSet;

use crate::args::Args;
use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::limits;
use crate::refusal::Refusal;
use crate::words::WordSlice;

pub(super) const ZADD: Command = Command {
    name: "zadd",
    arity: -4,
    flags: &[Flag::Write, Flag::DenyOom, Flag::Fast, Flag::Feeds],
    keys: Keys::FIRST,
    since: "1.2.0",
    summary: "Adds members to a sorted set, or gives those that it has other scores.",
    complexity: "O(log N) for each member, in a sorted set of N",
    syntax: "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
    support: Support::Differs("scores in hexadecimal are refused, and -0 is 0"),
    run: Run::Keys(zadd),
};

pub(super) const ZINCRBY: Command = Command {
    name: "zincrby",
    arity: 4,
    flags: &[Flag::Write, Flag::DenyOom, Flag::Fast, Flag::Feeds],
    keys: Keys::FIRST,
    since: "1.2.0",
    summary: "Adds to the score of a member.",
    complexity: "O(log N) in a sorted set of N",
    syntax: "key increment member",
    support: Support::Differs("scores in hexadecimal are refused, and -0 is 0"),
    run: Run::Keys(zincrby),
};

/// How scores are given.
#[derive(Debug, Clone, Copy, Default)]
struct Options {
    /// Not to members that are there: `NX`.
    only_new: bool,
    /// Not to members that are not there: `XX`.
    only_known: bool,
    /// Not unless it becomes greater, if the member is there: `GT`.
    only_greater: bool,
    /// Not unless it becomes less, if the member is there: `LT`.
    only_less: bool,
    /// Whether the answer counts also those that got another score: `CH`.
    counts_changed: bool,
    /// Whether the score is added to what there is: `INCR`.
    adds: bool,
}

impl Options {
    /// Those among the arguments, and where the scores begin.
    fn read(args: &Args) -> (Self, usize) {
        let mut options = Self::default();
        for (word, index) in args.from(2).iter().zip(2..) {
            let option = match word {
                word if word.eq_ignore_ascii_case(b"nx") => &mut options.only_new,
                word if word.eq_ignore_ascii_case(b"xx") => &mut options.only_known,
                word if word.eq_ignore_ascii_case(b"gt") => &mut options.only_greater,
                word if word.eq_ignore_ascii_case(b"lt") => &mut options.only_less,
                word if word.eq_ignore_ascii_case(b"ch") => &mut options.counts_changed,
                word if word.eq_ignore_ascii_case(b"incr") => &mut options.adds,
                _ => return (options, index),
            };
            *option = true;
        }
        (options, args.len())
    }

    /// # Errors
    /// When they contradict each other, or what there is to add.
    fn check(self, pairs: usize) -> Result<(), Refusal> {
        if self.only_new && self.only_known {
            return Err(Refusal::new(
                "ERR XX and NX options at the same time are not compatible",
            ));
        }
        let compared = [self.only_greater, self.only_less, self.only_new];
        if compared.into_iter().filter(|is_set| *is_set).count() > 1 {
            return Err(Refusal::new(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if self.adds && pairs > 1 {
            return Err(Refusal::new(
                "ERR INCR option supports a single increment-element pair",
            ));
        }
        Ok(())
    }

    /// Gives a member a score.
    fn put(self, set: &mut SortedSet, member: &[u8], score: f64) -> Result<Put, Refusal> {
        let Some(known) = set.score(member) else {
            if self.only_known {
                return Ok(Put::Kept);
            }
            // What was -0 is 0.
            let score = score + 0.0;
            set.insert(member, score);
            return Ok(Put::Added(score));
        };
        if self.only_new {
            return Ok(Put::Kept);
        }
        let score = if self.adds { known + score } else { score };
        if score.is_nan() {
            return Err(Refusal::new("ERR resulting score is not a number (NaN)"));
        }
        if (self.only_greater && score <= known) || (self.only_less && score >= known) {
            return Ok(Put::Kept);
        }
        if score == known {
            return Ok(Put::Same(score));
        }
        set.insert(member, score);
        Ok(Put::Changed(score))
    }
}

/// What became of a member.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Put {
    /// The options kept it as it was.
    Kept,
    /// It had that score.
    Same(f64),
    Changed(f64),
    Added(f64),
}

fn zadd(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (options, first) = Options::read(call.args);
    let pairs = call.args.from(first);
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return Err(Refusal::SYNTAX);
    }
    options.check(pairs.len() / 2)?;
    let scores: SmallVec<[f64; 4]> = (first..call.args.len())
        .step_by(2)
        .map(|index| call.args.float(index))
        .collect::<Result<_, _>>()?;
    add(call, options, pairs, scores)
}

fn zincrby(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let options = Options {
        adds: true,
        ..Options::default()
    };
    // Redis takes an option of ZADD for one here too, and then misses the score.
    if Options::read(call.args).1 > 2 {
        return Err(Refusal::SYNTAX);
    }
    let increment = call.args.float(2)?;
    add(call, options, call.args.from(2), [increment])
}

/// Gives members scores: `pairs` has each score, not yet read, before its member.
fn add(
    call: &mut Call<'_, '_>,
    options: Options,
    pairs: WordSlice<'_>,
    scores: impl IntoIterator<Item = f64>,
) -> Result<(), Refusal> {
    let key = call.args.key(1)?;
    let set = call.cells.cell(&key)?.sorted_set_mut()?;
    let (mut added, mut changed, mut last) = (0, 0, Put::Kept);
    limits::check_room("sorted set", set.bytes(), pairs.iter())?;
    for (member, score) in pairs.iter().skip(1).step_by(2).zip(scores) {
        last = options.put(set, member, score)?;
        match last {
            Put::Kept | Put::Same(_) => {}
            Put::Changed(_) => changed += 1,
            Put::Added(_) => added += 1,
        }
    }
    if added + changed > 0 {
        let name = if options.adds { "zincr" } else { "zadd" };
        call.effects.event(Class::SortedSet, name, &key);
    }
    if added > 0 {
        call.effects.feed(&key);
    }
    match last {
        Put::Kept if options.adds => call.reply.null(),
        Put::Same(score) | Put::Changed(score) | Put::Added(score) if options.adds => {
            call.reply.double(score);
        }
        _ if options.counts_changed => call.reply.count(added + changed),
        _ => call.reply.count(added),
    }
    Ok(())
}
