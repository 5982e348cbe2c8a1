//! Lists, beside a model of them.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use crate::testing::Bed;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn elements_are_pushed_and_popped() {
    Bed::new().check(
        r#"
        LPUSH l a b -> 2
        RPUSH l c "\x00\xff" '' -> 5
        LPUSHX none a -> 0
        RPUSHX none a -> 0
        EXISTS none -> 0
        LPUSHX l x y -> 7
        RPUSHX l z -> 8
        LRANGE l 0 -1 -> ["y", "x", "b", "a", "c", "\x00\xff", "", "z"]
        LLEN l -> 8
        LLEN none -> 0
        LPOP l -> "y"
        RPOP l -> "z"
        LPOP l 2 -> ["x", "b"]
        RPOP l 2 -> ["", "\x00\xff"]
        LPOP l 0 -> []
        LPOP l 9223372036854775807 -> ["a", "c"]
        EXISTS l -> 0
        LPOP l -> nil
        RPOP l 0 -> nil
        LPOP l -1 -> -ERR value is out of range, must be positive
        LPOP l x -> -ERR value is out of range, must be positive
        LPOP l 1 2 -> -ERR wrong number of arguments for 'lpop' command
        RPOP l 1 2 -> -ERR wrong number of arguments for 'rpop' command
        "#,
    );
}

#[test]
fn nulls_have_the_shape_of_what_is_not_there() {
    let mut bed = Bed::new();
    for (line, answer) in [
        ("LPOP none", "$-1\r\n"),
        ("LPOP none 1", "*-1\r\n"),
        ("LMPOP 1 none LEFT", "*-1\r\n"),
        ("LMOVE none l LEFT LEFT", "$-1\r\n"),
        ("RPOPLPUSH none l", "$-1\r\n"),
        ("LPOS none a", "$-1\r\n"),
        ("LPOS none a COUNT 1", "*0\r\n"),
        ("LINDEX none 0", "$-1\r\n"),
    ] {
        assert_eq!(bed.run_raw(line), answer, "{line}");
    }
}

#[test]
fn places_are_looked_at() {
    Bed::new().check(
        "
        RPUSH l a b c -> 3
        LINDEX l 0 -> \"a\"
        LINDEX l -1 -> \"c\"
        LINDEX l 3 -> nil
        LINDEX l -4 -> nil
        LINDEX l -9223372036854775808 -> nil
        LINDEX l x -> -ERR value is not an integer or out of range
        LINDEX none x -> nil
        LRANGE l 1 1 -> [\"b\"]
        LRANGE l -2 -1 -> [\"b\", \"c\"]
        LRANGE l -100 100 -> [\"a\", \"b\", \"c\"]
        LRANGE l 2 1 -> []
        LRANGE l 3 5 -> []
        LRANGE l 0 -4 -> []
        LRANGE l -9223372036854775808 9223372036854775807 -> [\"a\", \"b\", \"c\"]
        LRANGE none 0 -1 -> []
        LRANGE none x -1 -> -ERR value is not an integer or out of range
        ",
    );
}

#[test]
fn elements_are_found() {
    Bed::new().check(
        "
        RPUSH l a b c 1 2 3 c c -> 8
        LPOS l c -> 2
        LPOS l x -> nil
        LPOS l c RANK 2 -> 6
        LPOS l c RANK -1 -> 7
        LPOS l c RANK 4 -> nil
        LPOS l c COUNT 2 -> [2, 6]
        LPOS l c COUNT 0 -> [2, 6, 7]
        LPOS l c RANK -1 COUNT 2 -> [7, 6]
        LPOS l c RANK -2 COUNT 0 MAXLEN 3 -> [6]
        LPOS l c COUNT 0 MAXLEN 3 -> [2]
        LPOS l c COUNT 0 MAXLEN 2 -> []
        LPOS l c MAXLEN 2 -> nil
        LPOS l c COUNT 0 COUNT 1 -> [2]
        LPOS l c RANK -9223372036854775807 -> nil
        LPOS l c RANK -9223372036854775808 -> -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        LPOS l c RANK x -> -ERR value is not an integer or out of range
        LPOS l c RANK 0 -> -ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list
        LPOS l c COUNT -1 -> -ERR COUNT can't be negative
        LPOS l c COUNT x -> -ERR COUNT can't be negative
        LPOS l c MAXLEN -1 -> -ERR MAXLEN can't be negative
        LPOS l c MAXLEN -> -ERR syntax error
        LPOS l c FOO 1 -> -ERR syntax error
        ",
    );
}

#[test]
fn elements_are_changed_in_place() {
    Bed::new().check(
        "
        RPUSH l a b a c a -> 5
        LSET l 1 B -> OK
        LSET l -1 A -> OK
        LSET l 5 x -> -ERR index out of range
        LSET l -6 x -> -ERR index out of range
        LSET l x x -> -ERR value is not an integer or out of range
        LSET none x x -> -ERR no such key
        LRANGE l 0 -1 -> [\"a\", \"B\", \"a\", \"c\", \"A\"]
        LINSERT l BEFORE a 1 -> 6
        LINSERT l after a 2 -> 7
        LINSERT l AFTER A 3 -> 8
        LINSERT l AFTER x 3 -> -1
        LINSERT none AFTER x 3 -> 0
        LINSERT none NEXT x 3 -> -ERR syntax error
        LRANGE l 0 -1 -> [\"1\", \"a\", \"2\", \"B\", \"a\", \"c\", \"A\", \"3\"]
        LREM l -1 a -> 1
        LRANGE l 0 -1 -> [\"1\", \"a\", \"2\", \"B\", \"c\", \"A\", \"3\"]
        LREM l 1 x -> 0
        LREM l 5 a -> 1
        LREM none 0 a -> 0
        LREM l x a -> -ERR value is not an integer or out of range
        LTRIM l 1 -2 -> OK
        LRANGE l 0 -1 -> [\"2\", \"B\", \"c\", \"A\"]
        LTRIM l 0 100 -> OK
        LLEN l -> 4
        LTRIM l 5 4 -> OK
        EXISTS l -> 0
        LTRIM l 0 0 -> OK
        LTRIM l x 0 -> -ERR value is not an integer or out of range
        RPUSH l a a a -> 3
        LREM l -9223372036854775808 a -> 3
        EXISTS l -> 0
        ",
    );
}

#[test]
fn elements_move() {
    Bed::new().check(
        "
        RPUSH a 1 2 3 -> 3
        LMOVE a b LEFT RIGHT -> \"1\"
        LMOVE a b right left -> \"3\"
        LRANGE b 0 -1 -> [\"3\", \"1\"]
        RPOPLPUSH b b -> \"1\"
        LRANGE b 0 -1 -> [\"1\", \"3\"]
        RPOPLPUSH a b -> \"2\"
        EXISTS a -> 0
        RPOPLPUSH a b -> nil
        LMOVE a b LEFT UP -> -ERR syntax error
        LMOVE a b UP LEFT -> -ERR syntax error
        RPUSH one x -> 1
        LMOVE one one LEFT RIGHT -> \"x\"
        LLEN one -> 1
        SET s x -> OK
        LMOVE none s LEFT LEFT -> nil
        BLMOVE b c LEFT LEFT 0 -> \"2\"
        BRPOPLPUSH b c 0 -> \"3\"
        LRANGE c 0 -1 -> [\"3\", \"2\"]
        ",
    );
}

#[test]
fn several_lists_are_asked_in_turn() {
    Bed::new().check(
        "
        RPUSH b 1 2 3 4 5 6 -> 6
        LMPOP 2 a b LEFT -> [\"b\", [\"1\"]]
        LMPOP 2 a b RIGHT COUNT 2 -> [\"b\", [\"6\", \"5\"]]
        LMPOP 1 a LEFT -> nil
        BLMPOP 0 2 a b LEFT COUNT 1 -> [\"b\", [\"2\"]]
        BLPOP a b 0 -> [\"b\", \"3\"]
        BRPOP a b 0 -> [\"b\", \"4\"]
        EXISTS b -> 0
        LMPOP 0 a LEFT -> -ERR numkeys should be greater than 0
        LMPOP x a LEFT -> -ERR numkeys should be greater than 0
        LMPOP 2 a LEFT -> -ERR syntax error
        LMPOP 9223372036854775807 a LEFT -> -ERR syntax error
        LMPOP 1 a UP -> -ERR syntax error
        LMPOP 1 a LEFT COUNT -> -ERR syntax error
        LMPOP 1 a LEFT COUNT 1 COUNT 1 -> -ERR syntax error
        LMPOP 1 a LEFT COUNT 0 -> -ERR count should be greater than 0
        LMPOP 1 a LEFT COUNT x -> -ERR count should be greater than 0
        BLMPOP 0 0 a LEFT -> -ERR numkeys should be greater than 0
        BLMPOP 0 1 a UP -> -ERR syntax error
        ",
    );
}

#[test]
fn nothing_is_answered_as_long_as_there_is_nothing() {
    let mut bed = Bed::new();
    for line in [
        "BLPOP a b 0",
        "BRPOP a 0",
        "BLMOVE a b LEFT LEFT 0",
        "BRPOPLPUSH a b 0",
        "BLMPOP 0 1 a LEFT",
    ] {
        assert_eq!(bed.run(line), "", "{line}");
        assert!(bed.events().is_empty());
    }
}

#[test]
fn other_kinds_are_refused_and_stay() {
    let mut bed = Bed::new();
    bed.check("SET s x -> OK\nRPUSH l a -> 1");
    for line in [
        "LPUSH s a",
        "RPUSH s a",
        "LPUSHX s a",
        "RPUSHX s a",
        "LPOP s",
        "RPOP s 1",
        "LPOP s 0",
        "LLEN s",
        "LRANGE s 0 0",
        "LINDEX s x",
        "LSET s x x",
        "LINSERT s BEFORE a b",
        "LREM s 0 a",
        "LTRIM s 0 0",
        "LPOS s a",
        "LMOVE s l LEFT LEFT",
        "LMOVE l s LEFT LEFT",
        "RPOPLPUSH l s",
        "LMPOP 2 none s LEFT",
        "BLPOP none s 0",
        "BRPOP s 0",
        "BLMOVE l s LEFT LEFT 0",
        "BRPOPLPUSH s l 0",
        "BLMPOP 0 1 s LEFT",
    ] {
        assert_eq!(bed.run(line), WRONG_TYPE, "{line}");
        assert!(bed.events().is_empty() && bed.fed().is_empty(), "{line}");
    }
    bed.check("GET s -> \"x\"\nLRANGE l 0 -1 -> [\"a\"]");
}

#[test]
fn what_happens_is_told() {
    let mut bed = Bed::new();
    for (line, events, fed) in [
        ("LPUSH l a", &["lpush l"][..], "l"),
        ("RPUSH l b c", &["rpush l"], "l"),
        ("LPUSHX none a", &[], ""),
        ("LINSERT l BEFORE b x", &["linsert l"], "l"),
        ("LSET l 1 y", &["lset l"], ""),
        ("LREM l 0 y", &["lrem l"], ""),
        ("LREM l 0 y", &[], ""),
        ("LTRIM l 0 1", &["ltrim l"], ""),
        ("LMOVE l m LEFT RIGHT", &["rpush m", "lpop l"], "m"),
        ("RPOPLPUSH l m", &["lpush m", "rpop l", "del l"], "m"),
        ("RPOPLPUSH m m", &["lpush m", "rpop m"], "m"),
        ("LPOP m 0", &[], ""),
        ("LPOP m", &["lpop m"], ""),
        ("BRPOP m 0", &["rpop m", "del m"], ""),
        ("RPUSH m a b", &["rpush m"], "m"),
        ("BLMPOP 0 1 m LEFT COUNT 5", &["lpop m", "del m"], ""),
    ] {
        bed.run(line);
        assert_eq!(bed.events(), events, "{line}");
        assert_eq!(bed.fed().concat(), fed, "{line}");
    }
}

#[test]
fn a_new_list_has_no_expiry_of_the_old_one() {
    let mut bed = Bed::new();
    bed.check(
        "
        RPUSH l a -> 1
        PEXPIRE l 1000 -> 1
        RPUSH l b -> 2
        PTTL l -> 1000
        RPOPLPUSH l l -> \"b\"
        PTTL l -> 1000
        LPOP l 2 -> [\"b\", \"a\"]
        RPUSH l c -> 1
        PTTL l -> -1
        PEXPIRE l 1000 -> 1
        ",
    );
    bed.advance(Duration::from_secs(2));
    bed.check("LLEN l -> 0\nLPUSHX l a -> 0");
}

#[test]
fn a_great_list_is_changed_without_going_round_and_round() {
    const COUNT: usize = 200_000;
    let mut bed = Bed::new();
    let elements = (0..COUNT).map(|number| if number % 2 == 0 { "even" } else { "odd" });
    let args = ["RPUSH", "l"].into_iter().chain(elements);
    bed.run_args(args.collect());
    bed.check(
        "
        LREM l 0 even -> 100000
        LREM l -50000 odd -> 50000
        LINSERT l AFTER odd x -> 50001
        LPOS l x RANK -1 -> 1
        LPOS l odd RANK -1 -> 50000
        LPOS l odd RANK 50000 -> 50000
        LTRIM l 1 1 -> OK
        LRANGE l 0 -1 -> [\"x\"]
        ",
    );
}

/// A change of a list, and of its model.
#[derive(Debug, Clone)]
enum Step {
    Push(bool, usize, Vec<u8>),
    Pop(bool, usize, usize),
    Set(usize, i64, u8),
    Insert(usize, bool, u8, u8),
    Remove(usize, i64, u8),
    Trim(usize, i64, i64),
    Move(usize, usize, bool, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..2_usize;
    let element = || 0..4_u8;
    prop_oneof![
        (any::<bool>(), key(), prop::collection::vec(element(), 1..5))
            .prop_map(|(left, key, elements)| Step::Push(left, key, elements)),
        (any::<bool>(), key(), 0..4_usize).prop_map(|(left, key, count)| Step::Pop(left, key, count)),
        (key(), -6..6_i64, element()).prop_map(|(key, index, element)| Step::Set(key, index, element)),
        (key(), any::<bool>(), element(), element())
            .prop_map(|(key, after, pivot, element)| Step::Insert(key, after, pivot, element)),
        (key(), -3..3_i64, element()).prop_map(|(key, count, element)| Step::Remove(key, count, element)),
        (key(), -9..3_i64, -3..9_i64).prop_map(|(key, start, stop)| Step::Trim(key, start, stop)),
        (key(), key(), any::<bool>(), any::<bool>()).prop_map(|(a, b, from, to)| Step::Move(a, b, from, to)),
    ]
}

type Model = BTreeMap<usize, Vec<u8>>;

/// The line of a command, and what the model answers.
fn modelled(model: &mut Model, step: Step) -> (String, String) {
    let end = |left: bool| if left { "LEFT" } else { "RIGHT" };
    let letter = |left: bool| if left { "L" } else { "R" };
    match step {
        Step::Push(left, key, elements) => {
            let list = model.entry(key).or_default();
            for element in &elements {
                list.insert(if left { 0 } else { list.len() }, *element);
            }
            let words: Vec<_> = elements.iter().map(u8::to_string).collect();
            let line = format!("{}PUSH {key} {}", letter(left), words.join(" "));
            (line, list.len().to_string())
        }
        Step::Pop(left, key, count) => {
            let line = format!("{}POP {key} {count}", letter(left));
            let Some(list) = model.get_mut(&key).filter(|list| !list.is_empty()) else {
                return (line, "nil".to_owned());
            };
            let count = count.min(list.len());
            let taken: Vec<u8> = if left {
                list.drain(..count).collect()
            } else {
                list.drain(list.len() - count..).rev().collect()
            };
            (line, shown(&taken))
        }
        Step::Set(key, index, element) => {
            let list = model.entry(key).or_default();
            let len = list.len() as i64;
            let place = if index < 0 { len + index } else { index };
            let answer = if list.is_empty() {
                "-ERR no such key"
            } else if (0..len).contains(&place) {
                list[place as usize] = element;
                "OK"
            } else {
                "-ERR index out of range"
            };
            (format!("LSET {key} {index} {element}"), answer.to_owned())
        }
        Step::Insert(key, after, pivot, element) => {
            let list = model.entry(key).or_default();
            let found = list.iter().position(|known| *known == pivot);
            let answer = match found {
                _ if list.is_empty() => 0,
                None => -1,
                Some(place) => {
                    list.insert(place + usize::from(after), element);
                    list.len() as i64
                }
            };
            let word = if after { "AFTER" } else { "BEFORE" };
            (
                format!("LINSERT {key} {word} {pivot} {element}"),
                answer.to_string(),
            )
        }
        Step::Remove(key, count, element) => {
            let list = model.entry(key).or_default();
            let mut removed = 0;
            while count == 0 || removed < count.abs() {
                let mut places = list.iter();
                let is_equal = |known: &u8| *known == element;
                let place = if count < 0 {
                    places.rposition(is_equal)
                } else {
                    places.position(is_equal)
                };
                let Some(place) = place else { break };
                list.remove(place);
                removed += 1;
            }
            (format!("LREM {key} {count} {element}"), removed.to_string())
        }
        Step::Trim(key, start, stop) => {
            let list = model.entry(key).or_default();
            let len = list.len() as i64;
            let from_end = |index: i64| if index < 0 { len + index } else { index };
            let (start_place, stop_place) = (from_end(start), from_end(stop));
            let mut place = -1;
            list.retain(|_| {
                place += 1;
                (start_place..=stop_place).contains(&place)
            });
            (format!("LTRIM {key} {start} {stop}"), "OK".to_owned())
        }
        Step::Move(source, target, from, to) => {
            let line = format!("LMOVE {source} {target} {} {}", end(from), end(to));
            let list = model.entry(source).or_default();
            if list.is_empty() {
                return (line, "nil".to_owned());
            }
            let element = list.remove(if from { 0 } else { list.len() - 1 });
            let list = model.entry(target).or_default();
            list.insert(if to { 0 } else { list.len() }, element);
            (line, format!("\"{element}\""))
        }
    }
}

fn shown(elements: &[u8]) -> String {
    let quoted: Vec<_> = elements.iter().map(|element| format!("\"{element}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

proptest! {
    #[test]
    fn lists_are_as_their_model(steps in prop::collection::vec(step(), 1..40)) {
        let (mut bed, mut model) = (Bed::new(), Model::new());
        for step in steps {
            let (line, answer) = modelled(&mut model, step);
            prop_assert_eq!(bed.run(&line), answer, "{}", line);
            for (key, list) in &model {
                prop_assert_eq!(bed.run(&format!("LRANGE {key} 0 -1")), shown(list));
                let is_there = usize::from(!list.is_empty()).to_string();
                prop_assert_eq!(bed.run(&format!("EXISTS {key}")), is_there);
                for element in 0..4 {
                    let places: Vec<_> = (0..list.len()).filter(|place| list[*place] == element).collect();
                    let answer = format!("{places:?}");
                    prop_assert_eq!(bed.run(&format!("LPOS {key} {element} COUNT 0")), answer);
                }
            }
        }
    }
}
