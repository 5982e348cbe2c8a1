//! Hashes.

use super::Group;
use crate::template::{Template, exact, flawless, near, shape, unordered};

pub static GROUP: Group = Group {
    name: "hashes",
    templates: &[
        exact("(HSET|HMSET) {key} {member} {value} <{member} {value}>"),
        exact("HSET {key} {member} {int} <{member} {int}>"),
        exact("HSETNX {key} {member} {value}"),
        exact("HGET {key} {member}"),
        exact("HMGET {key} {member} <{member}>"),
        unordered("HGETALL {key}"),
        unordered("(HKEYS|HVALS) {key}"),
        exact("HDEL {key} {member} <{member}>"),
        exact("HDEL {key} a b c d e f g 1 2 3"),
        exact("HEXISTS {key} {member}"),
        exact("HLEN {key}"),
        exact("HSTRLEN {key} {member}"),
        exact("HINCRBY {key} {member} {int}"),
        exact("HINCRBY {key} {member} (9223372036854775807|-9223372036854775808)"),
        flawless("HINCRBYFLOAT {number} {count} {float}"),
        flawless("HINCRBYFLOAT {number} {count} (x|inf|nan|)"),
        shape("HRANDFIELD {key} [{index} [WITHVALUES]]"),
        flawless("HRANDFIELD {key} (0|-9223372036854775808|-9223372036854775807 WITHVALUES|x|1 FOO)"),
        flawless("HSCAN {key} (x|18446744073709551616)"),
        exact("DEL {key}"),
        exact("SET {key} {value}"),
        exact("EXPIRE {key} {seconds}"),
        near("TTL {key}", 5),
        SCAN,
    ],
};

/// The order is not that of Redis, and every number is a cursor there.
const SCAN: Template = Template {
    is_flawed: false,
    ..unordered("HSCAN {key} 0 COUNT 1000 [MATCH {pattern}]")
};
