//! Numbers as C writes and reads them.

/// As `%.{digits}g` writes a number.
pub(super) fn general(number: f64, digits: usize) -> String {
    if number.is_nan() {
        return if number.is_sign_negative() { "-nan" } else { "nan" }.to_owned();
    }
    if number.is_infinite() {
        return if number < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    let digits = digits.max(1);
    let scientific = format!("{:.*e}", digits - 1, number);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let digits = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= digits {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
    let decimals = usize::try_from(digits - 1 - exponent).unwrap_or_default();
    trimmed(&format!("{number:.decimals$}")).to_owned()
}

/// Without zeros at the end of its fraction.
fn trimmed(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_c_does() {
        for (number, digits, text) in [
            (0.1, 17, "0.10000000000000001"),
            (1.5, 17, "1.5"),
            (1e20, 17, "1e+20"),
            (1e16, 17, "10000000000000000"),
            (1e-5, 17, "1.0000000000000001e-05"),
            (0.0001, 14, "0.0001"),
            (1e14, 14, "1e+14"),
            (99_999_999_999_999.0, 14, "99999999999999"),
            (12_345_678_901_234_567.0, 14, "1.2345678901235e+16"),
            (0.0, 14, "0"),
            (-0.0, 14, "-0"),
            (-1.0, 14, "-1"),
            (100.0, 14, "100"),
            (9.999_999_999_999_999, 14, "10"),
            (f64::INFINITY, 14, "inf"),
        ] {
            assert_eq!(general(number, digits), text);
        }
    }
}
