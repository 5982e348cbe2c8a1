//! Hashes, beside a model of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use crate::testing::Bed;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn fields_are_set_and_removed() {
    Bed::new().check(
        r#"
        HSET h a 1 b 2 a 3 -> 2
        HSET h a 1 c "\x00\xff" '' '' -> 2
        HGET h a -> "1"
        HGET h c -> "\x00\xff"
        HGET h '' -> ""
        HGET h x -> nil
        HGET none x -> nil
        HMSET h a 5 d 4 -> OK
        HSETNX h a 6 -> 0
        HSETNX h e 6 -> 1
        HSETNX new e 6 -> 1
        HMGET h a x e -> ["5", nil, "6"]
        HMGET none a b -> [nil, nil]
        HEXISTS h a -> 1
        HEXISTS h x -> 0
        HEXISTS none x -> 0
        HSTRLEN h c -> 2
        HSTRLEN h x -> 0
        HSTRLEN none x -> 0
        HLEN h -> 6
        HLEN none -> 0
        HDEL h a x a '' -> 2
        HDEL none x -> 0
        HGETALL h -> ["e", "6", "b", "2", "c", "\x00\xff", "d", "4"]
        HKEYS h -> ["e", "b", "c", "d"]
        HVALS h -> ["6", "2", "\x00\xff", "4"]
        HDEL h b c d e -> 4
        EXISTS h -> 0
        HGETALL h -> []
        HKEYS h -> []
        HVALS h -> []
        HSET h a -> -ERR wrong number of arguments for 'hset' command
        HSET h a 1 b -> -ERR wrong number of arguments for 'hset' command
        HMSET h a 1 b -> -ERR wrong number of arguments for 'hmset' command
        EXISTS h -> 0
        "#,
    );
    Bed::new().resp3().check(
        r#"
        HGETALL h -> {}
        HSET h a 1 -> 1
        HGETALL h -> {"a": "1"}
        HKEYS h -> ["a"]
        HRANDFIELD h -> "a"
        HRANDFIELD h 1 -> ["a"]
        HRANDFIELD h 1 WITHVALUES -> [["a", "1"]]
        HRANDFIELD h -2 withvalues -> [["a", "1"], ["a", "1"]]
        HRANDFIELD none -> nil
        HRANDFIELD none 1 WITHVALUES -> []
        HSCAN h 0 -> ["0", ["a", "1"]]
        HINCRBYFLOAT h a 0.5 -> "1.5"
        "#,
    );
}

#[test]
fn fields_count() {
    Bed::new().check(
        r#"
        HINCRBY h n 5 -> 5
        HINCRBY h n -7 -> -2
        HGET h n -> "-2"
        HINCRBY h n x -> -ERR value is not an integer or out of range
        HSET h t abc max 9223372036854775807 min -9223372036854775808 sp ' 1' -> 4
        HINCRBY h t 1 -> -ERR hash value is not an integer
        HINCRBY h sp 1 -> -ERR hash value is not an integer
        HINCRBY h max 1 -> -ERR increment or decrement would overflow
        HINCRBY h min -1 -> -ERR increment or decrement would overflow
        HGET h max -> "9223372036854775807"
        HINCRBYFLOAT h f 10.5 -> "10.5"
        HINCRBYFLOAT h f 0.1 -> "10.6"
        HINCRBYFLOAT h f -10.6 -> "0"
        HINCRBYFLOAT h f 5.0e3 -> "5000"
        HINCRBYFLOAT h n 3 -> "1"
        HINCRBYFLOAT h f x -> -ERR value is not a valid float
        HINCRBYFLOAT h f nan -> -ERR value is not a valid float
        HINCRBYFLOAT h f inf -> -ERR value is NaN or Infinity
        HINCRBYFLOAT h t 1 -> -ERR hash value is not a float
        HINCRBYFLOAT h sp 1 -> -ERR hash value is not a float
        HSET h big 1.7e308 -> 1
        HINCRBYFLOAT h big 1.7e308 -> -ERR increment would produce NaN or Infinity
        HGET h big -> "1.7e308"
        HINCRBY new n x -> -ERR value is not an integer or out of range
        HINCRBYFLOAT new n x -> -ERR value is not a valid float
        EXISTS new -> 0
        "#,
    );
}

#[test]
fn fields_are_drawn() {
    let mut bed = Bed::new();
    bed.check(
        "
        HRANDFIELD none -> nil
        HRANDFIELD none 1 -> []
        HRANDFIELD none -5 -> []
        HRANDFIELD none -9223372036854775807 -> []
        HRANDFIELD none x -> -ERR value is not an integer or out of range
        HSET h a 1 -> 1
        HRANDFIELD h -> \"a\"
        HRANDFIELD h 0 -> []
        HRANDFIELD h 0 WITHVALUES -> []
        HRANDFIELD h 5 -> [\"a\"]
        HRANDFIELD h -2 -> [\"a\", \"a\"]
        HRANDFIELD h 9223372036854775807 -> [\"a\"]
        HRANDFIELD h 1 WITHVALUES -> [\"a\", \"1\"]
        HRANDFIELD h -2 WITHVALUES -> [\"a\", \"1\", \"a\", \"1\"]
        HRANDFIELD h -9223372036854775807 -> -ERR value is out of range
        HRANDFIELD h -9223372036854775808 -> -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        HRANDFIELD h 9223372036854775807 WITHVALUES -> -ERR value is out of range
        HRANDFIELD h 1 WITH -> -ERR syntax error
        HRANDFIELD h 1 WITHVALUES x -> -ERR syntax error
        HSET h b 2 c 3 d 4 -> 3
        ",
    );
    let mut drawn = BTreeSet::new();
    for _ in 0..1_000 {
        drawn.insert(bed.run("HRANDFIELD h 2 WITHVALUES"));
        let one = bed.run("HRANDFIELD h");
        assert!(["\"a\"", "\"b\"", "\"c\"", "\"d\""].contains(&&*one), "{one}");
    }
    // Any two of them in either order, but none twice.
    assert!((6..=12).contains(&drawn.len()), "{drawn:?}");
    for pairs in drawn {
        let words: Vec<_> = pairs.trim_matches(['[', ']']).split(", ").collect();
        assert_ne!(words[0], words[2]);
        for pair in words.chunks(2) {
            assert_eq!(bed.run(&format!("HGET h {}", pair[0])), pair[1]);
        }
    }
}

#[test]
fn fields_are_scanned() {
    let mut bed = Bed::new();
    bed.check(
        r#"
        HSCAN none 0 -> ["0", []]
        HSCAN none x -> -ERR invalid cursor
        HSET h a1 1 a2 2 b1 3 -> 3
        HSCAN h 0 -> ["0", ["b1", "3", "a2", "2", "a1", "1"]]
        HSCAN h 0 MATCH a* -> ["0", ["a2", "2", "a1", "1"]]
        HSCAN h 0 COUNT 2 -> ["1", ["b1", "3", "a2", "2"]]
        HSCAN h 1 COUNT 2 -> ["0", ["a1", "1"]]
        HSCAN h 0 MATCH 'a[13-9]' count 2 -> ["1", []]
        HSCAN h 18446744073709551615 -> ["0", ["b1", "3", "a2", "2", "a1", "1"]]
        HSCAN h 18446744073709551616 -> -ERR invalid cursor
        HSCAN h 0 COUNT 0 -> -ERR syntax error
        HSCAN h 0 COUNT x -> -ERR value is not an integer or out of range
        HSCAN h 0 MATCH -> -ERR syntax error
        HSCAN h 0 NOVALUES -> -ERR syntax error
        "#,
    );
}

#[test]
fn a_scan_sees_what_stays() {
    let mut bed = Bed::new();
    for number in 0..100 {
        bed.run(&format!("HSET h {number} x"));
    }
    let (mut seen, mut cursor, mut step) = (BTreeSet::new(), "0".to_owned(), 0);
    loop {
        let answer = bed.run(&format!("HSCAN h {cursor} COUNT 7"));
        let words: Vec<_> = answer
            .split('"')
            .filter(|word| !word.contains([',', '[', ']']))
            .collect();
        cursor = words[0].to_owned();
        seen.extend(words[1..].iter().step_by(2).map(|word| (*word).to_owned()));
        if cursor == "0" {
            break;
        }
        // What ends in 3 goes, and others come, while it lasts.
        bed.run(&format!("HDEL h {}", step % 10 * 10 + 3));
        bed.run(&format!("HSET h new{step} x"));
        step += 1;
    }
    for number in (0..100).filter(|number| number % 10 != 3) {
        assert!(seen.contains(&number.to_string()), "{number}");
    }
}

#[test]
fn other_kinds_are_refused_and_stay() {
    let mut bed = Bed::new();
    bed.check("SET s x -> OK");
    for line in [
        "HSET s a 1",
        "HMSET s a 1",
        "HSETNX s a 1",
        "HGET s a",
        "HMGET s a",
        "HGETALL s",
        "HDEL s a",
        "HEXISTS s a",
        "HLEN s",
        "HSTRLEN s a",
        "HKEYS s",
        "HVALS s",
        "HINCRBY s a 1",
        "HINCRBYFLOAT s a 1",
        "HRANDFIELD s",
        "HRANDFIELD s 1",
        "HSCAN s 0",
    ] {
        assert_eq!(bed.run(line), WRONG_TYPE, "{line}");
        assert!(bed.events().is_empty(), "{line}");
    }
    bed.check("GET s -> \"x\"");
}

#[test]
fn what_happens_is_told() {
    let mut bed = Bed::new();
    for (line, events) in [
        ("HSET h a 1 b 2", &["hset h"][..]),
        ("HMSET h a 1", &["hset h"]),
        ("HSETNX h a 1", &[]),
        ("HSETNX h c 1", &["hset h"]),
        ("HINCRBY h a 1", &["hincrby h"]),
        ("HINCRBYFLOAT h a 1", &["hincrbyfloat h"]),
        ("HDEL h x", &[]),
        ("HDEL h a b", &["hdel h"]),
        ("HDEL h c", &["hdel h", "del h"]),
    ] {
        bed.run(line);
        assert_eq!(bed.events(), events, "{line}");
        assert!(bed.fed().is_empty());
    }
}

#[test]
fn a_new_hash_has_no_expiry_of_the_old_one() {
    let mut bed = Bed::new();
    bed.check(
        "
        HSET h a 1 -> 1
        PEXPIRE h 1000 -> 1
        HINCRBY h a 1 -> 2
        PTTL h -> 1000
        HDEL h a -> 1
        HSET h a 1 -> 1
        PTTL h -> -1
        PEXPIRE h 1000 -> 1
        ",
    );
    bed.advance(Duration::from_secs(2));
    bed.check("HLEN h -> 0");
}

/// A change of a hash.
#[derive(Debug, Clone)]
enum Step {
    Set(Vec<(u8, i8)>),
    SetNew(u8, i8),
    Remove(Vec<u8>),
    Add(u8, i8),
}

fn step() -> impl Strategy<Value = Step> {
    let field = || 0..8_u8;
    prop_oneof![
        prop::collection::vec((field(), any::<i8>()), 1..4).prop_map(Step::Set),
        (field(), any::<i8>()).prop_map(|(field, value)| Step::SetNew(field, value)),
        prop::collection::vec(field(), 1..5).prop_map(Step::Remove),
        (field(), any::<i8>()).prop_map(|(field, by)| Step::Add(field, by)),
    ]
}

/// The line of a command, and what the model answers.
fn modelled(model: &mut BTreeMap<u8, i64>, step: Step) -> (String, i64) {
    match step {
        Step::Set(pairs) => {
            let mut line = "HSET h".to_owned();
            let mut added = 0;
            for (field, value) in pairs {
                line += &format!(" {field} {value}");
                added += i64::from(model.insert(field, value.into()).is_none());
            }
            (line, added)
        }
        Step::SetNew(field, value) => {
            let is_new = !model.contains_key(&field);
            model.entry(field).or_insert(value.into());
            (format!("HSETNX h {field} {value}"), is_new.into())
        }
        Step::Remove(fields) => {
            let words: Vec<_> = fields.iter().map(u8::to_string).collect();
            let removed = fields.iter().filter(|field| model.remove(field).is_some());
            let removed = removed.count() as i64;
            (format!("HDEL h {}", words.join(" ")), removed)
        }
        Step::Add(field, by) => {
            let value = model.entry(field).or_default();
            *value += i64::from(by);
            (format!("HINCRBY h {field} {by}"), *value)
        }
    }
}

proptest! {
    #[test]
    fn hashes_are_as_their_model(steps in prop::collection::vec(step(), 1..40)) {
        let (mut bed, mut model) = (Bed::new(), BTreeMap::new());
        for step in steps {
            let (line, answer) = modelled(&mut model, step);
            prop_assert_eq!(bed.run(&line), answer.to_string(), "{}", line);
            prop_assert_eq!(bed.run("HLEN h"), model.len().to_string());
            prop_assert_eq!(bed.run("EXISTS h"), usize::from(!model.is_empty()).to_string());
            for field in 0..8 {
                let answer = model.get(&field).map_or("nil".to_owned(), |value| format!("\"{value}\""));
                prop_assert_eq!(bed.run(&format!("HGET h {field}")), answer);
            }
            let all = bed.run("HGETALL h");
            for (field, value) in &model {
                let pair = format!("\"{field}\", \"{value}\"");
                prop_assert!(all.contains(&pair));
            }
        }
    }
}
