//! Sets, beside a model of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use crate::testing::Bed;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn members_come_and_go() {
    Bed::new().check(
        r#"
        SADD s a b a c -> 3
        SADD s a -> 0
        SCARD s -> 3
        SISMEMBER s a -> 1
        SISMEMBER s x -> 0
        SISMEMBER none x -> 0
        SMISMEMBER s a x c -> [1, 0, 1]
        SMISMEMBER none a -> [0]
        SMEMBERS s -> ["a", "b", "c"]
        SMEMBERS none -> []
        SCARD none -> 0
        SREM s a x a -> 1
        SMEMBERS s -> ["c", "b"]
        SREM s b c -> 2
        SREM s b -> 0
        SADD s "\x00\xff" '' -> 2
        SMISMEMBER s "\x00\xff" '' -> [1, 1]
        SADD -> -ERR wrong number of arguments for 'sadd' command
        "#,
    );
    Bed::new().resp3().check(
        r#"
        SADD s a -> 1
        SMEMBERS s -> ~{"a"}
        SINTER s -> ~{"a"}
        SMISMEMBER s a -> [1]
        SRANDMEMBER s 1 -> ["a"]
        SRANDMEMBER none -> nil
        SPOP s 1 -> ~{"a"}
        SPOP s -> nil
        "#,
    );
}

#[test]
fn members_move() {
    let mut bed = Bed::new();
    bed.check(
        r#"
        SADD a x y -> 2
        SMOVE a b x -> 1
        SMOVE a b x -> 0
        SMOVE none b x -> 0
        SMOVE a a y -> 1
        SMOVE a a x -> 0
        SMEMBERS b -> ["x"]
        SADD b y -> 1
        SMOVE a b y -> 1
        "#,
    );
    assert_eq!(bed.events(), ["srem a", "del a"]);
    bed.check("SMEMBERS b -> [\"x\", \"y\"]");
    bed.run("SMOVE b c x");
    assert_eq!(bed.events(), ["srem b", "sadd c"]);
}

#[test]
fn others_hear_of_what_changed() {
    let mut bed = Bed::new();
    for (line, events) in [
        ("SADD s a b c", &["sadd s"][..]),
        ("SADD s a", &[]),
        ("SREM s x", &[]),
        ("SREM s a", &["srem s"]),
        ("SPOP s", &["spop s"]),
        ("SPOP s 0", &[]),
        ("SPOP s 2", &["spop s", "del s"]),
        ("SPOP s", &[]),
        ("SADD a 1 2 3", &["sadd a"]),
        ("SUNIONSTORE u a", &["sunionstore u"]),
        ("SINTERSTORE u a", &["sinterstore u"]),
        ("SDIFFSTORE d a none", &["sdiffstore d"]),
        ("SDIFFSTORE d a a", &["del d"]),
        ("SDIFFSTORE d a a", &[]),
        ("SMEMBERS a", &[]),
        ("SREM a 1 2 3", &["srem a", "del a"]),
    ] {
        bed.run(line);
        assert_eq!(bed.events(), events, "{line}");
    }
}

#[test]
fn several_sets() {
    Bed::new().check(
        r#"
        SADD a 1 2 3 4 -> 4
        SADD b 2 3 4 5 -> 4
        SADD c 4 3 -> 2
        SINTER a b c -> ["4", "3"]
        SINTER a none -> []
        SUNION a b none -> ["1", "2", "3", "4", "5"]
        SDIFF a c none -> ["1", "2"]
        SDIFF none a -> []
        SDIFF a a -> []
        SINTERCARD 3 a b c -> 2
        SINTERCARD 3 a b c LIMIT 1 -> 1
        SINTERCARD 2 a b limit 0 -> 3
        SINTERCARD 2 a b LIMIT -1 -> -ERR LIMIT can't be negative
        SINTERCARD 2 a b LIMIT x -> -ERR LIMIT can't be negative
        SINTERCARD 2 a b LIMIT -> -ERR syntax error
        SINTERCARD 2 a b MORE 1 -> -ERR syntax error
        SINTERCARD 0 a -> -ERR numkeys should be greater than 0
        SINTERCARD x a -> -ERR numkeys should be greater than 0
        SINTERCARD 9223372036854775807 a -> -ERR Number of keys can't be greater than number of args
        SINTERSTORE a a b -> 3
        SUNIONSTORE none none -> 0
        SDIFFSTORE b b c -> 2
        SMEMBERS b -> ["2", "5"]
        "#,
    );
}

#[test]
fn what_is_stored_replaces_what_was_there() {
    let mut bed = Bed::new();
    bed.check(
        r#"
        SET a x PX 1000 -> OK
        SADD s 1 -> 1
        SUNIONSTORE a s -> 1
        SMEMBERS a -> ["1"]
        "#,
    );
    assert_eq!(bed.entry("a").unwrap().expires, None);
    bed.advance(Duration::from_secs(2));
    bed.check("SCARD a -> 1");
}

#[test]
fn other_kinds_are_refused() {
    let mut bed = Bed::new();
    bed.run("SET str x");
    bed.run("SADD s a");
    for line in [
        "SADD str a",
        "SREM str a",
        "SISMEMBER str a",
        "SMISMEMBER str a",
        "SMEMBERS str",
        "SCARD str",
        "SPOP str",
        "SPOP str 0",
        "SRANDMEMBER str",
        "SRANDMEMBER str 1",
        "SMOVE str s a",
        "SMOVE s str a",
        "SMOVE s str none",
        "SINTER s str",
        "SINTER none str",
        "SINTERCARD 2 none str",
        "SINTERSTORE s str",
        "SUNION s str",
        "SUNIONSTORE s str",
        "SDIFF none str",
        "SDIFFSTORE s none str",
        "SSCAN str 0",
    ] {
        assert_eq!(bed.run(line), WRONG_TYPE, "{line}");
        assert!(bed.events().is_empty(), "{line}");
    }
    bed.check("SMEMBERS s -> [\"a\"]");
}

#[test]
fn members_by_chance() {
    let mut bed = Bed::new();
    bed.check(
        r#"
        SRANDMEMBER none -> nil
        SRANDMEMBER none 3 -> []
        SRANDMEMBER none -3 -> []
        SPOP none -> nil
        SPOP none 3 -> []
        SADD s a -> 1
        SRANDMEMBER s -> "a"
        SRANDMEMBER s -3 -> ["a", "a", "a"]
        SRANDMEMBER s 9223372036854775807 -> ["a"]
        SRANDMEMBER s -9223372036854775808 -> -ERR value is out of range
        SRANDMEMBER s x -> -ERR value is not an integer or out of range
        SRANDMEMBER s 1 2 -> -ERR syntax error
        SPOP s -1 -> -ERR value is out of range, must be positive
        SPOP s x -> -ERR value is out of range, must be positive
        SPOP s 1 1 -> -ERR syntax error
        SPOP s 0 -> []
        SPOP s 9223372036854775807 -> ["a"]
        SCARD s -> 0
        SADD s 1 2 3 4 5 6 7 8 9 -> 9
        "#,
    );
    assert_eq!(members(&bed.run("SRANDMEMBER s 5")).len(), 5);
    let popped = members(&bed.run("SPOP s 4"));
    assert_eq!(popped.len(), 4);
    let left = members(&bed.run("SMEMBERS s"));
    assert!(popped.is_disjoint(&left));
    assert_eq!(left.len(), 5);
    let last = members(&bed.run("SRANDMEMBER s -100"));
    assert!(last.is_subset(&left));
}

#[test]
fn scans_answer_in_parts() {
    Bed::new().check(
        r#"
        SADD s a1 b1 a2 b2 -> 4
        SSCAN s 0 COUNT 3 -> ["1", ["b2", "a2", "b1"]]
        SSCAN s 1 COUNT 3 -> ["0", ["a1"]]
        SSCAN s 0 -> ["0", ["b2", "a2", "b1", "a1"]]
        SSCAN s 0 MATCH a* COUNT 3 -> ["1", ["a2"]]
        SSCAN s 99 COUNT 1 -> ["3", ["b2"]]
        SSCAN none 0 -> ["0", []]
        SSCAN s x -> -ERR invalid cursor
        SSCAN s 0 COUNT 0 -> -ERR syntax error
        SSCAN s 0 COUNT x -> -ERR value is not an integer or out of range
        SSCAN s 0 MATCH -> -ERR syntax error
        "#,
    );
}

/// The words in quotes.
fn members(answer: &str) -> BTreeSet<String> {
    let words = answer.split('"').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

#[derive(Debug, Clone)]
enum Step {
    Add(usize, Vec<u8>),
    Remove(usize, Vec<u8>),
    Move(usize, usize, u8),
    Pop(usize, usize),
    Combine(&'static str, usize, Vec<usize>),
    Store(&'static str, usize, Vec<usize>),
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..3_usize;
    let members = || prop::collection::vec(0..12_u8, 1..8);
    let operation = || prop::sample::select(vec!["inter", "union", "diff"]);
    let keys = || prop::collection::vec(0..3_usize, 1..4);
    prop_oneof![
        4 => (key.clone(), members()).prop_map(|(key, members)| Step::Add(key, members)),
        2 => (key.clone(), members()).prop_map(|(key, members)| Step::Remove(key, members)),
        1 => (key.clone(), key.clone(), 0..12_u8).prop_map(|(from, to, member)| Step::Move(from, to, member)),
        1 => (key.clone(), 0..5_usize).prop_map(|(key, count)| Step::Pop(key, count)),
        2 => (operation(), key.clone(), keys()).prop_map(|(name, key, keys)| Step::Combine(name, key, keys)),
        1 => (operation(), key, keys()).prop_map(|(name, key, keys)| Step::Store(name, key, keys)),
    ]
}

type Model = BTreeMap<usize, BTreeSet<String>>;

fn combined(model: &Model, name: &str, first: usize, others: &[usize]) -> BTreeSet<String> {
    let of = |key: &usize| model.get(key).cloned().unwrap_or_default();
    others.iter().fold(of(&first), |known, other| match name {
        "inter" => &known & &of(other),
        "union" => &known | &of(other),
        _ => &known - &of(other),
    })
}

fn line(words: impl IntoIterator<Item = impl ToString>) -> String {
    let words: Vec<_> = words.into_iter().map(|word| word.to_string()).collect();
    words.join(" ")
}

fn take(bed: &mut Bed, model: &mut Model, step: Step) -> Result<(), TestCaseError> {
    match step {
        Step::Add(key, members) => {
            let answer = bed.run(&format!("SADD {key} {}", line(&members)));
            let set = model.entry(key).or_default();
            let added = members
                .iter()
                .filter(|member| set.insert(member.to_string()))
                .count();
            prop_assert_eq!(answer, added.to_string());
        }
        Step::Remove(key, members) => {
            let answer = bed.run(&format!("SREM {key} {}", line(&members)));
            let set = model.entry(key).or_default();
            let removed = members
                .iter()
                .filter(|member| set.remove(&member.to_string()))
                .count();
            prop_assert_eq!(answer, removed.to_string());
        }
        Step::Move(from, to, member) => {
            let answer = bed.run(&format!("SMOVE {from} {to} {member}"));
            let moves = model.entry(from).or_default().remove(&member.to_string());
            if moves {
                model.entry(to).or_default().insert(member.to_string());
            }
            prop_assert_eq!(answer, u8::from(moves).to_string());
        }
        Step::Pop(key, count) => {
            let popped = members(&bed.run(&format!("SPOP {key} {count}")));
            let set = model.entry(key).or_default();
            prop_assert_eq!(popped.len(), count.min(set.len()));
            prop_assert!(popped.iter().all(|member| set.remove(member)));
        }
        Step::Combine(name, first, others) => {
            let answer = members(&bed.run(&format!("S{name} {first} {}", line(&others))));
            prop_assert_eq!(answer, combined(model, name, first, &others));
        }
        Step::Store(name, first, others) => {
            let target = others.first().copied().unwrap_or(first);
            let answer = bed.run(&format!("S{name}STORE {target} {first} {}", line(&others)));
            let set = combined(model, name, first, &others);
            prop_assert_eq!(answer, set.len().to_string());
            model.insert(target, set);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn as_the_model(steps in prop::collection::vec(step(), 1..40)) {
        let (mut bed, mut model) = (Bed::new(), Model::new());
        for step in steps {
            take(&mut bed, &mut model, step)?;
            for key in 0..3 {
                let known = model.get(&key).cloned().unwrap_or_default();
                prop_assert_eq!(members(&bed.run(&format!("SMEMBERS {key}"))), known.clone());
                prop_assert_eq!(bed.entry(&key.to_string()).is_some(), !known.is_empty());
            }
        }
    }

    #[test]
    fn a_scan_sees_what_stays(
        len in 1..60_usize,
        count in 1..9_usize,
        changes in prop::collection::vec((0..80_usize, any::<bool>()), 0..40),
    ) {
        let mut bed = Bed::new();
        bed.run(&format!("SADD s {}", line(0..len)));
        let mut stay: BTreeSet<String> = (0..len).map(|member| member.to_string()).collect();
        let (mut seen, mut changes, mut cursor) = (BTreeSet::new(), changes.into_iter(), "0".to_owned());
        loop {
            let answer = bed.run(&format!("SSCAN s {cursor} COUNT {count}"));
            cursor = next_cursor(&answer);
            seen.append(&mut members(&answer.replacen('"', "", 2)));
            if cursor == "0" {
                break;
            }
            if let Some((member, is_added)) = changes.next() {
                // Those from `len` on come and go, the others only go.
                if is_added && member >= len {
                    bed.run(&format!("SADD s {member}"));
                } else {
                    bed.run(&format!("SREM s {member}"));
                    stay.remove(&member.to_string());
                }
            }
        }
        prop_assert!(stay.is_subset(&seen), "{:?} was not seen", stay.difference(&seen));
    }
}

/// The cursor that an answer begins with.
fn next_cursor(answer: &str) -> String {
    answer.split('"').nth(1).unwrap_or_default().to_owned()
}
