//! Sorted sets.

use super::Group;
use crate::template::{Template, exact, flawless, shape, unordered};

pub static GROUP: Group = Group {
    name: "sorted sets",
    templates: &[
        exact("ZADD {key} {score} {member} <{score} {member}>"),
        exact("ZADD {key} {score} {member} {score} {member} {score} {member}"),
        exact("ZADD {key} [(NX|XX)] [(GT|LT)] [CH] [INCR] {score} {member} <{score} {member}>"),
        exact("ZINCRBY {key} {score} {member}"),
        exact("ZREM {key} {member} <{member}>"),
        exact("ZSCORE {key} {member}"),
        exact("ZMSCORE {key} {member} <{member}>"),
        exact("ZCARD {key}"),
        // With WITHSCORE since 7.2.
        flawless("(ZRANK|ZREVRANK) {key} {member}"),
        exact("ZRANGE {key} {index} {index} [REV] [WITHSCORES]"),
        exact("ZRANGE {key} {index} {index} (LIMIT {index} {index}|BYLEX|BYSCORE) [WITHSCORES]"),
        exact("ZRANGE {key} {score} {score} BYSCORE [REV] [LIMIT {index} {index}] [WITHSCORES]"),
        exact("(ZRANGEBYSCORE|ZREVRANGEBYSCORE) {key} {score} {score} [WITHSCORES] [LIMIT {index} {index}]"),
        exact("ZRANGEBYSCORE {key} {cut} {cut} [LIMIT {index} {index}] [WITHSCORES]"),
        exact("ZREVRANGE {key} {index} {index} [WITHSCORES] [LIMIT 0 1]"),
        exact("ZRANGESTORE {key} {key} {index} {index} [REV]"),
        exact("ZRANGESTORE {key} {key} {score} {score} BYSCORE [REV] [LIMIT {index} {index}]"),
        exact("ZCOUNT {key} {score} {score}"),
        exact("ZREMRANGEBYRANK {key} {index} {index}"),
        exact("ZREMRANGEBYSCORE {key} {score} {score}"),
        // Names are compared where all scores are the same only.
        flawless("ZADD {number} 0 {member} 0 {member} <0 {member}>"),
        flawless("ZRANGE {number} {end} {end} BYLEX [REV] [LIMIT {index} {index}]"),
        flawless("(ZRANGEBYLEX|ZREVRANGEBYLEX) {number} {end} {end} [LIMIT {index} {index}]"),
        flawless("ZLEXCOUNT {number} {end} {end}"),
        flawless("ZREMRANGEBYLEX {number} {end} {end}"),
        exact("(ZPOPMIN|ZPOPMAX) {key} [{index}]"),
        exact("ZMPOP (1 {key}|2 {key} {key}) (MIN|MAX) [COUNT {index}]"),
        exact("ZMPOP {index} {key} (MIN|MAX|NONE)"),
        flawless("(BZPOPMIN|BZPOPMAX) {key} <{key}> 0.001"),
        flawless("BZMPOP 0.001 2 {key} {key} (MIN|MAX) [COUNT {index}]"),
        shape("ZRANDMEMBER {key} [({index}|x) [WITHSCORES]]"),
        exact("(ZUNION|ZINTER|ZDIFF) (1 {key}|2 {key} {key}|3 {key} {key} {key}) [WITHSCORES]"),
        exact(
            "(ZUNION|ZINTER) 2 {key} {key} [WEIGHTS {score} {score}] [AGGREGATE (SUM|MIN|MAX|NONE)] [WITHSCORES]",
        ),
        exact("(ZUNIONSTORE|ZINTERSTORE|ZDIFFSTORE) {key} (1 {key}|2 {key} {key}|3 {key} {key} {key})"),
        exact(
            "(ZUNIONSTORE|ZINTERSTORE) {key} 2 {key} {key} [WEIGHTS {score} {score}] [AGGREGATE (SUM|MIN|MAX)]",
        ),
        exact("ZINTERCARD (1 {key}|2 {key} {key}) [LIMIT {index}]"),
        exact("(ZUNION|ZINTER|ZDIFF|ZINTERCARD) {index} {key}"),
        // Sets are sorted sets too, there.
        exact("SADD {key} {member} <{member}>"),
        Template {
            is_flawed: false,
            ..unordered("ZSCAN {key} 0 COUNT 1000 [MATCH (*|a*|[ab1])]")
        },
        flawless("ZSCAN {key} (x|0 COUNT 0|0 COUNT|0 COUNT x|0 NONE x)"),
    ],
};
