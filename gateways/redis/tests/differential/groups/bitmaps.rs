//! Bits.

use super::Group;
use crate::template::exact;

pub static GROUP: Group = Group {
    name: "bitmaps",
    templates: &[
        exact("SET {key} {value}"),
        exact("GET {key}"),
        exact("SETBIT {key} {bit} (0|1)"),
        exact("GETBIT {key} {bit}"),
        exact("BITCOUNT {key} [{index} {index} [(BYTE|BIT)]]"),
        exact("BITCOUNT {key} {bit} {bit} BIT"),
        exact("BITPOS {key} (0|1) [{index} [{index} [(BYTE|BIT)]]]"),
        exact("BITPOS {key} (0|1) {bit} {bit} BIT"),
        exact("BITOP (AND|OR|XOR) {key} {key} <{key}>"),
        exact("BITOP NOT {key} {key}"),
    ],
};
