//! Sets.

use super::Group;
use crate::template::{exact, flawless, shape, unordered};

pub static GROUP: Group = Group {
    name: "sets",
    templates: &[
        exact("SADD {key} {member} <{member}>"),
        exact("SADD {key} {member} {member} {member} {member}"),
        exact("SREM {key} {member} <{member}>"),
        exact("SISMEMBER {key} {member}"),
        exact("SMISMEMBER {key} {member} <{member}>"),
        unordered("SMEMBERS {key}"),
        exact("SCARD {key}"),
        exact("SMOVE {key} {key} {member}"),
        // What is taken by chance would be another one at each: nothing or all.
        flawless("SPOP {key} (0|x|-1|1.5|0 0)"),
        unordered_flawless("SPOP {key} 100"),
        shape("SRANDMEMBER {key} [({index}|x)]"),
        unordered("(SINTER|SUNION|SDIFF) {key} <{key}>"),
        exact("(SINTERSTORE|SUNIONSTORE|SDIFFSTORE) {key} {key} <{key}>"),
        exact("SINTERCARD (1 {key}|2 {key} {key}|3 {key} {key} {key}) [LIMIT {index}]"),
        exact("SINTERCARD {index} {key} [LIMIT]"),
        unordered_flawless("SSCAN {key} 0 COUNT 1000 [MATCH (*|a*|[ab1])]"),
        flawless("SSCAN {key} (x|0 COUNT 0|0 COUNT|0 COUNT x|0 NONE x)"),
    ],
};

const fn unordered_flawless(text: &'static str) -> crate::template::Template {
    crate::template::Template {
        is_flawed: false,
        ..unordered(text)
    }
}
