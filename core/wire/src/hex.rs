//! The fixed-width hexadecimal numbers of gotalk headers, as functions over arrays.
//!
//! Digits are read in either case and written in lower case. Signs, spaces and an `0x` prefix are not digits.
//!
//! The library's `const` forms are used for their speed: they are small enough to be inlined, while the
//! vectorised ones cost a call and a look at the processor's features, which pays off only for long inputs.

use const_hex::Buffer;

/// Reads 8 digits as a 32-bit number; `None` if one of them is not a hexadecimal digit.
#[inline]
pub(crate) fn read_u32(digits: [u8; 8]) -> Option<u32> {
    // The library skips an "0x", and then misses two digits: that is an error too.
    const_hex::const_decode_to_array(&digits)
        .ok()
        .map(u32::from_be_bytes)
}

/// Reads 4 digits as a 16-bit number; `None` if one of them is not a hexadecimal digit.
#[inline]
pub(crate) fn read_u16(digits: [u8; 4]) -> Option<u16> {
    const_hex::const_decode_to_array(&digits)
        .ok()
        .map(u16::from_be_bytes)
}

/// The 8 digits of a 32-bit number.
#[inline]
pub(crate) fn digits_u32(value: u32) -> [u8; 8] {
    *Buffer::<4>::new()
        .const_format(&value.to_be_bytes())
        .as_byte_array()
}

/// The 4 digits of a 16-bit number.
#[inline]
pub(crate) fn digits_u16(value: u16) -> [u8; 4] {
    *Buffer::<2>::new()
        .const_format(&value.to_be_bytes())
        .as_byte_array()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_either_case_and_writes_lower() {
        assert_eq!(read_u32(*b"00ABcdEf"), Some(0x00ab_cdef));
        assert_eq!(read_u16(*b"fFfF"), Some(0xffff));
        assert_eq!(&digits_u32(0x00ab_cdef), b"00abcdef");
        assert_eq!(&digits_u16(0x0a0f), b"0a0f");
    }

    #[test]
    fn accepts_exactly_the_hexadecimal_digits_at_every_place() {
        for place in 0..8 {
            for byte in 0..=u8::MAX {
                let mut digits = *b"00000000";
                digits[place] = byte;
                assert_eq!(
                    read_u32(digits).is_some(),
                    byte.is_ascii_hexdigit(),
                    "{byte:#x} at {place}"
                );
            }
        }
        for place in 0..4 {
            for byte in 0..=u8::MAX {
                let mut digits = *b"0000";
                digits[place] = byte;
                assert_eq!(
                    read_u16(digits).is_some(),
                    byte.is_ascii_hexdigit(),
                    "{byte:#x} at {place}"
                );
            }
        }
    }

    #[test]
    fn refuses_prefixes_signs_and_spaces() {
        for text in [
            b"0x000001",
            b"0X000001",
            b"+0000001",
            b"-0000001",
            b" 0000001",
            b"0000001 ",
            b"0000_001",
        ] {
            assert_eq!(read_u32(*text), None, "{}", text.escape_ascii());
        }
        for text in [b"0x01", b"0X01", b"+001", b" 001"] {
            assert_eq!(read_u16(*text), None, "{}", text.escape_ascii());
        }
    }
}
