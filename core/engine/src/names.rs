//! The names of what an engine keeps, and their bounds.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

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
#[derive(Clone)]
pub struct Key(KeyBytes);

/// Most bytes of a key that stands in place: with these, a key is no larger than `Bytes` are.
const SHORT_KEY_BYTES_MAX: usize = 23;

/// Fewest bytes of a key in memory of its own.
const LONG_KEY_BYTES_MIN: usize = SHORT_KEY_BYTES_MAX + 1;

/// Most keys are short. To copy such a one costs less than to share its memory, and it holds no larger piece of memory
/// that it may be a part of.
#[derive(Clone)]
enum KeyBytes {
    Short {
        length: u8,
        bytes: [u8; SHORT_KEY_BYTES_MAX],
    },
    Long(Bytes),
}

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
    pub fn new(key: impl AsRef<[u8]> + Into<Bytes>) -> Result<Self, EngineError> {
        Self::new_with(key, Into::into)
    }

    /// The same of bytes that are `long` when they take memory of their own: they are copied, or a part of `Bytes` that
    /// there are.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn new_with<K: AsRef<[u8]>>(key: K, long: impl FnOnce(K) -> Bytes) -> Result<Self, EngineError> {
        let found = key.as_ref();
        let length = found.len();
        match length {
            0 => Err(EngineError::Invalid(format!(
                "the key is empty: it needs 1 to {KEY_BYTES_MAX} bytes"
            ))),
            1..=SHORT_KEY_BYTES_MAX => {
                let mut bytes = [0; SHORT_KEY_BYTES_MAX];
                bytes[..length].copy_from_slice(found);
                Ok(Self(KeyBytes::Short {
                    length: length as u8,
                    bytes,
                }))
            }
            LONG_KEY_BYTES_MIN..=KEY_BYTES_MAX => Ok(Self(KeyBytes::Long(long(key)))),
            bytes => Err(EngineError::TooLarge(format!(
                "the key has {bytes} bytes: at most {KEY_BYTES_MAX} are possible"
            ))),
        }
    }

    /// The bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            KeyBytes::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or(bytes),
            KeyBytes::Long(bytes) => bytes,
        }
    }

    /// The same in memory of its own: a long key may be a part of a larger piece, which it holds.
    pub fn unshared(&self) -> Self {
        Self(match &self.0 {
            KeyBytes::Long(bytes) => KeyBytes::Long(Bytes::copy_from_slice(bytes)),
            short => short.clone(),
        })
    }

    /// The bytes, to be kept: those of a long key are shared.
    pub fn to_bytes(&self) -> Bytes {
        match &self.0 {
            KeyBytes::Short { .. } => Bytes::copy_from_slice(self.as_bytes()),
            KeyBytes::Long(bytes) => bytes.clone(),
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Key {
    // As slices do, which keys can be looked up by.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.as_bytes().escape_ascii())
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
    fn keys_are_alike_however_they_are_held() {
        assert_eq!(size_of::<Key>(), size_of::<Bytes>());
        for bytes in [1, SHORT_KEY_BYTES_MAX, SHORT_KEY_BYTES_MAX + 1, 1000] {
            let text = vec![b'k'; bytes];
            let key = Key::new(text.clone()).unwrap();
            assert_eq!(key.as_bytes(), text);
            assert_eq!(key.to_bytes(), text);
            let set = foldhash::HashSet::from_iter([key.clone()]);
            assert!(set.contains(&text[..]));
            let longer = Key::new([&text[..], b"k"].concat()).unwrap();
            let greater = Key::new("l").unwrap();
            assert!(key < longer && longer < greater && key == key.clone());
        }
    }

    #[test]
    fn values_are_bounded() {
        assert_eq!(check_value(VALUE_BYTES_MAX), Ok(()));
        assert!(check_value(VALUE_BYTES_MAX + 1).is_err());
        assert_eq!(check_structure(STRUCTURE_BYTES_MAX), Ok(()));
        assert!(check_structure(STRUCTURE_BYTES_MAX + 1).is_err());
    }
}
