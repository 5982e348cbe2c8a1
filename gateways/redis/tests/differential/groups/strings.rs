//! Strings.

use super::Group;
use crate::template::{exact, flawless};

pub static GROUP: Group = Group {
    name: "strings",
    templates: &[
        exact("GET {key}"),
        exact("SET {key} {value}"),
        exact("SET {key} {int}"),
        exact(
            "SET {key} {value} [(NX|XX)] [GET] [(EX {seconds}|PX {milliseconds}|EXAT {second}|PXAT {millisecond}|KEEPTTL)]",
        ),
        exact("SET {key} {value} (EX|PX|EXAT|PXAT) ({past}|{seconds}) [(NX|XX|GET|KEEPTTL|EX|PX|PERSIST)]"),
        exact("GETEX {key} [(EX {seconds}|PX {milliseconds}|EXAT {second}|PXAT {millisecond}|PERSIST)]"),
        exact("GETEX {key} (EX|PX|EXAT|PXAT) {past} [(PERSIST|EX)]"),
        exact("GETDEL {key}"),
        exact("GETSET {key} {value}"),
        exact("MGET {key} <{key}>"),
        exact("MSET {key} {value} <{key} {value}>"),
        exact("MSETNX {key} {value} <{key} {value}>"),
        exact("SETNX {key} {value}"),
        exact("SETEX {key} ({seconds}|{past}) {value}"),
        exact("PSETEX {key} ({milliseconds}|{past}) {value}"),
        exact("APPEND {key} {value}"),
        exact("STRLEN {key}"),
        exact("(GETRANGE|SUBSTR) {key} {index} {index}"),
        exact("SETRANGE {key} {index} {value}"),
        exact("(INCR|DECR) {key}"),
        exact("(INCRBY|DECRBY) {key} ({int}|{value})"),
        flawless("INCRBYFLOAT {key} (x|inf|nan|)"),
        exact("LCS {key} {key} [LEN] [IDX] [MINMATCHLEN {index}] [WITHMATCHLEN]"),
        exact("SET {key} {text}"),
    ],
};
