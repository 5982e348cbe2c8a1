//! Several databases, and what goes from one to another.

use super::Group;
use crate::template::{exact, near, unordered};

pub static GROUP: Group = Group {
    name: "databases",
    templates: &[
        exact("SELECT (0|1|2)"),
        exact("SELECT (16|-1|2147483648|x)"),
        exact("SET {key} {value} [EX {seconds}]"),
        exact("RPUSH {key} {member} <{member}>"),
        exact("HSET {key} {member} {value}"),
        exact("SADD {key} {member} <{member}>"),
        exact("ZADD {key} {score} {member}"),
        exact("PEXPIRE {key} {milliseconds}"),
        exact("DEL {key}"),
        exact("COPY {key} {key} [REPLACE] DB (0|1|2)"),
        exact("COPY {key} {key} DB (0|1|2|15|16|-1|2147483648) [REPLACE]"),
        exact("COPY {key} {key} DB (0|1|2) DB (0|1|2)"),
        exact("TYPE {key}"),
        exact("GET {key}"),
        exact("LRANGE {key} 0 -1"),
        unordered("HGETALL {key}"),
        unordered("SMEMBERS {key}"),
        exact("ZRANGE {key} 0 -1 WITHSCORES"),
        near("TTL {key}", 5),
        exact("DBSIZE"),
    ],
};
