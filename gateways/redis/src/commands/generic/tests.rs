//! Commands on keys, whatever they have.

use std::time::Duration;

use switchboard_hub::keys::Timestamp;

use crate::testing::{BEGIN_MS, Bed};

#[test]
fn keys_are_there_or_not() {
    let mut bed = Bed::new();
    bed.check(
        "
        MSET a 1 b 2 -> OK
        EXISTS a b none a -> 3
        TOUCH a none -> 1
        TYPE a -> string
        TYPE none -> none
        DEL a a none -> 1
        UNLINK b -> 1
        EXISTS a b -> 0
        ",
    );
    bed.run("SET a 1");
    bed.run("DEL a");
    assert_eq!(bed.events(), ["del a"]);
    bed.run("DEL a");
    assert!(bed.events().is_empty());
}

#[test]
fn keys_expire() {
    let mut bed = Bed::new();
    bed.check(
        "
        EXPIRE a 10 -> 0
        TTL a -> -2
        SET a 1 -> OK
        TTL a -> -1
        PTTL a -> -1
        PEXPIRETIME a -> -1
        EXPIRE a 10 XX -> 0
        EXPIRE a 10 GT -> 0
        EXPIRE a 10 LT -> 1
        EXPIRE a 10 NX -> 0
        EXPIRE a 20 GT -> 1
        EXPIRE a 20 gt -> 0
        EXPIRE a 30 LT -> 0
        PEXPIRE a 15500 LT XX -> 1
        TTL a -> 16
        PTTL a -> 15500
        EXPIRETIME a -> 1700000016
        PEXPIRETIME a -> 1700000015500
        EXPIRE a 1 NX XX -> -ERR NX and XX, GT or LT options at the same time are not compatible
        EXPIRE a 1 GT LT -> -ERR GT and LT options at the same time are not compatible
        EXPIRE a 1 YY -> -ERR Unsupported option YY
        EXPIRE a x -> -ERR value is not an integer or out of range
        EXPIRE a 9223372036854775807 -> -ERR invalid expire time in 'expire' command
        EXPIRE a -9223372036854775807 -> -ERR invalid expire time in 'expire' command
        PEXPIRE a 9223372036854775807 -> -ERR invalid expire time in 'pexpire' command
        EXPIREAT a 9223372036854775807 -> -ERR invalid expire time in 'expireat' command
        PERSIST a -> 1
        PERSIST a -> 0
        PERSIST none -> 0
        PEXPIREAT a 1700000000001 -> 1
        ",
    );
    assert_eq!(bed.events(), ["expire a"]);
    bed.advance(Duration::from_millis(1));
    bed.check(
        "
        GET a -> nil
        SET a 1 -> OK
        PEXPIREAT a 9223372036854775807 -> 1
        EXPIREAT a -1 -> 1
        ",
    );
    assert_eq!(bed.events(), ["del a"]);
    bed.check(
        "
        GET a -> nil
        SET a 1 -> OK
        EXPIRE a 0 -> 1
        EXISTS a -> 0
        ",
    );
}

#[test]
fn keys_get_other_names() {
    let mut bed = Bed::new();
    bed.check(
        "
        RENAME a b -> -ERR no such key
        SET a 1 EX 10 -> OK
        SET b 2 -> OK
        RENAME a a -> OK
        RENAME a b -> OK
        ",
    );
    assert_eq!(bed.events(), ["rename_from a", "rename_to b"]);
    assert_eq!(bed.fed(), ["b"]);
    bed.check(
        "
        MGET a b -> [nil, \"1\"]
        TTL b -> 10
        RENAMENX b b -> 0
        RENAMENX none b -> -ERR no such key
        SET c 3 -> OK
        RENAMENX b c -> 0
        RENAMENX b d -> 1
        COPY d d -> -ERR source and destination objects are the same
        COPY none e -> 0
        COPY d c -> 0
        COPY d c REPLACE -> 1
        ",
    );
    assert_eq!(bed.events(), ["copy_to c"]);
    bed.check(
        "
        MGET c d -> [\"1\", \"1\"]
        TTL c -> 10
        COPY c e DB x -> -ERR value is not an integer or out of range
        COPY c e DB 2147483648 -> -ERR value is out of range, value must between -2147483648 and 2147483647
        COPY c e DB 1 -> -ERR COPY to another database is not possible inside a script
        COPY c e DB -> -ERR syntax error
        COPY c e DB 1 DB 0 -> 1
        GETDEL e -> \"1\"
        COPY c e WHAT -> -ERR syntax error
        ",
    );
}

#[test]
fn values_are_described() {
    let mut bed = Bed::new();
    bed.check(
        "
        MSET a 12 b text c 01 -> OK
        OBJECT ENCODING a -> \"int\"
        OBJECT encoding b -> \"embstr\"
        OBJECT ENCODING c -> \"embstr\"
        SETRANGE b 44 x -> 45
        OBJECT ENCODING b -> \"raw\"
        OBJECT ENCODING none -> nil
        OBJECT REFCOUNT b -> 1
        OBJECT IDLETIME b -> 0
        OBJECT FREQ none -> nil
        OBJECT ENCODING -> -ERR wrong number of arguments for 'object|encoding' command
        OBJECT WHAT -> -ERR unknown subcommand 'WHAT'. Try OBJECT HELP.
        ",
    );
    assert!(
        bed.run("OBJECT FREQ a")
            .starts_with("-ERR An LFU maxmemory policy is not selected")
    );
    assert!(bed.run("OBJECT HELP").starts_with("[OBJECT"));
}

#[test]
fn nothing_is_sorted() {
    let mut bed = Bed::new();
    bed.check(
        "
        SORT none -> []
        SET a 1 -> OK
        SORT a -> -WRONGTYPE Operation against a key holding the wrong kind of value
        SORT none STORE a -> 0
        GET a -> nil
        SORT none BY w_* GET d_* -> []
        SORT none BY nosort GET # LIMIT 0 1 desc alpha -> []
        SORT none LIMIT 0 -> -ERR syntax error
        SORT none LIMIT 0 x -> -ERR value is not an integer or out of range
        SORT_RO none STORE a -> -ERR syntax error
        SORT none GET STORE -> []
        ",
    );
}

#[test]
fn elements_are_sorted_by_what_stands_elsewhere() {
    let mut bed = Bed::new();
    bed.check(
        "
        RPUSH a 1 2 3 4 -> 4
        MSET w_1 3 w_2 1 w_3 2 d_1 one d_2 two d_3 three -> OK
        HSET h_1 f b -> 1
        HSET h_2 f a g x -> 2
        RPUSH w_l x -> 1
        SORT a BY w_* -> [\"4\", \"2\", \"3\", \"1\"]
        SORT a BY w_* DESC LIMIT 0 2 -> [\"1\", \"3\"]
        SORT a BY w_* GET d_* GET # -> [nil, \"4\", \"two\", \"2\", \"three\", \"3\", \"one\", \"1\"]
        SORT a BY h_*->f ALPHA -> [\"3\", \"4\", \"2\", \"1\"]
        SORT a GET h_*->g -> [nil, \"x\", nil, nil]
        SORT a GET h_* GET w_*->f LIMIT 0 1 -> [nil, nil]
        SORT a BY d_* -> -ERR One or more scores can't be converted into double
        SORT a BY d_* ALPHA -> [\"4\", \"1\", \"3\", \"2\"]
        SORT a BY nosort GET d_* STORE b -> 4
        LRANGE b 0 -1 -> [\"one\", \"two\", \"three\", \"\"]
        SORT a BY w_* STORE a -> 4
        LRANGE a 0 -1 -> [\"4\", \"2\", \"3\", \"1\"]
        SORT_RO a BY w_* GET d_* LIMIT 1 1 -> [\"two\"]
        SORT a GET d_*-> LIMIT 0 1 -> [nil]
        ",
    );
}

#[test]
fn elements_are_not_told_over_and_over() {
    let mut bed = Bed::new();
    let large = "x".repeat(1_000_000);
    bed.run(&format!("RPUSH a {large} {large}"));
    let gets = "GET # ".repeat(300);
    for line in [
        format!("SORT a ALPHA {gets}"),
        format!("SORT a ALPHA {gets} STORE b"),
    ] {
        assert!(bed.run(&line).starts_with("-ERR the answer would have more than"));
    }
    assert_eq!(bed.run("SORT a ALPHA LIMIT 0 1 GET # STORE b"), "1");
    assert_eq!(bed.events(), ["sortstore b"]);
    assert_eq!(bed.fed(), ["b"]);
}

#[test]
fn expiry_is_kept_as_it_was_told() {
    let mut bed = Bed::new();
    bed.run("SET a 1 PX 5");
    let entry = bed.entry("a").unwrap();
    assert_eq!(entry.expires, Some(Timestamp::from_millis(BEGIN_MS + 5)));
}
