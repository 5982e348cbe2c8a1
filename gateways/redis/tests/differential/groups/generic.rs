//! Keys, whatever they have.

use super::Group;
use crate::template::{exact, flawless, near, unordered};

pub static GROUP: Group = Group {
    name: "generic",
    templates: &[
        exact("SET {key} {value}"),
        exact("SET {key} {int} [EX {seconds}]"),
        exact("(DEL|UNLINK) {key} <{key}>"),
        exact("(EXISTS|TOUCH) {key} <{key}>"),
        exact("TYPE {key}"),
        exact("EXPIRE {key} {seconds} [(NX|XX|GT|LT)] [(NX|XX|GT|LT)]"),
        exact("PEXPIRE {key} {milliseconds} [(NX|XX|GT|LT)] [(NX|XX|GT|LT)]"),
        exact("EXPIREAT {key} {second} [(NX|XX|GT|LT)] [(NX|XX|GT|LT)]"),
        exact("PEXPIREAT {key} {millisecond} [(NX|XX|GT|LT)] [(NX|XX|GT|LT)]"),
        exact("(EXPIRE|PEXPIRE|EXPIREAT|PEXPIREAT) {key} {past} [(NX|XX|GT|LT)]"),
        near("(TTL|EXPIRETIME) {key}", 5),
        near("(PTTL|PEXPIRETIME) {key}", 5_000),
        exact("PERSIST {key}"),
        exact("(RENAME|RENAMENX) {key} {key}"),
        exact("COPY {key} {key} [REPLACE]"),
        exact("OBJECT ENCODING {key}"),
        exact("OBJECT FREQ {key}"),
        near("OBJECT IDLETIME {key}", 30),
        exact("(SORT|SORT_RO) {key} [LIMIT {index} {index}] <GET #> [(ASC|DESC)] [ALPHA]"),
        unordered("(SORT|SORT_RO) {key} BY nosort"),
        flawless("SORT {key} [LIMIT {index} {index}] [GET none] [(ASC|DESC)] [ALPHA] STORE {key}"),
        unordered("KEYS {pattern}"),
        unordered("SCAN 0 COUNT 1000 [MATCH {pattern}] [TYPE (string|list|what)]"),
    ],
};
