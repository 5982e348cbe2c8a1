//! What stands in a request's target: names in its path, parameters in its query, and how these are written.

use std::time::Duration;

use bytestring::ByteString;

use crate::problem::Problem;

/// Most parameters of one query: as many as the hub takes topics at once, and the others.
const PARAMETERS_MAX: usize = 1100;

/// The longest that one can ask to be waited for: a day. More is a mistake, or no wish to be fulfilled by a server.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// Reads what is percent-encoded, strictly: `%` stands before two hexadecimal digits, and all of it is UTF-8.
pub(crate) fn percent_decoded(text: &str) -> Result<ByteString, Problem> {
    if !text.contains('%') {
        return Ok(ByteString::from(text));
    }
    ByteString::try_from(percent_decoded_bytes(text)?).map_err(|_| {
        Problem::bad_request(format!(
            "{} is not UTF-8 once its %-escapes are read",
            quoted(text)
        ))
    })
}

/// The same, of any bytes.
pub(crate) fn percent_decoded_bytes(text: &str) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, others) = rest.split_first_chunk::<2>().ok_or_else(|| bad_escape(text))?;
        bytes.push(hex_byte(*digits).ok_or_else(|| bad_escape(text))?);
        rest = others;
    }
    Ok(bytes)
}

fn hex_byte([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

fn bad_escape(text: &str) -> Problem {
    Problem::bad_request(format!(
        "{} has a `%` without two hexadecimal digits after it: write %25 for the sign itself",
        quoted(text)
    ))
}

/// What came from the client, as an answer quotes it: bounded.
pub(crate) fn quoted(text: &str) -> String {
    const CHARS_MAX: usize = 100;
    match text.char_indices().nth(CHARS_MAX) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
    }
}

/// The parameters of a query, in their order.
///
/// # Errors
/// Those of [`percent_decoded`], too many parameters, and any whose name is not among `known`.
pub(crate) fn parameters(
    query: Option<&str>,
    known: &[&'static str],
) -> Result<Vec<(&'static str, ByteString)>, Problem> {
    let mut parameters = Vec::new();
    let pieces = query
        .unwrap_or_default()
        .split('&')
        .filter(|piece| !piece.is_empty());
    for piece in pieces {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let name = form_decoded(name)?;
        let Some(name) = known.iter().find(|known| **known == &*name) else {
            return Err(Problem::bad_request(format!(
                "the query has an unknown parameter {}: known here: {}",
                quoted(&name),
                known.join(", ")
            )));
        };
        if parameters.len() == PARAMETERS_MAX {
            return Err(Problem::bad_request(format!(
                "the query has more than {PARAMETERS_MAX} parameters"
            )));
        }
        parameters.push((*name, form_decoded(value)?));
    }
    Ok(parameters)
}

/// As forms write it: a plus stands for a space.
fn form_decoded(text: &str) -> Result<ByteString, Problem> {
    if text.contains('+') {
        percent_decoded(&text.replace('+', " "))
    } else {
        percent_decoded(text)
    }
}

/// A time such as `10s`, `500ms`, `2m`, `1h` or `7d`, at most `max`; a bare number is one of seconds.
pub(crate) fn duration(name: &str, text: &str, max: Duration) -> Result<Duration, Problem> {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    let millis_each: Option<u64> = match unit {
        "ms" => Some(1),
        "" | "s" => Some(1000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let millis = number
        .parse::<u64>()
        .ok()
        .zip(millis_each)
        .and_then(|(number, each)| number.checked_mul(each));
    match millis.map(Duration::from_millis) {
        Some(time) if time <= max => Ok(time),
        _ => Err(Problem::bad_request(format!(
            "`{name}` is {}: write a time as 10s, 500ms, 2m, 1h or 7d, at most {} s",
            quoted(text),
            max.as_secs()
        ))),
    }
}

/// A switch: `?name`, `?name=true` and `?name=false`.
pub(crate) fn switch(name: &str, text: &str) -> Result<bool, Problem> {
    match text {
        "" | "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Problem::bad_request(format!(
            "`{name}` is {}: write it without a value, or with true or false",
            quoted(text)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_strictly() {
        for (text, expected) in [
            ("upper", Some("upper")),
            ("a%2Fb/c%20d+e", Some("a/b/c d+e")),
            ("%e2%82%AC", Some("€")),
            ("100%25", Some("100%")),
            ("", Some("")),
            ("%", None),
            ("%2", None),
            ("%2x", None),
            ("%+1", None),
            ("%ff", None),
        ] {
            assert_eq!(percent_decoded(text).ok().as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn parameters_are_known_ones_in_order() {
        let known = &["topic", "wait"];
        let read = |query| {
            parameters(Some(query), known)
                .map(|parameters| {
                    let words = parameters.iter().map(|(name, value)| format!("{name}={value}"));
                    words.collect::<Vec<_>>()
                })
                .map_err(|problem| problem.message)
        };
        assert_eq!(
            read("topic=a+b&&topic=%2B%23&wait").unwrap(),
            ["topic=a b", "topic=+#", "wait="]
        );
        assert!(read("topics=a").unwrap_err().contains("known here: topic, wait"));
        assert!(read("topic=%zz").is_err());
        assert_eq!(parameters(None, known).unwrap().len(), 0);
        assert!(read(&"wait&".repeat(PARAMETERS_MAX + 1)).is_err());
    }

    #[test]
    fn times_have_units() {
        for (text, millis) in [
            ("10s", 10_000),
            ("10", 10_000),
            ("500ms", 500),
            ("2m", 120_000),
            ("24h", 86_400_000),
            ("1d", 86_400_000),
            ("0", 0),
        ] {
            assert_eq!(
                duration("t", text, WAIT_MAX).ok(),
                Some(Duration::from_millis(millis)),
                "{text:?}"
            );
        }
        for text in [
            "",
            "s",
            "-1",
            "1.5s",
            "1w",
            "2d",
            "25h",
            "99999999999999999999",
            "18446744073709551615h",
            "1 s",
            "١s",
        ] {
            assert!(duration("t", text, WAIT_MAX).is_err(), "{text:?}");
        }
    }
}
