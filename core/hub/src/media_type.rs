//! Media types: what a payload is.

use std::fmt;

use bytestring::ByteString;

/// Most bytes in a media type: two names of 127, which is what one can be registered with (RFC 6838, section 4.2), or
/// shorter ones with parameters.
pub const MEDIA_TYPE_BYTES_MAX: usize = 256;

/// Most characters of what is no media type that are quoted.
const QUOTED_CHARS_MAX: usize = 64;

/// A media type, as `text/plain; charset=utf-8`: two names of RFC 6838, then parameters of printable ASCII, which are
/// not looked into. So it can stand in a header of any protocol as it is. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MediaType(ByteString);

/// What is no media type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no media type: it should be like `text/plain; charset=utf-8`, of at most {MEDIA_TYPE_BYTES_MAX} bytes"
)]
pub struct MediaTypeError(String);

impl MediaType {
    /// JSON.
    pub const JSON: Self = Self(ByteString::from_static("application/json"));

    /// Reads a media type. The text is copied.
    ///
    /// # Errors
    /// When it is none, or too long.
    pub fn parse(text: &str) -> Result<Self, MediaTypeError> {
        if text.len() <= MEDIA_TYPE_BYTES_MAX && is_media_type(text) {
            Ok(Self(ByteString::from(text)))
        } else {
            Err(MediaTypeError(text.chars().take(QUOTED_CHARS_MAX).collect()))
        }
    }

    /// It as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// It as text that shares its memory.
    pub fn text(&self) -> &ByteString {
        &self.0
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn is_media_type(text: &str) -> bool {
    let (essence, parameters) = match text.split_once(';') {
        Some((essence, parameters)) => (essence.trim_end_matches([' ', '\t']), parameters),
        None => (text, ""),
    };
    let printable = |byte: u8| matches!(byte, b' '..=b'~' | b'\t');
    essence
        .split_once('/')
        .is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype))
        && parameters.bytes().all(printable)
}

/// `restricted-name` of RFC 6838, section 4.2.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_taken_as_they_are() {
        let longest = format!("a/{}", "b".repeat(MEDIA_TYPE_BYTES_MAX - 2));
        for text in [
            "text/plain",
            "image/svg+xml",
            "text/html; charset=utf-8",
            "text/html ;charset=\"utf-8\"",
            "multipart/form-data; boundary=----x",
            "application/vnd.api+json",
            &longest,
        ] {
            assert_eq!(MediaType::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let long = format!("a/{}", "b".repeat(MEDIA_TYPE_BYTES_MAX - 1));
        for text in [
            "",
            "text",
            "/",
            "text/",
            "/plain",
            "*/*",
            "text/*",
            " text/plain",
            "text/plain ",
            "text/pl ain",
            "text/plain\r\nx: y",
            "text/plain; a=b\r\nx: y",
            "text/plain; a=\u{e9}",
            "text/plain; a=\u{7f}",
            "a/b/c",
            &long,
        ] {
            let error = MediaType::parse(text).unwrap_err().to_string();
            assert!(error.chars().count() < 300, "{error}");
        }
    }
}
