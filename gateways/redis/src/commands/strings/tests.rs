//! Commands on strings.

use std::time::Duration;

use switchboard_hub::keys::VALUE_BYTES_MAX;

use crate::args::Args;
use crate::testing::Bed;

#[test]
fn set_has_conditions() {
    let mut bed = Bed::new();
    bed.check(
        "
        SET a 1 -> OK
        SET a 2 NX -> nil
        SET a 2 xx -> OK
        SET b 2 XX -> nil
        SET a 3 GET -> \"2\"
        SET a 4 NX GET -> \"3\"
        SET c 1 NX GET -> nil
        GET c -> \"1\"
        SET a 1 NX XX -> -ERR syntax error
        SET a 1 EX -> -ERR syntax error
        SET a 1 EX 1 PX 1 -> -ERR syntax error
        SET a 1 EX 1 KEEPTTL -> -ERR syntax error
        SET a 1 KEEPTTL EX 1 -> -ERR syntax error
        SET a 1 EX x -> -ERR value is not an integer or out of range
        SET a 1 EX 0 -> -ERR invalid expire time in 'set' command
        SET a 1 EX 9223372036854775807 -> -ERR invalid expire time in 'set' command
        SET a 1 PX 9223372036854775807 -> -ERR invalid expire time in 'set' command
        SET a 1 PERSIST -> -ERR syntax error
        SET a 1 what -> -ERR syntax error
        SET a -> -ERR wrong number of arguments for 'set' command
        SETNX a 1 -> 0
        SETNX d 1 -> 1
        GETSET a 9 -> \"3\"
        GETSET e 1 -> nil
        ",
    );
}

#[test]
fn set_has_times() {
    let mut bed = Bed::new();
    assert_eq!(bed.run("SET a 1 EX 10"), "OK");
    assert_eq!(bed.events(), ["set a", "expire a"]);
    bed.advance(Duration::from_secs(4));
    assert_eq!(bed.run("SET a 2 KEEPTTL"), "OK");
    assert_eq!(bed.events(), ["set a"]);
    bed.advance(Duration::from_millis(5_999));
    assert_eq!(bed.run("GET a"), "\"2\"");
    bed.advance(Duration::from_millis(1));
    assert_eq!(bed.run("GET a"), "nil");
    bed.check(
        "
        SET a 1 PXAT 1 -> OK
        GET a -> nil
        PSETEX a 5 x -> OK
        SETEX a 5 x -> OK
        SETEX a 0 x -> -ERR invalid expire time in 'setex' command
        PSETEX a -1 x -> -ERR invalid expire time in 'psetex' command
        GETEX a EX 1 PERSIST -> -ERR syntax error
        GETEX a EX 0 -> -ERR invalid expire time in 'getex' command
        GETEX none EX 0 -> nil
        GETEX a KEEPTTL -> -ERR syntax error
        GETEX a PERSIST -> \"x\"
        ",
    );
    assert_eq!(bed.events(), ["persist a"]);
    bed.advance(Duration::from_secs(6));
    assert_eq!(bed.run("GETEX a PX 10"), "\"x\"");
    assert_eq!(bed.events(), ["expire a"]);
    assert_eq!(bed.run("GETEX a PXAT 10"), "\"x\"");
    assert_eq!(bed.events(), ["del a"]);
    assert_eq!(bed.run("GET a"), "nil");
}

#[test]
fn numbers_are_counted() {
    let mut bed = Bed::new();
    bed.check(
        "
        INCR a -> 1
        INCRBY a 9 -> 10
        DECR a -> 9
        DECRBY a 10 -> -1
        DECRBY a -9223372036854775808 -> -ERR decrement would overflow
        INCRBY a 1.5 -> -ERR value is not an integer or out of range
        SET b 9223372036854775807 -> OK
        INCR b -> -ERR increment or decrement would overflow
        SET b ' 1' -> OK
        INCR b -> -ERR value is not an integer or out of range
        INCRBYFLOAT c 10.5 -> \"10.5\"
        INCRBYFLOAT c -10.5 -> \"0\"
        INCRBYFLOAT c 3.0e3 -> \"3000\"
        INCRBYFLOAT c x -> -ERR value is not a valid float
        INCRBYFLOAT b 1 -> -ERR value is not a valid float
        INCRBYFLOAT c inf -> -ERR increment would produce NaN or Infinity
        GET c -> \"3000\"
        INCRBY a 2 -> 1
        ",
    );
    assert_eq!(bed.events(), ["incrby a"]);
}

#[test]
fn parts_of_values() {
    let mut bed = Bed::new();
    bed.check(
        "
        APPEND a hello -> 5
        APPEND a ' you' -> 9
        STRLEN a -> 9
        STRLEN none -> 0
        GETRANGE a 0 -1 -> \"hello you\"
        GETRANGE a -3 -1 -> \"you\"
        SUBSTR a 1 2 -> \"el\"
        GETRANGE a 5 2 -> \"\"
        GETRANGE a -100 100 -> \"hello you\"
        GETRANGE a 100 200 -> \"\"
        GETRANGE a -1 -100 -> \"\"
        GETRANGE a -9223372036854775808 9223372036854775807 -> \"hello you\"
        GETRANGE a x 1 -> -ERR value is not an integer or out of range
        SETRANGE a 6 me -> 9
        GET a -> \"hello meu\"
        SETRANGE b 2 x -> 3
        GET b -> \"\\x00\\x00x\"
        SETRANGE c 5 '' -> 0
        GET c -> nil
        SETRANGE a -1 x -> -ERR offset is out of range
        SETRANGE a 67108864 x -> -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        SETRANGE a 9223372036854775807 x -> -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        SETRANGE a 67108863 x -> 67108864
        APPEND a x -> -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        APPEND a '' -> 67108864
        ",
    );
}

#[test]
fn values_that_are_too_large() {
    let large = bytes::Bytes::from(vec![b'x'; VALUE_BYTES_MAX + 1]);
    for command in [
        &["SET", "a"][..],
        &["GETSET", "a"],
        &["MSET", "b", "1", "a"],
        &["APPEND", "a"],
    ] {
        let mut bed = Bed::new();
        let args = command
            .iter()
            .map(|arg| bytes::Bytes::from_static(arg.as_bytes()));
        let args: Args = args.chain([large.clone()]).collect();
        assert_eq!(
            bed.run_args(args),
            "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"
        );
        assert_eq!(bed.run("MGET a b"), "[nil, nil]");
    }
}

#[test]
fn a_large_value_is_not_told_over_and_over() {
    let mut bed = Bed::new();
    bed.run("SETRANGE a 67108863 x");
    let keys = "a ".repeat(9);
    assert_eq!(
        bed.run(&format!("MGET {keys}")),
        "-ERR the answer would have more than 536870912 bytes: ask for less at once"
    );
}

#[test]
fn several_keys() {
    let mut bed = Bed::new();
    bed.check(
        "
        MSET a 1 b 2 a 3 -> OK
        MGET a none b -> [\"3\", nil, \"2\"]
        MSET a 1 b -> -ERR wrong number of arguments for 'mset' command
        MSETNX c 1 a 2 -> 0
        GET c -> nil
        MSETNX c 1 d 2 -> 1
        MSETNX c -> -ERR wrong number of arguments for 'msetnx' command
        GETDEL c -> \"1\"
        ",
    );
    assert_eq!(bed.events(), ["del c"]);
}

#[test]
fn what_two_values_have_in_common() {
    let mut bed = Bed::new();
    bed.check(
        "
        MSET a ohmytext b mynewtext -> OK
        LCS a b -> \"mytext\"
        LCS a b LEN -> 6
        LCS a none -> \"\"
        LCS a b IDX -> [\"matches\", [[[4, 7], [5, 8]], [[2, 3], [0, 1]]], \"len\", 6]
        LCS a b IDX MINMATCHLEN 4 -> [\"matches\", [[[4, 7], [5, 8]]], \"len\", 6]
        LCS a b IDX MINMATCHLEN -1 WITHMATCHLEN -> [\"matches\", [[[4, 7], [5, 8], 4], [[2, 3], [0, 1], 2]], \"len\", 6]
        LCS a b IDX LEN -> -ERR If you want both the length and indexes, please just use IDX.
        LCS a b MINMATCHLEN -> -ERR syntax error
        LCS a b MINMATCHLEN x -> -ERR value is not an integer or out of range
        SETRANGE a 10000 x -> 10001
        SETRANGE b 10000 x -> 10001
        LCS a b -> -ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len
        ",
    );
    let mut bed = Bed::new().resp3();
    bed.run("MSET a x b x");
    assert_eq!(
        bed.run("LCS a b IDX"),
        r#"{"matches": [[[0, 0], [0, 0]]], "len": 1}"#
    );
}
