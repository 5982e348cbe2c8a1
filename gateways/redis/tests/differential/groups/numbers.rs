//! Numbers with a fraction, at keys that have nothing else: any other sum would be one of great integers.

use super::Group;
use crate::template::flawless;

pub static GROUP: Group = Group {
    name: "numbers",
    templates: &[
        flawless("INCRBYFLOAT {number} {float}"),
        flawless("INCRBYFLOAT {number} {decimal}"),
        flawless("SET {number} ({float}|{decimal})"),
        flawless("GET {number}"),
        flawless("HINCRBYFLOAT {numbers} (a|b) {float}"),
        flawless("HINCRBYFLOAT {numbers} (a|b) {decimal}"),
        flawless("HSET {numbers} (a|b) ({float}|{decimal})"),
        flawless("HGET {numbers} (a|b)"),
        flawless("(HINCRBYFLOAT {numbers} a|INCRBYFLOAT {number}) (x|inf|-inf|nan|1x)"),
    ],
};
