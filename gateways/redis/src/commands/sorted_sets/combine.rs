//! What sorted sets have in common, all together, and one before others.

use foldhash::{HashMap, HashMapExt as _};
use smallvec::SmallVec;
use switchboard_hub::keys::Key;
use switchboard_hub::keys::structures::SortedSet;

use super::Scores;
use super::range::store;
use super::source::{Source, Sources};
use crate::args::{Args, parse_float};
use crate::call::Call;
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::long;
use crate::refusal::Refusal;

pub(super) const ZUNION: Command = Command {
    name: "zunion",
    arity: -3,
    flags: &[Flag::ReadOnly],
    keys: Keys::Numbered {
        count: 1,
        target: None,
    },
    since: "6.2.0",
    summary: "Tells the members of several sorted sets together.",
    complexity: "O(N + M*log M) for N members in all sets and M in the answer",
    syntax: "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
    support: Support::Full,
    run: Run::Keys(zunion),
};

pub(super) const ZUNIONSTORE: Command = Command {
    name: "zunionstore",
    arity: -4,
    flags: &[Flag::Write, Flag::DenyOom, Flag::Feeds],
    keys: Keys::Numbered {
        count: 2,
        target: Some(1),
    },
    since: "2.0.0",
    summary: "Stores the members of several sorted sets together.",
    complexity: "O(N + M*log M) for N members in all sets and M in the result",
    syntax: "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]",
    support: Support::Full,
    run: Run::Keys(zunionstore),
};

pub(super) const ZINTER: Command = Command {
    name: "zinter",
    arity: -3,
    flags: &[Flag::ReadOnly],
    keys: Keys::Numbered {
        count: 1,
        target: None,
    },
    since: "6.2.0",
    summary: "Tells which members several sorted sets have in common.",
    complexity: "O(N*K + M*log M) at worst, for the smallest set of N members, K sets and M members in the answer",
    syntax: "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
    support: Support::Full,
    run: Run::Keys(zinter),
};

pub(super) const ZINTERSTORE: Command = Command {
    name: "zinterstore",
    arity: -4,
    flags: &[Flag::Write, Flag::DenyOom, Flag::Feeds],
    keys: Keys::Numbered {
        count: 2,
        target: Some(1),
    },
    since: "2.0.0",
    summary: "Stores what several sorted sets have in common.",
    complexity: "O(N*K + M*log M) at worst, for the smallest set of N members, K sets and M members in the result",
    syntax: "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]",
    support: Support::Full,
    run: Run::Keys(zinterstore),
};

pub(super) const ZINTERCARD: Command = Command {
    name: "zintercard",
    arity: -3,
    flags: &[Flag::ReadOnly],
    keys: Keys::Numbered {
        count: 1,
        target: None,
    },
    since: "7.0.0",
    summary: "Tells how many members several sorted sets have in common.",
    complexity: "O(N*K) at worst, for the smallest set of N members and K sets",
    syntax: "numkeys key [key ...] [LIMIT limit]",
    support: Support::Full,
    run: Run::Keys(zintercard),
};

pub(super) const ZDIFF: Command = Command {
    name: "zdiff",
    arity: -3,
    flags: &[Flag::ReadOnly],
    keys: Keys::Numbered {
        count: 1,
        target: None,
    },
    since: "6.2.0",
    summary: "Tells which members the first sorted set has and the others have not.",
    complexity: "O(N*K + M*log M) at worst, for N members in the first of K sets and M in the answer",
    syntax: "numkeys key [key ...] [WITHSCORES]",
    support: Support::Full,
    run: Run::Keys(zdiff),
};

pub(super) const ZDIFFSTORE: Command = Command {
    name: "zdiffstore",
    arity: -4,
    flags: &[Flag::Write, Flag::DenyOom, Flag::Feeds],
    keys: Keys::Numbered {
        count: 2,
        target: Some(1),
    },
    since: "6.2.0",
    summary: "Stores what the first sorted set has and the others have not.",
    complexity: "O(N*K + M*log M) at worst, for N members in the first of K sets and M in the result",
    syntax: "destination numkeys key [key ...]",
    support: Support::Full,
    run: Run::Keys(zdiffstore),
};

/// Members with their scores, in no order.
type Members<'a> = Vec<(&'a [u8], f64)>;

/// A way to combine sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What becomes of several scores of one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Aggregate {
    #[default]
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(word: &[u8]) -> Result<Self, Refusal> {
        match word {
            word if word.eq_ignore_ascii_case(b"sum") => Ok(Self::Sum),
            word if word.eq_ignore_ascii_case(b"min") => Ok(Self::Min),
            word if word.eq_ignore_ascii_case(b"max") => Ok(Self::Max),
            _ => Err(Refusal::SYNTAX),
        }
    }

    fn of_two(self, known: f64, other: f64) -> f64 {
        match self {
            Self::Sum => number_or_0(known + other),
            Self::Min if other < known => other,
            Self::Max if other > known => other,
            Self::Min | Self::Max => known,
        }
    }
}

/// Infinity and its opposite together come to nothing, as does nothing times infinity.
fn number_or_0(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What is said after the keys.
#[derive(Debug, Default)]
struct Options {
    /// One for each key, if there are any.
    weights: SmallVec<[f64; 8]>,
    aggregate: Aggregate,
    with_scores: bool,
}

impl Options {
    /// Those among the arguments from an index on.
    fn read(
        args: &Args,
        from: usize,
        keys: usize,
        operation: Operation,
        stores: bool,
    ) -> Result<Self, Refusal> {
        let mut options = Self::default();
        let mut index = from;
        let is_weighed = operation != Operation::Difference;
        while index < args.len() {
            let follow = args.len() - index - 1;
            if is_weighed && follow >= keys && args.is(index, "weights") {
                let weights = args.from(index + 1).iter().take(keys);
                let refusal = || Refusal::new("ERR weight value is not a float");
                options.weights = weights
                    .map(|weight| parse_float(weight).ok_or_else(refusal))
                    .collect::<Result<_, _>>()?;
                index += keys;
            } else if is_weighed && follow >= 1 && args.is(index, "aggregate") {
                options.aggregate = Aggregate::of(args.at(index + 1))?;
                index += 1;
            } else if !stores && args.is(index, "withscores") {
                options.with_scores = true;
            } else {
                return Err(Refusal::SYNTAX);
            }
            index += 1;
        }
        Ok(options)
    }

    fn weight(&self, place: usize) -> f64 {
        self.weights.get(place).copied().unwrap_or(1.0)
    }

    /// The sets, each with its weight, the smallest first: scores are combined in that order.
    fn weighed<'a>(&self, sources: &Sources<'a>) -> SmallVec<[(Source<'a>, f64); 8]> {
        let sources = sources.iter().enumerate();
        let mut weighed: SmallVec<_> = sources
            .map(|(place, source)| (*source, self.weight(place)))
            .collect();
        weighed.sort_by_key(|(source, _): &(Source<'_>, f64)| source.len());
        weighed
    }
}

fn zunion(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    answer(call, "zunion", Operation::Union)
}

fn zunionstore(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    combine_and_store(call, "zunionstore", Operation::Union)
}

fn zinter(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    answer(call, "zinter", Operation::Intersection)
}

fn zinterstore(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    combine_and_store(call, "zinterstore", Operation::Intersection)
}

fn zdiff(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    answer(call, "zdiff", Operation::Difference)
}

fn zdiffstore(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    combine_and_store(call, "zdiffstore", Operation::Difference)
}

fn answer(call: &mut Call<'_, '_>, name: &str, operation: Operation) -> Result<(), Refusal> {
    let keys = keys(call.args, 1, name)?;
    let sources = Source::all(call.cells, &keys)?;
    let options = Options::read(call.args, 2 + keys.len(), keys.len(), operation, false)?;
    let scores = Scores::told(options.with_scores, call.reply);
    long::through(total(&sources), || {
        let members = combined(&sources, &options, operation);
        scores.head(call.reply, members.len());
        for (member, score) in members {
            scores.member(call.reply, member, score);
        }
    });
    Ok(())
}

fn combine_and_store(
    call: &mut Call<'_, '_>,
    name: &'static str,
    operation: Operation,
) -> Result<(), Refusal> {
    let keys = keys(call.args, 2, name)?;
    let mut stored = SortedSet::default();
    {
        let sources = Source::all(call.cells, &keys)?;
        let options = Options::read(call.args, 3 + keys.len(), keys.len(), operation, true)?;
        long::through(total(&sources), || {
            for (member, score) in combined(&sources, &options, operation) {
                // What is -0 becomes 0.
                stored.insert(member, score + 0.0);
            }
        });
    }
    store(call, &call.args.key(1)?, stored, name)
}

fn zintercard(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let keys = keys(call.args, 1, "zintercard")?;
    let sources = Source::all(call.cells, &keys)?;
    let mut limit = usize::MAX;
    for index in (2 + keys.len()..call.args.len()).step_by(2) {
        if !call.args.is(index, "limit") || index + 1 == call.args.len() {
            return Err(Refusal::SYNTAX);
        }
        limit = match call.args.count(index + 1) {
            Ok(0) => usize::MAX,
            Ok(limit) => limit,
            Err(_) => return Err(Refusal::new("ERR LIMIT can't be negative")),
        };
    }
    let common = || intersection(&sources, &Options::default(), limit).len();
    call.reply.count(long::through(total(&sources), common));
    Ok(())
}

/// The keys, whose number stands at an index.
fn keys(args: &Args, number: usize, name: &str) -> Result<Vec<Key>, Refusal> {
    let count = args.integer(number)?;
    let count = usize::try_from(count).unwrap_or(0);
    if count == 0 {
        return Err(Refusal::of(format!(
            "ERR at least 1 input key is needed for '{name}' command"
        )));
    }
    if count > args.from(number + 1).len() {
        return Err(Refusal::SYNTAX);
    }
    let indices = number + 1..number + 1 + count;
    indices.map(|index| args.key(index)).collect()
}

/// How many members all of them have.
fn total(sources: &Sources<'_>) -> usize {
    sources.iter().map(Source::len).sum()
}

/// In order.
fn combined<'a>(sources: &Sources<'a>, options: &Options, operation: Operation) -> Members<'a> {
    let mut members = match operation {
        Operation::Union => union(sources, options),
        Operation::Intersection => intersection(sources, options, usize::MAX),
        Operation::Difference => difference(sources),
    };
    members.sort_unstable_by(|(member, score), (other, other_score)| {
        let scores = score.partial_cmp(other_score);
        scores
            .unwrap_or(std::cmp::Ordering::Equal)
            .then_with(|| member.cmp(other))
    });
    members
}

fn union<'a>(sources: &Sources<'a>, options: &Options) -> Members<'a> {
    let mut scores: HashMap<&[u8], f64> = HashMap::new();
    for (source, weight) in options.weighed(sources) {
        for (member, score) in source.iter() {
            let score = number_or_0(score * weight);
            scores
                .entry(member)
                .and_modify(|known| *known = options.aggregate.of_two(*known, score))
                .or_insert(score);
        }
    }
    scores.into_iter().collect()
}

/// At most so many. Goes through the smallest set only.
fn intersection<'a>(sources: &Sources<'a>, options: &Options, limit: usize) -> Members<'a> {
    let weighed = options.weighed(sources);
    let Some(((smallest, weight), others)) = weighed.split_first() else {
        return Vec::new();
    };
    let in_all = |(member, score): (&'a [u8], f64)| {
        let first = number_or_0(score * weight);
        let score = others.iter().try_fold(first, |known, (other, weight)| {
            let score = other.score(member)? * weight;
            Some(options.aggregate.of_two(known, score))
        });
        Some((member, score?))
    };
    smallest.iter().filter_map(in_all).take(limit).collect()
}

fn difference<'a>(sources: &Sources<'a>) -> Members<'a> {
    let Some((first, others)) = sources.split_first() else {
        return Vec::new();
    };
    let is_only = |(member, _): &(&[u8], f64)| !others.iter().any(|other| other.score(member).is_some());
    first.iter().filter(is_only).collect()
}
