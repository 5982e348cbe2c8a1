//! Sorted sets beside models of them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::testing::Bed;

/// Scores by member. All are small integers, so that adding them is exact.
type Model = BTreeMap<String, i64>;

/// Members and scores in order.
fn ordered(model: &Model) -> Vec<(String, i64)> {
    let mut members: Vec<_> = model.clone().into_iter().collect();
    members.sort_by(|(member, score), (other, other_score)| (score, member).cmp(&(other_score, other)));
    members
}

/// How an answer shows members with their scores.
fn shown(members: &[(String, i64)]) -> String {
    let members: Vec<_> = members
        .iter()
        .map(|(member, score)| format!("\"{member}\", \"{score}\""))
        .collect();
    format!("[{}]", members.join(", "))
}

fn name(number: usize) -> String {
    // Of different lengths, so that their order is not that of the numbers.
    format!("{number:b}")
}

fn filled(bed: &mut Bed, key: &str, scores: &[(usize, i64)]) -> Model {
    let mut model = Model::new();
    for (member, score) in scores {
        bed.run(&format!("ZADD {key} {score} {}", name(*member)));
        model.insert(name(*member), *score);
    }
    model
}

#[derive(Debug, Clone)]
enum Step {
    Add(&'static str, usize, i64),
    Increment(usize, i64),
    Remove(usize),
    Pop(&'static str, usize),
    RemoveRanks(i64, i64),
    RemoveScores(i64, i64),
}

fn step() -> impl Strategy<Value = Step> {
    let option = prop::sample::select(vec!["", "NX", "XX", "GT", "LT", "XX GT", "XX LT"]);
    let (member, score) = (0..40_usize, -9..9_i64);
    prop_oneof![
        8 => (option, member.clone(), score.clone()).prop_map(|(option, member, score)| Step::Add(option, member, score)),
        2 => (member.clone(), score.clone()).prop_map(|(member, score)| Step::Increment(member, score)),
        2 => member.prop_map(Step::Remove),
        1 => (prop::sample::select(vec!["MIN", "MAX"]), 0..4_usize).prop_map(|(end, count)| Step::Pop(end, count)),
        1 => (-6..6_i64, -6..6_i64).prop_map(|(from, to)| Step::RemoveRanks(from, to)),
        1 => (score.clone(), score).prop_map(|(from, to)| Step::RemoveScores(from, to)),
    ]
}

/// Does a step to a model; tells the answer.
fn expected(model: &mut Model, step: &Step) -> String {
    match step {
        Step::Add(option, member, score) => {
            let known = model.get(&name(*member)).copied();
            let puts = option.split(' ').all(|option| match (option, known) {
                ("NX", known) => known.is_none(),
                ("XX", known) => known.is_some(),
                ("GT", Some(known)) => *score > known,
                ("LT", Some(known)) => *score < known,
                _ => true,
            });
            if puts {
                model.insert(name(*member), *score);
            }
            u8::from(puts && known.is_none()).to_string()
        }
        Step::Increment(member, by) => {
            let score = model.entry(name(*member)).or_default();
            *score += by;
            format!("\"{score}\"")
        }
        Step::Remove(member) => u8::from(model.remove(&name(*member)).is_some()).to_string(),
        Step::Pop(end, count) => {
            let mut members = ordered(model);
            if *end == "MAX" {
                members.reverse();
            }
            members.truncate(*count);
            for (member, _) in &members {
                model.remove(member);
            }
            shown(&members)
        }
        Step::RemoveRanks(from, to) => removed(model, |rank, len, _| between(rank, len, *from, *to)),
        Step::RemoveScores(from, to) => removed(model, |_, _, score| (*from..=*to).contains(&score)),
    }
}

fn removed(model: &mut Model, is_removed: impl Fn(i64, i64, i64) -> bool) -> String {
    let members = ordered(model);
    let len = i64::try_from(members.len()).unwrap();
    let mut count = 0;
    for ((member, score), rank) in members.into_iter().zip(0..) {
        if is_removed(rank, len, score) {
            model.remove(&member);
            count += 1;
        }
    }
    count.to_string()
}

/// Whether a rank is between two that may be counted from the end.
fn between(rank: i64, len: i64, from: i64, to: i64) -> bool {
    let counted = |end: i64| if end < 0 { len + end } else { end };
    (counted(from)..=counted(to)).contains(&rank)
}

fn line(step: &Step) -> String {
    match step {
        Step::Add(option, member, score) => format!("ZADD z {option} {score} {}", name(*member)),
        Step::Increment(member, by) => format!("ZINCRBY z {by} {}", name(*member)),
        Step::Remove(member) => format!("ZREM z {}", name(*member)),
        Step::Pop(end, count) => format!("ZPOP{end} z {count}"),
        Step::RemoveRanks(from, to) => format!("ZREMRANGEBYRANK z {from} {to}"),
        Step::RemoveScores(from, to) => format!("ZREMRANGEBYSCORE z {from} {to}"),
    }
}

/// An end of a range, and whether it is outside itself: `5`, `(5`.
fn end() -> impl Strategy<Value = (i64, bool)> {
    (-10..10_i64, any::<bool>())
}

fn is_between(value: i64, lower: (i64, bool), upper: (i64, bool)) -> bool {
    let is_above = value > lower.0 || (value == lower.0 && !lower.1);
    let is_below = value < upper.0 || (value == upper.0 && !upper.1);
    is_above && is_below
}

fn end_text(marks: [&str; 2], (end, is_outside): &(impl ToString, bool)) -> String {
    format!("{}{}", marks[usize::from(*is_outside)], end.to_string())
}

/// What is left of members, when as many as that are left out and taken; all if below 0.
fn limited(members: Vec<(String, i64)>, (offset, limit): (i64, i64)) -> Vec<(String, i64)> {
    let all = |count: i64| usize::try_from(count).unwrap_or(usize::MAX);
    members.into_iter().skip(all(offset)).take(all(limit)).collect()
}

/// The words in quotes.
fn words(answer: &str) -> Vec<String> {
    let words = answer.split('"').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

fn names(members: Vec<(String, i64)>) -> Vec<String> {
    members.into_iter().map(|(member, _)| member).collect()
}

fn members(score: impl Strategy<Value = i64>) -> impl Strategy<Value = Vec<(usize, i64)>> {
    prop::collection::vec((0..64_usize, score), 0..30)
}

fn limit() -> impl Strategy<Value = (i64, i64)> {
    prop_oneof![Just((0, -1)), (-1..8_i64, -1..8_i64)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn as_the_model(steps in prop::collection::vec(step(), 1..80)) {
        let (mut bed, mut model) = (Bed::new(), Model::new());
        for step in steps {
            let line = line(&step);
            prop_assert_eq!(bed.run(&line), expected(&mut model, &step), "{}", line);
            let members = ordered(&model);
            prop_assert_eq!(bed.run("ZRANGE z 0 -1 WITHSCORES"), shown(&members));
            prop_assert_eq!(bed.entry("z").is_some(), !model.is_empty());
            for (rank, (member, _)) in members.iter().enumerate().take(3) {
                prop_assert_eq!(bed.run(&format!("ZRANK z {member}")), rank.to_string());
            }
        }
    }

    #[test]
    fn ranges_of_ranks(scores in members(-9..9_i64), from in -35..35_i64, to in -35..35_i64) {
        let mut bed = Bed::new();
        let mut members = ordered(&filled(&mut bed, "z", &scores));
        let len = i64::try_from(members.len()).unwrap();
        for command in ["ZRANGE z {} WITHSCORES", "ZRANGE z {} REV WITHSCORES", "ZREVRANGE z {} WITHSCORES"] {
            let answer = bed.run(&command.replace("{}", &format!("{from} {to}")));
            if command.contains("REV ") {
                members.reverse();
            }
            let found = members.iter().zip(0..).filter(|(_, rank)| between(*rank, len, from, to));
            let found: Vec<_> = found.map(|(member, _)| member.clone()).collect();
            prop_assert_eq!(answer, shown(&found), "{}", command);
        }
    }

    #[test]
    fn ranges_of_scores(scores in members(-9..9_i64), lower in end(), upper in end(), limit in limit()) {
        let mut bed = Bed::new();
        let mut members = ordered(&filled(&mut bed, "z", &scores));
        members.retain(|(_, score)| is_between(*score, lower, upper));
        let (low, high) = (end_text(["", "("], &lower), end_text(["", "("], &upper));
        prop_assert_eq!(bed.run(&format!("ZCOUNT z {low} {high}")), members.len().to_string());
        let bounds = format!("LIMIT {} {}", limit.0, limit.1);
        let found = shown(&limited(members.clone(), limit));
        for command in [
            format!("ZRANGE z {low} {high} BYSCORE {bounds} WITHSCORES"),
            format!("ZRANGEBYSCORE z {low} {high} WITHSCORES {bounds}"),
        ] {
            prop_assert_eq!(bed.run(&command), found.clone(), "{}", command);
        }
        members.reverse();
        let found = shown(&limited(members, limit));
        for command in [
            format!("ZRANGE z {high} {low} REV BYSCORE {bounds} WITHSCORES"),
            format!("ZREVRANGEBYSCORE z {high} {low} WITHSCORES {bounds}"),
        ] {
            prop_assert_eq!(bed.run(&command), found.clone(), "{}", command);
        }
    }

    #[test]
    fn ranges_of_names(
        scores in members(Just(0_i64)),
        lower in (0..64_usize, any::<bool>()),
        upper in (0..64_usize, any::<bool>()),
        limit in limit(),
    ) {
        let mut bed = Bed::new();
        let mut members = ordered(&filled(&mut bed, "z", &scores));
        let (lower, upper) = ((name(lower.0), lower.1), (name(upper.0), upper.1));
        members.retain(|(member, _)| {
            (*member > lower.0 || (*member == lower.0 && !lower.1))
                && (*member < upper.0 || (*member == upper.0 && !upper.1))
        });
        let (low, high) = (end_text(["[", "("], &lower), end_text(["[", "("], &upper));
        prop_assert_eq!(bed.run(&format!("ZLEXCOUNT z {low} {high}")), members.len().to_string());
        let bounds = format!("LIMIT {} {}", limit.0, limit.1);
        let found = names(limited(members.clone(), limit));
        prop_assert_eq!(words(&bed.run(&format!("ZRANGE z {low} {high} BYLEX {bounds}"))), found.clone());
        prop_assert_eq!(words(&bed.run(&format!("ZRANGEBYLEX z {low} {high} {bounds}"))), found);
        members.reverse();
        let found = names(limited(members, limit));
        prop_assert_eq!(words(&bed.run(&format!("ZREVRANGEBYLEX z {high} {low} {bounds}"))), found);
    }

    #[test]
    fn several_sets(
        first in members(-9..9_i64),
        second in members(-9..9_i64),
        weights in (-3..3_i64, -3..3_i64),
        aggregate in prop::sample::select(vec!["SUM", "MIN", "MAX"]),
    ) {
        let mut bed = Bed::new();
        let (first, second) = (filled(&mut bed, "a", &first), filled(&mut bed, "b", &second));
        let weigh = |member: &String| {
            let scores = [(first.get(member), weights.0), (second.get(member), weights.1)];
            let mut scores = scores.into_iter().filter_map(|(score, weight)| Some(score? * weight));
            let one = scores.next()?;
            Some(scores.fold(one, |one, other| match aggregate {
                "SUM" => one + other,
                "MIN" => one.min(other),
                _ => one.max(other),
            }))
        };
        let options = format!("WEIGHTS {} {} AGGREGATE {aggregate}", weights.0, weights.1);
        let all: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
        let union: Model = all.iter().filter_map(|member| Some(((*member).clone(), weigh(member)?))).collect();
        let mut common = union.clone();
        common.retain(|member, _| first.contains_key(member) && second.contains_key(member));
        let mut only = first.clone();
        only.retain(|member, _| !second.contains_key(member));
        for (name, options, expected) in [("UNION", &*options, union), ("INTER", &*options, common), ("DIFF", "", only)] {
            let expected = shown(&ordered(&expected)).replace("\"-0\"", "\"0\"");
            let answer = bed.run(&format!("Z{name} 2 a b {options} WITHSCORES"));
            prop_assert_eq!(answer.replace("\"-0\"", "\"0\""), expected.clone(), "{}", name);
            bed.run(&format!("Z{name}STORE c 2 a b {options}"));
            let stored = bed.run("ZRANGE c 0 -1 WITHSCORES");
            prop_assert_eq!(stored.replace("\"-0\"", "\"0\""), expected, "{}", name);
        }
    }

    #[test]
    fn a_scan_sees_what_stays(
        len in 1..50_usize,
        count in 1..9_usize,
        changes in prop::collection::vec((0..70_usize, -9..9_i64), 0..40),
    ) {
        let mut bed = Bed::new();
        let scores: Vec<_> = (0..len).map(|member| (member, 0)).collect();
        let mut stay = filled(&mut bed, "z", &scores);
        let (mut seen, mut changes, mut cursor) = (BTreeSet::new(), changes.into_iter(), "0".to_owned());
        loop {
            let answer = words(&bed.run(&format!("ZSCAN z {cursor} COUNT {count}")));
            let (next, members) = answer.split_first().unwrap();
            seen.extend(members.iter().step_by(2).cloned());
            cursor.clone_from(next);
            if cursor == "0" {
                break;
            }
            // Scores change, members from `len` on come, and others go.
            match changes.next() {
                Some((member, score)) if score > 0 || member >= len => {
                    bed.run(&format!("ZADD z {score} {}", name(member)));
                }
                Some((member, _)) => {
                    bed.run(&format!("ZREM z {}", name(member)));
                    stay.remove(&name(member));
                }
                None => {}
            }
        }
        let missed: Vec<_> = stay.keys().filter(|member| !seen.contains(*member)).collect();
        prop_assert!(missed.is_empty(), "{:?} were not seen", missed);
    }
}
