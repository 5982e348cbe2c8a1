//! Sorted sets.

use std::time::Duration;

use crate::testing::Bed;

mod models;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn scores_are_given() {
    Bed::new().check(
        r#"
        ZADD z 1 a 2 b 2.5 c -> 3
        ZADD z 1 a 5 b -> 0
        ZADD z CH 1 a 6 b 7 d -> 2
        ZADD z NX 9 a 9 e -> 1
        ZADD z XX 9 none -> 0
        ZADD z GT CH 0 a 4 a -> 1
        ZADD z LT CH 9 a 3 a -> 1
        ZADD z GT 1 new -> 1
        ZADD z INCR 1.5 a -> "4.5"
        ZADD z NX INCR 1 a -> nil
        ZADD z XX INCR 1 none -> nil
        ZADD z GT INCR -1 a -> nil
        ZADD z LT INCR -1 a -> "3.5"
        ZINCRBY z 0.5 a -> "4"
        ZINCRBY z 0 a -> "4"
        ZINCRBY fresh -2 a -> "-2"
        ZRANGE z 0 -1 WITHSCORES -> ["new", "1", "c", "2.5", "a", "4", "b", "6", "d", "7", "e", "9"]
        ZADD none XX 1 a -> 0
        ZADD none XX INCR 1 a -> nil
        ZCARD none -> 0
        ZADD limits inf a +inf b -inf c -0 d 1e17 e 1e300 f -> 6
        ZMSCORE limits a b c d e f -> ["inf", "inf", "-inf", "0", "100000000000000000", "1e+300"]
        "#,
    );
}

#[test]
fn what_is_no_score_is_refused_as_a_whole() {
    Bed::new().check(
        r#"
        ZADD z 1 a -> 1
        ZADD z 2 a x b -> -ERR value is not a valid float
        ZADD z nan a -> -ERR value is not a valid float
        ZADD z 1e999 a -> -ERR value is not a valid float
        ZADD z '' a -> -ERR value is not a valid float
        ZINCRBY z x a -> -ERR value is not a valid float
        ZADD z inf i -> 1
        ZINCRBY z -inf i -> -ERR resulting score is not a number (NaN)
        ZADD z INCR -inf i -> -ERR resulting score is not a number (NaN)
        ZADD z 1 -> -ERR wrong number of arguments for 'zadd' command
        ZADD z CH 1 -> -ERR syntax error
        ZADD z NX CH -> -ERR syntax error
        ZADD z 1 a 2 -> -ERR syntax error
        ZADD z NX XX 1 a -> -ERR XX and NX options at the same time are not compatible
        ZADD z NX GT 1 a -> -ERR GT, LT, and/or NX options at the same time are not compatible
        ZADD z NX LT 1 a -> -ERR GT, LT, and/or NX options at the same time are not compatible
        ZADD z GT LT 1 a -> -ERR GT, LT, and/or NX options at the same time are not compatible
        ZADD z INCR 1 a 2 b -> -ERR INCR option supports a single increment-element pair
        ZRANGE z 0 -1 WITHSCORES -> ["a", "1", "i", "inf"]
        "#,
    );
}

#[test]
fn members_are_found() {
    let script = r#"
        ZADD z 1 a 2 b 2 c -> 3
        ZCARD z -> 3
        ZRANK z a -> 0
        ZRANK z c -> 2
        ZREVRANK z a -> 2
        ZRANK z none -> nil
        ZRANK none a -> nil
        ZRANK z a MORE -> -ERR syntax error
        ZRANK z a WITHSCORE MORE -> -ERR wrong number of arguments for 'zrank' command
        ZREVRANK z a WITHSCORE MORE -> -ERR wrong number of arguments for 'zrevrank' command
        ZSCORE z none -> nil
        ZRANK z none WITHSCORE -> nil
        ZREM z a none -> 1
        ZREM z a -> 0
        ZCARD z -> 2
        "#;
    let mut bed = Bed::new();
    bed.check(script);
    bed.check(
        r#"
        ZSCORE z b -> "2"
        ZREVRANK z b WITHSCORE -> [1, "2"]
        ZMSCORE z b none -> ["2", nil]
        "#,
    );
    let mut bed = Bed::new().resp3();
    bed.check(script);
    bed.check(
        r#"
        ZSCORE z b -> ,2
        ZREVRANK z b withscore -> [1, ,2]
        ZMSCORE z b none -> [,2, nil]
        ZINCRBY z 0.5 b -> ,2.5
        "#,
    );
}

#[test]
fn members_between_ranks_scores_and_names() {
    Bed::new().check(
        r#"
        ZADD r 1 a 2 b 2 c 3 d -> 4
        ZRANGE r 0 -1 -> ["a", "b", "c", "d"]
        ZRANGE r -3 1 WITHSCORES -> ["b", "2"]
        ZRANGE r 0 1 REV -> ["d", "c"]
        ZRANGE r -100 100 -> ["a", "b", "c", "d"]
        ZRANGE r 3 1 -> []
        ZRANGE r 0 -5 -> []
        ZRANGE r -9223372036854775808 9223372036854775807 REV -> ["d", "c", "b", "a"]
        ZRANGE r (1 (3 BYSCORE -> ["b", "c"]
        ZRANGE r 2 +inf BYSCORE LIMIT 1 5 -> ["c", "d"]
        ZRANGE r +inf -inf BYSCORE REV LIMIT 1 2 WITHSCORES -> ["c", "2", "b", "2"]
        ZRANGE r 3 1 BYSCORE -> []
        ZRANGE r 0 9 BYSCORE LIMIT -1 9 -> []
        ZRANGE r 0 9 BYSCORE LIMIT 2 -1 -> ["c", "d"]
        ZREVRANGE r 0 1 WITHSCORES -> ["d", "3", "c", "2"]
        ZRANGEBYSCORE r -inf (2 -> ["a"]
        ZREVRANGEBYSCORE r (3 1 LIMIT 0 2 -> ["c", "b"]
        ZCOUNT r 2 2 -> 2
        ZCOUNT r (2 2 -> 0
        ZCOUNT none 1 2 -> 0
        ZADD l 0 a 0 b 0 c 0 d -> 4
        ZRANGE l - + BYLEX -> ["a", "b", "c", "d"]
        ZRANGE l [b (d BYLEX -> ["b", "c"]
        ZRANGE l + [c BYLEX REV -> ["d", "c"]
        ZRANGE l + - BYLEX -> []
        ZRANGEBYLEX l (a + LIMIT 1 1 -> ["c"]
        ZREVRANGEBYLEX l [c - -> ["c", "b", "a"]
        ZLEXCOUNT l - [c -> 3
        ZRANGE none 0 -1 -> []
        "#,
    );
    Bed::new().resp3().check(
        r#"
        ZADD r 1 a 2.5 b -> 2
        ZRANGE r 0 -1 -> ["a", "b"]
        ZRANGE r 0 -1 WITHSCORES -> [["a", ,1], ["b", ,2.5]]
        ZREVRANGEBYSCORE r 3 2 WITHSCORES -> [["b", ,2.5]]
        ZRANGE none 0 -1 WITHSCORES -> []
        "#,
    );
}

#[test]
fn ranges_that_are_none_are_refused() {
    let mut bed = Bed::new();
    bed.run("ZADD r 1 a");
    bed.check(
        r#"
        ZRANGE r x 1 -> -ERR value is not an integer or out of range
        ZRANGE r 0 1.5 -> -ERR value is not an integer or out of range
        ZRANGE r nan 1 BYSCORE -> -ERR min or max is not a float
        ZRANGE none [1 1 BYSCORE -> -ERR min or max is not a float
        ZCOUNT none 1 x -> -ERR min or max is not a float
        ZREMRANGEBYSCORE none 1 x -> -ERR min or max is not a float
        ZRANGE r a b BYLEX -> -ERR min or max not valid string range item
        ZLEXCOUNT r -a + -> -ERR min or max not valid string range item
        ZREMRANGEBYLEX r '' + -> -ERR min or max not valid string range item
        ZRANGE r 0 1 LIMIT 0 1 -> -ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX
        ZREVRANGE r 0 1 LIMIT 0 1 -> -ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX
        ZRANGE r - + BYLEX WITHSCORES -> -ERR syntax error, WITHSCORES not supported in combination with BYLEX
        ZRANGE r 0 1 BYSCORE BYLEX -> -ERR syntax error
        ZRANGE r 0 1 REV REV -> -ERR syntax error
        ZRANGE r 0 1 BYSCORE LIMIT 0 -> -ERR syntax error
        ZRANGE r 0 1 BYSCORE LIMIT x 0 -> -ERR value is not an integer or out of range
        ZRANGEBYSCORE r 0 1 REV -> -ERR syntax error
        ZRANGEBYLEX r 0 1 BYLEX -> -ERR syntax error
        ZRANGESTORE d r 0 1 WITHSCORES -> -ERR syntax error
        ZREMRANGEBYRANK r x 1 -> -ERR value is not an integer or out of range
        "#,
    );
}

#[test]
fn members_are_popped() {
    Bed::new().check(
        r#"
        ZADD z 1 a 2 b 3 c 4 d 5 e 6 f 7 g -> 7
        ZPOPMIN z -> ["a", "1"]
        ZPOPMAX z 2 -> ["g", "7", "f", "6"]
        ZPOPMIN z 0 -> []
        ZPOPMIN none -> []
        ZPOPMIN none 5 -> []
        ZPOPMIN z -1 -> -ERR value is out of range, must be positive
        ZPOPMIN z 1 1 -> -ERR syntax error
        ZMPOP 2 none z MIN -> ["z", [["b", "2"]]]
        ZMPOP 1 z max COUNT 2 -> ["z", [["e", "5"], ["d", "4"]]]
        ZMPOP 1 none MIN -> nil
        ZMPOP 0 z MIN -> -ERR numkeys should be greater than 0
        ZMPOP x z MIN -> -ERR numkeys should be greater than 0
        ZMPOP 9223372036854775807 z MIN -> -ERR syntax error
        ZMPOP 2 z MIN -> -ERR syntax error
        ZMPOP 1 z NONE -> -ERR syntax error
        ZMPOP 1 z MIN COUNT -> -ERR syntax error
        ZMPOP 1 z MIN COUNT 0 -> -ERR count should be greater than 0
        ZMPOP 1 z MIN COUNT x -> -ERR count should be greater than 0
        ZPOPMIN z 9223372036854775807 -> ["c", "3"]
        ZCARD z -> 0
        "#,
    );
    Bed::new().resp3().check(
        r#"
        ZADD z 1 a 2 b 3 c -> 3
        ZPOPMIN z -> ["a", ,1]
        ZPOPMAX z 1 -> [["c", ,3]]
        ZMPOP 1 z MIN -> ["z", [["b", ,2]]]
        ZMPOP 1 z MIN -> nil
        "#,
    );
}

#[test]
fn poppers_wait_for_members() {
    let mut bed = Bed::new();
    for line in ["BZPOPMIN a b 0", "BZPOPMAX a b 1.5", "BZMPOP 0 2 a b MIN"] {
        assert_eq!(bed.run(line), "", "{line} does not wait");
    }
    bed.check(
        r#"
        ZADD b 1 x 2 y 3 z 4 t -> 4
        BZPOPMIN a b 0 -> ["b", "x", "1"]
        BZPOPMAX a b 0 -> ["b", "t", "4"]
        BZMPOP 0 2 a b MIN COUNT 5 -> ["b", [["y", "2"], ["z", "3"]]]
        BZMPOP 0 0 a MIN -> -ERR numkeys should be greater than 0
        BZMPOP 0 1 a NONE -> -ERR syntax error
        BZMPOP 0 1 a MIN COUNT 0 -> -ERR count should be greater than 0
        "#,
    );
    assert_eq!(bed.run("BZPOPMIN a b 0"), "");
}

#[test]
fn several_sorted_sets() {
    let mut bed = Bed::new();
    bed.check(
        r#"
        ZADD a 1 x 2 y 3 z -> 3
        ZADD b 10 y 20 z 30 t -> 3
        SADD s z u -> 2
        ZUNION 2 a b -> ["x", "y", "z", "t"]
        ZUNION 2 a b WITHSCORES -> ["x", "1", "y", "12", "z", "23", "t", "30"]
        ZUNION 3 a b s AGGREGATE MAX WITHSCORES -> ["u", "1", "x", "1", "y", "10", "z", "20", "t", "30"]
        ZUNION 2 a b WEIGHTS 10 -1 AGGREGATE MIN WITHSCORES -> ["t", "-30", "z", "-20", "y", "-10", "x", "10"]
        ZINTER 3 a b s WITHSCORES -> ["z", "24"]
        ZINTER 2 a none -> []
        ZINTER 1 s WEIGHTS 2 WITHSCORES -> ["u", "2", "z", "2"]
        ZDIFF 2 a b WITHSCORES -> ["x", "1"]
        ZDIFF 2 a s -> ["x", "y"]
        ZDIFF 2 none a -> []
        ZINTERCARD 2 a b -> 2
        ZINTERCARD 2 a b LIMIT 1 -> 1
        ZINTERCARD 2 a b LIMIT 0 -> 2
        ZUNIONSTORE d 2 a b WEIGHTS 1 2 -> 4
        ZRANGE d 0 -1 WITHSCORES -> ["x", "1", "y", "22", "z", "43", "t", "60"]
        ZINTERSTORE a 2 a b -> 2
        ZRANGE a 0 -1 WITHSCORES -> ["y", "12", "z", "23"]
        ZDIFFSTORE b 2 b a -> 1
        ZDIFFSTORE b 2 b b -> 0
        EXISTS b -> 0
        ZADD i inf p -inf m -> 2
        ZADD j -inf p 0 m -> 2
        ZUNION 2 i j WITHSCORES -> ["m", "-inf", "p", "0"]
        ZUNION 1 i WEIGHTS 0 WITHSCORES -> ["m", "0", "p", "0"]
        "#,
    );
    bed.check(
        r#"
        ZUNION 0 a -> -ERR at least 1 input key is needed for 'zunion' command
        ZDIFFSTORE d 0 a -> -ERR at least 1 input key is needed for 'zdiffstore' command
        ZINTERCARD -1 a -> -ERR at least 1 input key is needed for 'zintercard' command
        ZINTER x a -> -ERR value is not an integer or out of range
        ZINTER 2 a -> -ERR syntax error
        ZINTER 9223372036854775807 a -> -ERR syntax error
        ZUNION 1 a WEIGHTS -> -ERR syntax error
        ZUNION 1 a WEIGHTS x -> -ERR weight value is not a float
        ZUNION 1 a WEIGHTS nan -> -ERR weight value is not a float
        ZUNION 1 a AGGREGATE MEAN -> -ERR syntax error
        ZUNION 1 a AGGREGATE -> -ERR syntax error
        ZUNIONSTORE d 1 a WITHSCORES -> -ERR syntax error
        ZDIFF 1 a WEIGHTS 1 -> -ERR syntax error
        ZINTERCARD 1 a LIMIT -> -ERR syntax error
        ZINTERCARD 1 a LIMIT -1 -> -ERR LIMIT can't be negative
        ZINTERCARD 1 a LIMIT x -> -ERR LIMIT can't be negative
        ZINTERCARD 1 a WITHSCORES -> -ERR syntax error
        "#,
    );
    let mut bed = Bed::new().resp3();
    bed.run("ZADD a 1 x");
    bed.check("ZUNION 1 a WITHSCORES -> [[\"x\", ,1]]");
}

#[test]
fn ranges_are_stored_and_removed() {
    let mut bed = Bed::new();
    bed.check(
        r#"
        ZADD z 1 a 2 b 3 c 4 d 5 e -> 5
        SET d x PX 1000 -> OK
        ZRANGESTORE d z 2 4 BYSCORE -> 3
        ZRANGE d 0 -1 -> ["b", "c", "d"]
        "#,
    );
    assert_eq!(bed.entry("d").unwrap().expires, None);
    bed.advance(Duration::from_secs(2));
    bed.check(
        r#"
        ZRANGESTORE d d (4 (2 BYSCORE REV -> 1
        ZRANGE d 0 -1 WITHSCORES -> ["c", "3"]
        ZRANGESTORE d none 0 -1 -> 0
        EXISTS d -> 0
        ZREMRANGEBYRANK z 0 0 -> 1
        ZREMRANGEBYRANK z 9 10 -> 0
        ZREMRANGEBYSCORE z (4 inf -> 1
        ZREMRANGEBYLEX none - + -> 0
        ZRANGE z 0 -1 -> ["b", "c", "d"]
        ZREMRANGEBYRANK z 0 -1 -> 3
        EXISTS z -> 0
        ZADD l 0 a 0 b 0 c -> 3
        ZREMRANGEBYLEX l [a (c -> 2
        ZRANGE l 0 -1 -> ["c"]
        "#,
    );
}

#[test]
fn members_by_chance() {
    let mut bed = Bed::new();
    bed.check(
        r#"
        ZRANDMEMBER none -> nil
        ZRANDMEMBER none 3 -> []
        ZRANDMEMBER none -3 WITHSCORES -> []
        ZADD z 1.5 a -> 1
        ZRANDMEMBER z -> "a"
        ZRANDMEMBER z 3 -> ["a"]
        ZRANDMEMBER z -2 WITHSCORES -> ["a", "1.5", "a", "1.5"]
        ZRANDMEMBER z x -> -ERR value is not an integer or out of range
        ZRANDMEMBER z 1 MORE -> -ERR syntax error
        ZRANDMEMBER z 1 WITHSCORES MORE -> -ERR syntax error
        ZRANDMEMBER z -9223372036854775808 -> -ERR value is out of range
        "#,
    );
    bed.run("ZADD z 2 b 3 c 4 d 5 e");
    assert_eq!(bed.run("ZRANDMEMBER z 3").matches('"').count(), 6);
    let mut bed = Bed::new().resp3();
    bed.run("ZADD z 1.5 a");
    bed.check("ZRANDMEMBER z 1 WITHSCORES -> [[\"a\", ,1.5]]");
}

#[test]
fn scans_answer_in_parts() {
    Bed::new().resp3().check(
        r#"
        ZADD z 3 c1 2 b 1 c2 -> 3
        ZSCAN z 0 COUNT 2 -> ["1", ["c2", "1", "b", "2"]]
        ZSCAN z 1 -> ["0", ["c1", "3"]]
        ZSCAN z 0 MATCH c? -> ["0", ["c2", "1", "c1", "3"]]
        ZSCAN none 0 -> ["0", []]
        ZSCAN z x -> -ERR invalid cursor
        ZSCAN z 0 COUNT 0 -> -ERR syntax error
        "#,
    );
}

#[test]
fn others_hear_of_what_changed() {
    let mut bed = Bed::new();
    for (line, events, fed) in [
        ("ZADD z 1 a 2 b", &["zadd z"][..], true),
        ("ZADD z 1 a", &[], false),
        ("ZADD z 3 a", &["zadd z"], false),
        ("ZADD z XX 3 none", &[], false),
        ("ZADD z INCR 1 a", &["zincr z"], false),
        ("ZINCRBY z 1 c", &["zincr z"], true),
        ("ZREM z none", &[], false),
        ("ZREM z c", &["zrem z"], false),
        ("ZPOPMIN z 0", &[], false),
        ("ZPOPMIN z", &["zpopmin z"], false),
        ("ZMPOP 1 z MAX", &["zpopmax z", "del z"], false),
        ("ZADD z 1 a 2 b 3 c 4 d 5 e", &["zadd z"], true),
        ("BZPOPMAX z 0", &["zpopmax z"], false),
        ("ZREMRANGEBYRANK z 0 0", &["zremrangebyrank z"], false),
        ("ZREMRANGEBYLEX z (z [a", &[], false),
        ("ZREMRANGEBYSCORE z 2 2", &["zremrangebyscore z"], false),
        ("ZREMRANGEBYLEX z - +", &["zremrangebylex z", "del z"], false),
        ("ZADD y 1 a", &["zadd y"], true),
        ("ZUNIONSTORE z 1 y", &["zunionstore z"], true),
        ("ZINTERSTORE z 1 y", &["zinterstore z"], true),
        ("ZDIFFSTORE z 1 y", &["zdiffstore z"], true),
        ("ZRANGESTORE z y 0 -1", &["zrangestore z"], true),
        ("ZDIFFSTORE z 2 y y", &["del z"], false),
        ("ZDIFFSTORE z 2 y y", &[], false),
        ("ZRANGE y 0 -1", &[], false),
    ] {
        bed.run(line);
        assert_eq!(bed.events(), events, "{line}");
        assert_eq!(!bed.fed().is_empty(), fed, "{line}");
    }
}

#[test]
fn other_kinds_are_refused() {
    let mut bed = Bed::new();
    bed.run("SET str x");
    bed.run("ZADD z 1 a");
    for line in [
        "ZADD str 1 a",
        "ZADD str XX 1 a",
        "ZINCRBY str 1 a",
        "ZREM str a",
        "ZSCORE str a",
        "ZMSCORE str a",
        "ZCARD str",
        "ZCOUNT str 1 2",
        "ZLEXCOUNT str - +",
        "ZRANK str a",
        "ZREVRANK str a",
        "ZRANGE str 0 -1",
        "ZRANGESTORE z str 0 -1",
        "ZRANGEBYSCORE str 1 2",
        "ZREVRANGEBYSCORE str 2 1",
        "ZRANGEBYLEX str - +",
        "ZREVRANGEBYLEX str + -",
        "ZREVRANGE str 0 -1",
        "ZREMRANGEBYRANK str 0 -1",
        "ZREMRANGEBYSCORE str 1 2",
        "ZREMRANGEBYLEX str - +",
        "ZPOPMIN str",
        "ZPOPMAX str 0",
        "ZMPOP 2 none str MIN",
        "BZPOPMIN none str 0",
        "BZPOPMAX str z 0",
        "BZMPOP 0 1 str MIN",
        "ZRANDMEMBER str",
        "ZRANDMEMBER str 1",
        "ZUNION 2 z str",
        "ZINTER 2 none str",
        "ZDIFF 2 z str",
        "ZUNIONSTORE z 1 str",
        "ZINTERSTORE z 1 str",
        "ZDIFFSTORE z 1 str",
        "ZINTERCARD 1 str",
        "ZSCAN str 0",
    ] {
        assert_eq!(bed.run(line), WRONG_TYPE, "{line}");
        assert!(bed.events().is_empty(), "{line}");
    }
    bed.run("SADD s a");
    for line in [
        "ZADD s 1 a",
        "ZSCORE s a",
        "ZRANGE s 0 -1",
        "SADD z a",
        "SUNION s z",
    ] {
        assert_eq!(bed.run(line), WRONG_TYPE, "{line}");
    }
    bed.check("ZRANGE z 0 -1 WITHSCORES -> [\"a\", \"1\"]");
}
