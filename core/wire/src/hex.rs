//! The fixed-width hexadecimal numbers of gotalk headers, as functions over arrays.
//!
//! Digits are read in either case and written in lower case. Signs, spaces and an `0x` prefix are not digits.

/// Reads 8 digits as a 32-bit number; `None` if one of them is not a hexadecimal digit.
#[inline]
pub(crate) fn read_u32(digits: [u8; 8]) -> Option<u32> {
    let mut bytes = [0; 4];
    faster_hex::hex_decode(&digits, &mut bytes).ok()?;
    Some(u32::from_be_bytes(bytes))
}

/// Reads 4 digits as a 16-bit number; `None` if one of them is not a hexadecimal digit.
#[inline]
pub(crate) fn read_u16(digits: [u8; 4]) -> Option<u16> {
    let mut bytes = [0; 2];
    faster_hex::hex_decode(&digits, &mut bytes).ok()?;
    Some(u16::from_be_bytes(bytes))
}

/// The 8 digits of a 32-bit number.
#[inline]
pub(crate) fn digits_u32(value: u32) -> [u8; 8] {
    let mut digits = [b'0'; 8];
    let written = faster_hex::hex_encode(&value.to_be_bytes(), &mut digits);
    debug_assert!(written.is_ok());
    digits
}

/// The 4 digits of a 16-bit number.
#[inline]
pub(crate) fn digits_u16(value: u16) -> [u8; 4] {
    let mut digits = [b'0'; 4];
    let written = faster_hex::hex_encode(&value.to_be_bytes(), &mut digits);
    debug_assert!(written.is_ok());
    digits
}
