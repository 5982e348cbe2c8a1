//! Numbers as Redis adds them in `INCRBYFLOAT`: with 64 bits of digits (the 80-bit numbers of x86), written with at most
//! 17 digits after the point. So 0.1 and 0.2 are 0.3 here too.
//!
//! Numbers that are very great, or have more than 18 digits after the point, have the 53 bits of a double.

/// Digits after the point that are written.
const FRACTION_DIGITS: usize = 17;
const FRACTION_SCALE: u128 = 10_u128.pow(FRACTION_DIGITS as u32);

/// Most digits after the point for 64 bits.
const FRACTION_DIGITS_MAX: i32 = 18;

/// Most zeros that an exponent adds.
const ZEROS_MAX: i32 = 38;

/// A number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum LongDouble {
    /// With 64 bits.
    Extended(Extended),
    /// With 53 bits, or infinite.
    Double(f64),
}

/// `mantissa * 2^exponent`: the highest bit of the mantissa is set, unless it is 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Extended {
    is_negative: bool,
    mantissa: u64,
    exponent: i32,
}

impl LongDouble {
    pub(crate) const ONE: Self = Self::Extended(Extended {
        is_negative: false,
        mantissa: 1 << 63,
        exponent: -63,
    });

    /// The number that a text says: `inf` is one, `nan` is none.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let double = crate::args::parse_float(text)?;
        Some(Extended::parse(text).map_or(Self::Double(double), Self::Extended))
    }

    pub(crate) fn negated(self) -> Self {
        match self {
            Self::Extended(number) => Self::Extended(Extended {
                is_negative: !number.is_negative,
                ..number
            }),
            Self::Double(number) => Self::Double(-number),
        }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Extended(one), Self::Extended(other)) => Self::Extended(one.plus(other)),
            (one, other) => Self::Double(one.to_double() + other.to_double()),
        }
    }

    fn to_double(self) -> f64 {
        match self {
            Self::Extended(number) => {
                let magnitude = number.mantissa as f64 * f64::from(number.exponent).exp2();
                if number.is_negative { -magnitude } else { magnitude }
            }
            Self::Double(number) => number,
        }
    }

    /// As it is written: without an exponent, without zeros at the end; `None` if it is not finite.
    pub(crate) fn text(self) -> Option<String> {
        if let Self::Extended(number) = self
            && let Some(text) = number.text()
        {
            return Some(text);
        }
        // A zero has no sign.
        let double = self.to_double() + 0.0;
        double.is_finite().then(|| double.to_string())
    }
}

impl Extended {
    /// The nearest to a decimal number; `None` if that needs more than 128 bits on the way.
    fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let fraction = fraction.trim_end_matches('0');
        let mut number = 0_u128;
        for digit in whole.bytes().chain(fraction.bytes()) {
            let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
            number = number.checked_mul(10)?.checked_add(u128::from(digit))?;
        }
        let scale = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        if !(-FRACTION_DIGITS_MAX..=ZEROS_MAX).contains(&scale) {
            return (number == 0).then_some(Self::rounded(is_negative, 0, 0, false));
        }
        let power = 10_u128.pow(scale.unsigned_abs());
        if scale >= 0 {
            return Some(Self::rounded(is_negative, number.checked_mul(power)?, 0, false));
        }
        // With the highest bit set, the quotient has more than 64 bits.
        let shift = number.leading_zeros() & 127;
        let number = number << shift;
        let exponent = -i32::try_from(shift).ok()?;
        let (quotient, rest) = (number / power, number % power);
        Some(Self::rounded(is_negative, quotient, exponent, rest != 0))
    }

    /// The nearest to `number * 2^exponent`, to the even one of two that are as near. `has_more`: it is a bit greater
    /// than that, and has more than 64 bits.
    fn rounded(is_negative: bool, number: u128, exponent: i32, has_more: bool) -> Self {
        let zeros = number.leading_zeros();
        if zeros >= 64 {
            // All bits find room.
            let shift = (zeros - 64) & 63;
            return Self {
                is_negative,
                mantissa: (number as u64) << shift,
                exponent: exponent - shift as i32,
            };
        }
        let shift = 64 - zeros;
        let (mut mantissa, lost) = ((number >> shift) as u64, number & ((1 << shift) - 1));
        let mut exponent = exponent + shift as i32;
        if is_up(mantissa.into(), lost, shift, has_more) {
            let (next, is_over) = mantissa.overflowing_add(1);
            (mantissa, exponent) = if is_over {
                (1 << 63, exponent + 1)
            } else {
                (next, exponent)
            };
        }
        Self {
            is_negative,
            mantissa,
            exponent,
        }
    }

    fn plus(self, other: Self) -> Self {
        /// So far up is the greater number moved.
        const ROOM: u32 = 63;
        if self.mantissa == 0 || other.mantissa == 0 {
            return if self.mantissa == 0 { other } else { self };
        }
        let (great, small) = if self.exponent >= other.exponent {
            (self, other)
        } else {
            (other, self)
        };
        let distance = great.exponent.abs_diff(small.exponent);
        let exponent = great.exponent - ROOM as i32;
        let (one, other) = (
            u128::from(great.mantissa) << ROOM,
            u128::from(small.mantissa) << ROOM,
        );
        let moved = other.checked_shr(distance).unwrap_or(0);
        let has_more = moved.checked_shl(distance).unwrap_or(0) != other;
        if great.is_negative == small.is_negative {
            return Self::rounded(great.is_negative, one + moved, exponent, has_more);
        }
        if one < moved {
            // Both have the same exponent: nothing was lost.
            return Self::rounded(small.is_negative, moved - one, exponent, false);
        }
        let difference = one - moved - u128::from(has_more);
        Self::rounded(
            great.is_negative && difference > 0,
            difference,
            exponent,
            has_more,
        )
    }

    /// `None` if it is too great.
    fn text(self) -> Option<String> {
        let mantissa = u128::from(self.mantissa);
        let (mut whole, mut fraction) = match self.exponent {
            0..=64 => (mantissa << self.exponent, 0),
            65.. => return None,
            _ => {
                let shift = self.exponent.unsigned_abs();
                let whole = mantissa.checked_shr(shift).unwrap_or(0);
                let part = (mantissa - whole.checked_shl(shift).unwrap_or(0)) * FRACTION_SCALE;
                let kept = part.checked_shr(shift).unwrap_or(0);
                let lost = part - kept.checked_shl(shift).unwrap_or(0);
                (
                    whole,
                    kept + u128::from(shift < 128 && is_up(kept, lost, shift, false)),
                )
            }
        };
        if fraction == FRACTION_SCALE {
            (whole, fraction) = (whole + 1, 0);
        }
        let sign = if self.is_negative && (whole, fraction) != (0, 0) {
            "-"
        } else {
            ""
        };
        if fraction == 0 {
            return Some(format!("{sign}{whole}"));
        }
        let text = format!("{sign}{whole}.{fraction:0FRACTION_DIGITS$}");
        Some(text.trim_end_matches('0').to_owned())
    }
}

/// Whether a number is rounded up, of which so many bits are lost.
fn is_up(kept: u128, lost: u128, bits: u32, has_more: bool) -> bool {
    let half = 1_u128 << (bits - 1);
    lost > half || (lost == half && (has_more || kept % 2 == 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(one: &str, other: &str) -> Option<String> {
        let number = |text: &str| LongDouble::parse(text.as_bytes()).unwrap();
        number(one).plus(number(other)).text()
    }

    #[test]
    fn sums_of_redis() {
        for (one, other, text) in [
            ("0.1", "0.2", "0.3"),
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("-0.1", "0.1", "0"),
            ("1", "-1.5", "-0.5"),
            ("9223372036854775807", "1", "9223372036854775808"),
            ("6200879834396856233", "30.078125", "6200879834396856263"),
            ("1e-7", "0", "0.0000001"),
            ("1e-18", "0", "0"),
            ("-1e-18", "0", "0"),
            ("3.000", "1.1", "4.1"),
            ("+.5", "5.", "5.5"),
            ("1e30", "1", "1000000000000000000024696061952"),
            ("0e99", "1", "1"),
        ] {
            assert_eq!(sum(one, other).as_deref(), Some(text), "{one} + {other}");
        }
        assert_eq!(sum("1e300", "1").unwrap().len(), 301);
        assert_eq!(sum("inf", "1"), None);
        assert_eq!(sum("inf", "-inf"), None);
        assert_eq!(LongDouble::parse(b"nan"), None);
        assert_eq!(LongDouble::parse(b"1x"), None);
        assert_eq!(LongDouble::ONE.negated().text().as_deref(), Some("-1"));
    }

    proptest! {
        #[test]
        fn near_those_of_doubles(one in -1e18..1e18_f64, other in -1e6..1e6_f64) {
            let text = sum(&one.to_string(), &other.to_string()).unwrap();
            let number: f64 = text.parse().unwrap();
            let limit = (one.abs() + other.abs()) * f64::EPSILON + 1e-16;
            prop_assert!((number - (one + other)).abs() <= limit, "{text}");
        }

        #[test]
        fn any_text(one: String, whole in "-?[0-9]{0,40}", fraction in "[0-9]{0,40}", exponent: i16) {
            for text in [one, format!("{whole}.{fraction}"), format!("{whole}.{fraction}e{exponent}")] {
                if let Some(number) = LongDouble::parse(text.as_bytes()) {
                    let _ = number.plus(LongDouble::ONE).plus(number.negated()).plus(number).text();
                }
            }
        }

        #[test]
        fn integers_are_exact(one: i64, other: i64) {
            let exact = i128::from(one) + i128::from(other);
            prop_assume!(exact.unsigned_abs() < 1 << 64);
            prop_assert_eq!(sum(&one.to_string(), &other.to_string()), Some(exact.to_string()));
        }
    }
}
