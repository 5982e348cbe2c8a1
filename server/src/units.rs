//! Quantities as people write them: `10s`, `500ms`, `64KiB`, `unlimited`.
//!
//! The configuration file and the command line share these types, so that a duration means the same and fails with
//! the same words in both. A number without a unit is refused: `timeout = 10` leaves a reader guessing.

use std::{fmt, str::FromStr, time::Duration};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, IntoDeserializer, Visitor},
};

#[cfg(test)]
mod tests;

/// The word that lifts an optional bound.
const UNLIMITED: &str = "unlimited";

/// Units of time and their length in microseconds, longest first. Microseconds are fine enough for every wait here
/// and leave room for half a million years in 64 bits.
const SPAN_UNITS: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

/// Binary units of size in bytes, largest first; the ones that [`ByteSize`] writes.
const SIZE_UNITS: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// Decimal units of size in bytes: read, never written.
const SIZE_UNITS_DECIMAL: [(&str, u64); 4] = [
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
];

/// Why a quantity could not be read. The text is meant for the person who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// There is no text at all.
    #[error("empty: write a number and a unit, like {example}")]
    Empty {
        /// A correct text of this kind.
        example: &'static str,
    },
    /// A number stands alone.
    #[error("`{text}` has no unit: write it like {example}")]
    NoUnit {
        /// What was written.
        text: String,
        /// Correct texts of this kind.
        example: &'static str,
    },
    /// The unit is not one of ours.
    #[error("unknown unit `{unit}` in `{text}`: the units are {units}")]
    UnknownUnit {
        /// What was written.
        text: String,
        /// The part that was taken for a unit.
        unit: String,
        /// The units there are.
        units: &'static str,
    },
    /// It does not begin with digits.
    #[error("`{text}` does not start with a whole number: write it like {example}")]
    NoNumber {
        /// What was written.
        text: String,
        /// Correct texts of this kind.
        example: &'static str,
    },
    /// It does not fit.
    #[error("`{text}` is too large")]
    TooLarge {
        /// What was written.
        text: String,
    },
}

/// A length of time: one or more whole numbers with a unit each (`90s`, `1m30s`, `500ms`; `us ms s m h d`).
///
/// The resolution is one microsecond; it is written back in the largest unit that divides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    const EXAMPLE: &'static str = "`10s` or `500ms`";

    /// A span of whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(UnitError::Empty {
                example: Self::EXAMPLE,
            });
        }
        let mut total_us: u64 = 0;
        while !rest.is_empty() {
            let part = Part::split(rest, text, Self::EXAMPLE)?;
            let Some((_, unit_us)) = SPAN_UNITS.iter().find(|(name, _)| *name == part.unit) else {
                return Err(UnitError::UnknownUnit {
                    text: text.to_owned(),
                    unit: part.unit.to_owned(),
                    units: "us, ms, s, m, h and d",
                });
            };
            total_us = part
                .number
                .checked_mul(*unit_us)
                .and_then(|us| total_us.checked_add(us))
                .ok_or_else(|| UnitError::TooLarge {
                    text: text.to_owned(),
                })?;
            rest = part.rest;
        }
        Ok(Self(Duration::from_micros(total_us)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX);
        if us == 0 {
            return f.write_str("0s");
        }
        write_in_largest_unit(f, us, &SPAN_UNITS)
    }
}

/// A number of bytes: a whole number and a unit (`64KiB`, `1MiB`, `512B`; `B KiB MiB GiB TiB`, or decimal `kB MB GB TB`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl ByteSize {
    const EXAMPLE: &'static str = "`64KiB` or `1MiB`";

    /// A size in KiB.
    pub const fn from_kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    /// A size in MiB.
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib << 20)
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(UnitError::Empty {
                example: Self::EXAMPLE,
            });
        }
        let part = Part::split(trimmed, text, Self::EXAMPLE)?;
        let mut units = SIZE_UNITS.iter().chain(&SIZE_UNITS_DECIMAL);
        let Some((_, unit)) = units.find(|(name, _)| *name == part.unit && part.rest.is_empty()) else {
            return Err(UnitError::UnknownUnit {
                text: text.to_owned(),
                unit: format!("{}{}", part.unit, part.rest),
                units: "B, KiB, MiB, GiB, TiB (and kB, MB, GB, TB by thousands)",
            });
        };
        let bytes = part.number.checked_mul(*unit);
        Ok(Self(bytes.ok_or_else(|| UnitError::TooLarge {
            text: text.to_owned(),
        })?))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0B");
        }
        write_in_largest_unit(f, self.0, &SIZE_UNITS)
    }
}

/// One `number unit` pair at the head of a text.
struct Part<'a> {
    number: u64,
    unit: &'a str,
    rest: &'a str,
}

impl<'a> Part<'a> {
    fn split(rest: &'a str, text: &str, example: &'static str) -> Result<Self, UnitError> {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, after) = rest.split_at(unit_at);
        if digits.is_empty() {
            return Err(UnitError::NoNumber {
                text: text.to_owned(),
                example,
            });
        }
        let after = after.trim_start();
        let unit_end = after
            .find(|c: char| !c.is_alphabetic() && c != '.')
            .unwrap_or(after.len());
        let (unit, rest) = after.split_at(unit_end);
        if unit.is_empty() && rest.is_empty() {
            return Err(UnitError::NoUnit {
                text: text.to_owned(),
                example,
            });
        }
        let number = digits.parse().map_err(|_| UnitError::TooLarge {
            text: text.to_owned(),
        })?;
        if unit.is_empty() {
            return Err(UnitError::NoNumber {
                text: text.to_owned(),
                example,
            });
        }
        Ok(Self {
            number,
            unit,
            rest: rest.trim_start(),
        })
    }
}

fn write_in_largest_unit(f: &mut fmt::Formatter<'_>, amount: u64, units: &[(&str, u64)]) -> fmt::Result {
    // The last unit is 1, so one always divides.
    match units.iter().find(|(_, size)| amount.is_multiple_of(*size)) {
        Some((name, size)) => write!(f, "{}{name}", amount / size),
        None => write!(f, "{amount}"),
    }
}

/// Serde for a quantity that is a string in the file: plain numbers get told which units there are.
macro_rules! serde_as_text {
    ($type:ty, $expecting:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }

                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$type, E> {
                        let text = number.to_string();
                        Err(E::custom(UnitError::NoUnit {
                            text,
                            example: <$type>::EXAMPLE,
                        }))
                    }
                }
                deserializer.deserialize_any(Text)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

serde_as_text!(Span, "a duration like \"10s\" or \"500ms\"");
serde_as_text!(ByteSize, "a size like \"64KiB\" or \"1MiB\"");

/// A bound that may be lifted with the word `unlimited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound<T> {
    /// At most this much.
    AtMost(T),
    /// No bound.
    Unlimited,
}

impl<T> Bound<T> {
    /// The bound, if there is one.
    pub fn limit(self) -> Option<T> {
        match self {
            Self::AtMost(limit) => Some(limit),
            Self::Unlimited => None,
        }
    }
}

impl<T: Serialize> Serialize for Bound<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::AtMost(limit) => limit.serialize(serializer),
            Self::Unlimited => serializer.serialize_str(UNLIMITED),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Bound<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = Bound<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a bound, or \"unlimited\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Bound<T>, E> {
                match text {
                    UNLIMITED => Ok(Bound::Unlimited),
                    _ => T::deserialize(text.into_deserializer()).map(Bound::AtMost),
                }
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Bound<T>, E> {
                T::deserialize(number.into_deserializer()).map(Bound::AtMost)
            }
        }
        deserializer.deserialize_any(Either(std::marker::PhantomData))
    }
}
