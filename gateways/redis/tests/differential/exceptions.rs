//! Where answers may differ, and why.

use crate::reply::Reply;
use crate::template::Asked;

/// Whether an answer may be another one than that of Redis.
pub fn is_excused(asked: &Asked, ours: &Reply, theirs: &Reply) -> bool {
    is_other_encoding(asked, ours, theirs)
        || tells_key_first(asked, ours, theirs)
        || is_other_cursor(asked, ours)
        || is_refused_for_another(asked, ours, theirs)
        || is_other_text(asked, ours, theirs)
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

/// Redis 7.0 does not clear `errno` before it reads a number: where one in an earlier command was out of range, an empty
/// element, which is 0, is refused.
fn is_refused_for_another(asked: &Asked, ours: &Reply, theirs: &Reply) -> bool {
    let is_refused = |words: String| words.contains("can't be converted into double");
    let has_empty = match ours {
        Reply::Several(_, elements) => elements.contains(&Reply::Bulk(b'$', Vec::new())),
        // How many were stored.
        _ => ours.error().is_none(),
    };
    asked.name().starts_with("SORT") && has_empty && theirs.error().is_some_and(is_refused)
}

/// Redis 7.0 writes scores with 17 digits, and 7.2 with as few as read back the same, as we do. And it forgets the sign
/// of 0 in small sets only.
fn is_other_text(asked: &Asked, ours: &Reply, theirs: &Reply) -> bool {
    asked.name().contains('Z') && is_same_number(ours, theirs)
}

fn is_same_number(ours: &Reply, theirs: &Reply) -> bool {
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<f64>().ok();
    match (ours, theirs) {
        (Reply::Several(one, ours), Reply::Several(other, theirs)) => {
            let are_same = |(ours, theirs)| is_same_number(ours, theirs);
            one == other && ours.len() == theirs.len() && ours.iter().zip(theirs).all(are_same)
        }
        (Reply::Line(b',', ours), Reply::Line(b',', theirs))
        | (Reply::Bulk(b'$', ours), Reply::Bulk(b'$', theirs)) => {
            ours == theirs || number(ours).is_some_and(|ours| Some(ours) == number(theirs))
        }
        _ => ours == theirs,
    }
}
