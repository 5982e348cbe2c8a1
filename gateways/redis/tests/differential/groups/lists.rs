//! Lists.

use super::Group;
use crate::template::{exact, flawless, near};

pub static GROUP: Group = Group {
    name: "lists",
    templates: &[
        exact("(LPUSH|RPUSH) {key} {member} <{member}>"),
        exact("(LPUSH|RPUSH) {key} {member} <{member}>"),
        exact("RPUSH {key} {value} <{value}>"),
        exact("(LPUSHX|RPUSHX) {key} {member} <{member}>"),
        exact("(LPOP|RPOP) {key} [{count}]"),
        exact("LLEN {key}"),
        exact("LRANGE {key} {index} {index}"),
        exact("LRANGE {key} 0 -1"),
        exact("LINDEX {key} {index}"),
        exact("LSET {key} {index} {member}"),
        exact("LINSERT {key} (BEFORE|after|NEXT) {member} {member}"),
        exact("LREM {key} {index} {member}"),
        exact("LTRIM {key} {index} {index}"),
        exact("LPOS {key} {member} [RANK {index}] [COUNT {count}] [MAXLEN {count}]"),
        exact("LPOS {key} {member} [MAXLEN {index}] [COUNT {index}] [RANK]"),
        exact("LMOVE {key} {key} (LEFT|RIGHT) (left|right|UP)"),
        exact("RPOPLPUSH {key} {key}"),
        exact("LMPOP 1 {key} (LEFT|right) [COUNT {count}]"),
        exact("LMPOP {count} {key} {key} (LEFT|RIGHT|UP) [COUNT {index}] [COUNT 1]"),
        // No word of these becomes another one: 0 would wait for ever.
        flawless("(BLPOP|BRPOP) {key} <{key}> 0.001"),
        flawless("(BLPOP|BRPOP) {key} (x|-1)"),
        flawless("BLMOVE {key} {key} (LEFT|RIGHT) (LEFT|RIGHT) 0.001"),
        flawless("BRPOPLPUSH {key} {key} (0.001|-1)"),
        flawless("BLMPOP 0.001 2 {key} {key} (LEFT|RIGHT) [COUNT {count}]"),
        exact("DEL {key}"),
        exact("SET {key} {value}"),
        exact("EXPIRE {key} {seconds}"),
        near("TTL {key}", 5),
    ],
};
