//! Where answers may differ, and why.

use crate::reply::Reply;
use crate::template::Asked;

/// Whether an answer may be another one than that of Redis.
pub fn is_excused(asked: &Asked, ours: &Reply, theirs: &Reply) -> bool {
    is_other_encoding(asked, ours, theirs)
        || tells_key_first(asked, ours, theirs)
        || is_other_cursor(asked, ours)
        || is_pattern_refused(asked, ours)
}

/// Redis keeps what was appended to as `raw`, however short; and lists as `listpack` since 7.2 only.
fn is_other_encoding(asked: &Asked, ours: &Reply, theirs: &Reply) -> bool {
    asked.name() == "OBJECT" && matches!((ours, theirs), (Reply::Bulk(..), Reply::Bulk(..)))
}

/// With an argument that is wrong and a key that is absent or of another kind, Redis 7.0 looks at the key first, and 7.2 at the argument,
/// as we do.
fn tells_key_first(asked: &Asked, ours: &Reply, theirs: &Reply) -> bool {
    let of_key = theirs.error().is_none_or(|words| words.starts_with("WRONGTYPE"));
    matches!(asked.name().as_str(), "BITCOUNT" | "BITPOS") && ours.error().is_some() && of_key
}

/// In Redis every number is a cursor; here those that a scan answered.
fn is_other_cursor(asked: &Asked, ours: &Reply) -> bool {
    asked.name() == "SCAN" && ours.error().is_some_and(|words| words.contains("cursor"))
}

/// `BY` and `GET` with a `*` would read keys that the command does not name.
fn is_pattern_refused(asked: &Asked, ours: &Reply) -> bool {
    asked.name().starts_with("SORT")
        && ours
            .error()
            .is_some_and(|words| words.contains("BY and GET with a pattern"))
}
