//! Close codes (RFC 6455, 7.4), and how gotalk's protocol errors travel in them.

use super::violation::Violation;

pub(super) const NORMAL: u16 = 1000;
pub(super) const PROTOCOL_ERROR: u16 = 1002;
pub(super) const INVALID_TEXT: u16 = 1007;
pub(super) const TOO_LARGE: u16 = 1009;

/// The first of gotalk's own close codes: the code of the protocol error is added.
const GOTALK: u16 = 4000;

/// The last close code there is.
const LAST: u16 = 4999;

/// The close code after a protocol error. One that does not fit goes as 0, abnormal.
pub(super) fn of_error(code: u32) -> u16 {
    match u16::try_from(code) {
        Ok(code) if code <= LAST - GOTALK => GOTALK + code,
        _ => GOTALK,
    }
}

/// The protocol error that a close code stands for.
pub(super) fn to_error(code: u16) -> Option<u32> {
    (GOTALK..=LAST).contains(&code).then(|| (code - GOTALK).into())
}

/// Reads the content of a close frame: its code, if there is one.
pub(super) fn parse(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() {
            Ok(None)
        } else {
            Err(Violation::BadClose)
        };
    };
    let code = u16::from_be_bytes(*code);
    // Those between are not defined, or stand for what cannot be sent.
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=LAST) {
        return Err(Violation::BadClose);
    }
    std::str::from_utf8(reason).map_err(|_| Violation::ReasonNotUtf8)?;
    Ok(Some(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocol_errors_travel_in_close_codes() {
        for code in [0, 1, 2, 3, 9, 999] {
            assert_eq!(to_error(of_error(code)), Some(code));
        }
        assert_eq!(of_error(1000), 4000);
        assert_eq!(of_error(u32::MAX), 4000);
        assert_eq!(to_error(1000), None);
        assert_eq!(to_error(3999), None);
    }

    #[test]
    fn close_frames_are_checked() {
        assert_eq!(parse(b""), Ok(None));
        assert_eq!(parse(b"\x03\xe8"), Ok(Some(1000)));
        assert_eq!(parse(b"\x0f\xa2why"), Ok(Some(4002)));
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
            assert_eq!(parse(&u16::to_be_bytes(code)), Err(Violation::BadClose), "{code}");
        }
        assert_eq!(parse(b"\x03"), Err(Violation::BadClose));
        assert_eq!(parse(b"\x03\xe8\xff"), Err(Violation::ReasonNotUtf8));
    }
}
