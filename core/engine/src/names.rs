//! The names of what an engine keeps, and their bounds.

use std::borrow::Borrow;
use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;

use crate::EngineError;

/// Most bytes in the name of a bucket and of a queue: they become names of files and of streams.
pub const NAME_BYTES_MAX: usize = 64;

/// Most bytes in a key: 64 KiB, less what an engine puts before it where a record's name has at most 65,535 bytes (the
/// name of its bucket, and a few bytes more).
pub const KEY_BYTES_MAX: usize = 64 * 1024 - 256;

/// Most bytes in a value: 64 MiB, what one message of a NATS server can be made to hold. Larger things are blobs.
pub const VALUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most bytes in the encoding of a structure, where an engine holds structures in memory: 1 GiB, which is what the
/// hub's doors let one grow to.
pub const STRUCTURE_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Most bytes in the name of a blob.
pub const BLOB_NAME_BYTES_MAX: usize = 4095;

/// The bucket that is meant where none is named.
pub const DEFAULT_BUCKET: &str = "default";

/// The name of a bucket: `[A-Za-z0-9._-]{1,64}`. A bucket exists for as long as it holds something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(ByteString);

/// The name of a queue: `[A-Za-z0-9._-]{1,64}`. A queue exists for as long as it holds a job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName(ByteString);

/// A key: 1 to [`KEY_BYTES_MAX`] bytes, any bytes, ordered by their values.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Bytes);

macro_rules! plain_name {
    ($name:ident, $noun:literal) => {
        impl $name {
            /// # Errors
            /// [`EngineError::Invalid`] when it is no legal name.
            pub fn new(name: impl Into<ByteString>) -> Result<Self, EngineError> {
                let name = name.into();
                check_plain($noun, &name)?;
                Ok(Self(name))
            }

            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

plain_name!(Bucket, "bucket");
plain_name!(QueueName, "queue");

impl Default for Bucket {
    fn default() -> Self {
        Self(ByteString::from_static(DEFAULT_BUCKET))
    }
}

fn check_plain(noun: &str, name: &str) -> Result<(), EngineError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(legal) {
        return Ok(());
    }
    let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
    Err(EngineError::Invalid(format!(
        "{shown:?} cannot name a {noun}: it takes 1 to {NAME_BYTES_MAX} letters, digits, dots, dashes and underscores"
    )))
}

impl Key {
    /// # Errors
    /// [`EngineError::Invalid`] when it is empty, [`EngineError::TooLarge`] over [`KEY_BYTES_MAX`].
    pub fn new(key: impl Into<Bytes>) -> Result<Self, EngineError> {
        let key = key.into();
        match key.len() {
            0 => Err(EngineError::Invalid(format!(
                "the key is empty: it needs 1 to {KEY_BYTES_MAX} bytes"
            ))),
            1..=KEY_BYTES_MAX => Ok(Self(key)),
            bytes => Err(EngineError::TooLarge(format!(
                "the key has {bytes} bytes: at most {KEY_BYTES_MAX} are possible"
            ))),
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The bytes, taken out.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.escape_ascii())
    }
}

/// Checks the size of a value.
///
/// # Errors
/// [`EngineError::TooLarge`] over [`VALUE_BYTES_MAX`].
pub fn check_value(bytes: usize) -> Result<(), EngineError> {
    if bytes <= VALUE_BYTES_MAX {
        return Ok(());
    }
    Err(EngineError::TooLarge(format!(
        "the value has {bytes} bytes: at most {VALUE_BYTES_MAX} are possible; larger things are kept as blobs"
    )))
}

/// Checks the size of the encoding of a structure.
///
/// # Errors
/// [`EngineError::TooLarge`] over [`STRUCTURE_BYTES_MAX`].
pub fn check_structure(bytes: usize) -> Result<(), EngineError> {
    if bytes <= STRUCTURE_BYTES_MAX {
        return Ok(());
    }
    Err(EngineError::TooLarge(format!(
        "the structure has {bytes} bytes: at most {STRUCTURE_BYTES_MAX} are possible"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_bounded() {
        for good in ["a", "db1", "A-b_c.9", &"x".repeat(NAME_BYTES_MAX)] {
            assert!(Bucket::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a/b", "ä", "a\0", &"x".repeat(NAME_BYTES_MAX + 1)] {
            assert!(matches!(Bucket::new(bad), Err(EngineError::Invalid(_))), "{bad}");
            assert!(QueueName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_any_bytes_but_none_and_not_too_many() {
        assert!(Key::new(vec![0]).is_ok());
        assert!(Key::new(vec![255; KEY_BYTES_MAX]).is_ok());
        assert!(matches!(Key::new(""), Err(EngineError::Invalid(_))));
        assert!(matches!(
            Key::new(vec![0; KEY_BYTES_MAX + 1]),
            Err(EngineError::TooLarge(_))
        ));
    }

    #[test]
    fn values_are_bounded() {
        assert_eq!(check_value(VALUE_BYTES_MAX), Ok(()));
        assert!(check_value(VALUE_BYTES_MAX + 1).is_err());
        assert_eq!(check_structure(STRUCTURE_BYTES_MAX), Ok(()));
        assert!(check_structure(STRUCTURE_BYTES_MAX + 1).is_err());
    }
}
