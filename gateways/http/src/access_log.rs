//! A line for each request, in the combined format that Apache and nginx write and many tools read.

use std::fmt::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::header::{HeaderName, REFERER, USER_AGENT};
use hyper::{Request, StatusCode, Version};

use crate::options::AccessLog;

/// The target of the log's events.
const TARGET: &str = "access";

/// Most bytes of one field that came from the client: a line stays a line.
const FIELD_BYTES_MAX: usize = 2048;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// What a line says about a request; the rest is known when it is over.
#[derive(Debug)]
pub(crate) struct Line {
    host: String,
    time: SystemTime,
    request: String,
    referer: String,
    agent: String,
}

impl AccessLog {
    pub(crate) fn is_on(&self) -> bool {
        match self {
            Self::Off => false,
            Self::Tracing => tracing::enabled!(target: TARGET, tracing::Level::INFO),
            Self::Writer(_) => true,
        }
    }

    pub(crate) fn write(&self, line: &Line, status: StatusCode, sent: u64) {
        let line = line.combined(status, sent);
        match self {
            Self::Off => {}
            Self::Tracing => tracing::info!(target: TARGET, "{line}"),
            Self::Writer(write) => write(&line),
        }
    }
}

impl Line {
    pub(crate) fn of<B>(request: &Request<B>, host: String) -> Self {
        let field = |name: HeaderName| match request.headers().get(name) {
            Some(value) => escaped(value.as_bytes()),
            None => "-".to_owned(),
        };
        let target = request
            .uri()
            .path_and_query()
            .map_or("*", |target| target.as_str());
        let version = match request.version() {
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2.0",
            _ => "HTTP/1.1",
        };
        Self {
            host,
            time: SystemTime::now(),
            request: format!("{} {} {version}", request.method(), escaped(target.as_bytes())),
            referer: field(REFERER),
            agent: field(USER_AGENT),
        }
    }

    fn combined(&self, status: StatusCode, sent: u64) -> String {
        let Self {
            host,
            time,
            request,
            referer,
            agent,
        } = self;
        let (time, status) = (Time(*time), status.as_u16());
        let mut line = format!("{host} - - [{time}] \"{request}\" {status} ");
        // Nothing is a dash there.
        let _ = match sent {
            0 => write!(line, "-"),
            sent => write!(line, "{sent}"),
        };
        let _ = write!(line, " \"{referer}\" \"{agent}\"");
        line
    }
}

/// Text from a client, so that it cannot end its field or its line.
fn escaped(text: &[u8]) -> String {
    let text = text.get(..FIELD_BYTES_MAX).unwrap_or(text);
    let mut escaped = String::with_capacity(text.len());
    for byte in text {
        match byte {
            b'"' | b'\\' | 0..0x20 | 0x7f.. => {
                // Writing to a string does not fail.
                let _ = write!(escaped, "\\x{byte:02x}");
            }
            _ => escaped.push(char::from(*byte)),
        }
    }
    escaped
}

/// A time as the format has it, in UTC: `10/Oct/2000:13:55:36 +0000`.
struct Time(SystemTime);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = date(days);
        let name = MONTHS.get(month).copied().unwrap_or_default();
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{day:02}/{name}/{year}:{hour:02}:{minute:02}:{second:02} +0000"
        )
    }
}

/// The date so many days after 1 January 1970: year, month from 0, day from 1.
fn date(mut days: u64) -> (u64, usize, u64) {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    /// Days in 400 years, after which the calendar repeats itself.
    const CYCLE_DAYS: u64 = 146_097;
    let mut year = 1970 + 400 * (days / CYCLE_DAYS);
    days %= CYCLE_DAYS;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "01/Jan/1970:00:00:00 +0000"),
            (951_782_400, "29/Feb/2000:00:00:00 +0000"),
            (971_186_136, "10/Oct/2000:13:55:36 +0000"),
            (1_735_689_599, "31/Dec/2024:23:59:59 +0000"),
            (4_107_542_400, "01/Mar/2100:00:00:00 +0000"),
        ] {
            assert_eq!(
                Time(UNIX_EPOCH + Duration::from_secs(seconds)).to_string(),
                expected
            );
        }
    }

    #[test]
    fn a_line_is_one_of_the_combined_format_whatever_the_client_says() {
        let request = Request::get("/call/x?y=%22")
            .header(USER_AGENT, "a\"b\\c\td")
            .body(())
            .unwrap();
        let mut line = Line::of(&request, "127.0.0.1".to_owned());
        line.time = UNIX_EPOCH;
        assert_eq!(
            line.combined(StatusCode::OK, 5),
            r#"127.0.0.1 - - [01/Jan/1970:00:00:00 +0000] "GET /call/x?y=%22 HTTP/1.1" 200 5 "-" "a\x22b\x5cc\x09d""#
        );
        assert!(line.combined(StatusCode::NO_CONTENT, 0).contains(" 204 - "));
    }
}
