//! Lists in order. They stand at keys of their own: the order of a set is nobody's.

use super::Group;
use crate::template::{exact, flawless};

pub static GROUP: Group = Group {
    name: "sorting",
    templates: &[
        exact("RPUSH {list} {member} <{member}>"),
        exact("RPUSH {list} {int} {float} {decimal} {int}"),
        exact("DEL {list}"),
        exact("LRANGE {list} 0 -1"),
        exact("(SORT|SORT_RO) {list} [LIMIT {index} {index}] <GET #> [(ASC|DESC)]"),
        exact("(SORT|SORT_RO) {list} [LIMIT {index} {index}] <GET #> [(ASC|DESC)] ALPHA"),
        exact("(SORT|SORT_RO) {list} BY nosort [LIMIT {index} {index}] <GET #> [(ASC|DESC)] [ALPHA]"),
        flawless("SORT {list} [LIMIT {index} {index}] [(ASC|DESC)] [ALPHA] STORE {list}"),
        flawless("SORT {list} [BY nosort] [GET none] [GET #] [DESC] [ALPHA] STORE {list}"),
        exact("(SORT|SORT_RO) {list} BY * [LIMIT {index} {index}] <GET (#|*|none|*->a)> [(ASC|DESC)]"),
        exact("(SORT|SORT_RO) {list} <GET (#|*|none|*->a)> [(ASC|DESC)] ALPHA"),
        exact("(SORT|SORT_RO) {list} STORE"),
    ],
};
