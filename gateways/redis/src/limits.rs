//! Bounds of structures and of answers.

use crate::refusal::Refusal;

/// Most bytes of memory that a structure may take: it is held as a whole, and is copied as a whole now and then.
pub(crate) const STRUCTURE_BYTES_MAX: usize = 1 << 30;

/// What an element takes beside its bytes, at most.
const ELEMENT_COST_BYTES_MAX: usize = 64;

/// Whether a structure of so many bytes has room for more elements.
///
/// # Errors
/// When it has not.
pub(crate) fn check_room<'m>(
    noun: &str,
    bytes: usize,
    more: impl IntoIterator<Item = &'m [u8]>,
) -> Result<(), Refusal> {
    let cost = |more: &[u8]| more.len() + ELEMENT_COST_BYTES_MAX;
    let more: usize = more.into_iter().map(cost).sum();
    if bytes.saturating_add(more) > STRUCTURE_BYTES_MAX {
        return Err(Refusal::of(format!(
            "ERR the {noun} would take more than {STRUCTURE_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}

/// Most bytes in the answer of one command that may tell a value many times over, and in all answers of a transaction: beyond
/// that the rest of it is refused.
pub(crate) const ANSWER_BYTES_MAX: usize = 512 << 20;

/// Whether an answer of so many bytes is possible.
///
/// # Errors
/// When it is not.
pub(crate) fn check_answer(bytes: usize) -> Result<(), Refusal> {
    check_answer_within(bytes, ANSWER_BYTES_MAX)
}

/// The same with another bound.
///
/// # Errors
/// When it is not possible.
pub(crate) fn check_answer_within(bytes: usize, bytes_max: usize) -> Result<(), Refusal> {
    if bytes > bytes_max {
        return Err(Refusal::of(format!(
            "ERR the answer would have more than {bytes_max} bytes: ask for less at once"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_a_bound() {
        let more = [&b"element"[..]];
        assert_eq!(check_room("list", 0, more), Ok(()));
        let full = STRUCTURE_BYTES_MAX - ELEMENT_COST_BYTES_MAX - more[0].len();
        assert_eq!(check_room("list", full, more), Ok(()));
        let refusal = check_room("list", full + 1, more).unwrap_err();
        assert_eq!(
            refusal.as_str(),
            "ERR the list would take more than 1073741824 bytes"
        );
    }
}
