//! What a write comes to: one place for all engines, so that they cannot differ in the small print.

use bytes::{Bytes, BytesMut};

use super::{Change, Condition, Entry, Expiry, Write};
use crate::names::{check_structure, check_value};
use crate::structures::Structure;
use crate::{EngineError, Kind, Result, Timestamp};

/// What a write comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The condition is not met.
    Unmet,
    /// There is nothing to change: the key is absent and stays so.
    Nothing,
    /// The key goes away.
    Delete,
    /// The key has this now; its revision is the engine's to give.
    Set {
        /// The value. Of a structure it may be empty, where `current` has none of it either: it stays as it is then.
        value: Bytes,
        /// What kind of value it is.
        kind: Kind,
        /// When the key came to be.
        created: Timestamp,
        /// When it will be gone.
        expires: Option<Timestamp>,
    },
}

impl Write {
    /// What this comes to for a key that has `current`, which has not expired. The time is asked for only if it
    /// matters.
    ///
    /// # Errors
    /// Too large; not an integer, not a number, overflow, for increments, also where the key would expire at once.
    pub fn decide(self, current: Option<&Entry>, now: impl Fn() -> Timestamp) -> Result<Decision> {
        if !self.condition.is_met(current) {
            return Ok(Decision::Unmet);
        }
        let Some((kind, value)) = self.change.apply(current)? else {
            return Ok(match current {
                Some(_) => Decision::Delete,
                None => Decision::Nothing,
            });
        };
        let expires = match self.expiry {
            Expiry::Keep => current.and_then(|entry| entry.expires),
            Expiry::Never => None,
            Expiry::At(moment) if moment > now() => Some(moment),
            Expiry::At(_) if current.is_some() => return Ok(Decision::Delete),
            Expiry::At(_) => return Ok(Decision::Nothing),
        };
        Ok(Decision::Set {
            value,
            kind,
            created: current.map_or_else(now, |entry| entry.created),
            expires,
        })
    }
}

impl Condition {
    /// Whether it is met by a key that has `current`.
    pub fn is_met(self, current: Option<&Entry>) -> bool {
        match self {
            Self::Always => true,
            Self::Absent => current.is_none(),
            Self::Present => current.is_some(),
            Self::At(revision) => current.is_some_and(|entry| entry.revision == revision),
        }
    }
}

impl Change {
    /// The value that a key has afterwards, if it has one.
    fn apply(self, current: Option<&Entry>) -> Result<Option<(Kind, Bytes)>> {
        let value = match self {
            Self::Put(value) => {
                check_value(value.len())?;
                value
            }
            Self::PutStructure { kind, encoded } => {
                check_structure(encoded.len())?;
                Structure::decode(kind, &encoded)?;
                return Ok((!encoded.is_empty()).then_some((kind, encoded)));
            }
            Self::Delete => return Ok(None),
            Self::Touch => return Ok(current.map(|entry| (entry.kind, entry.value.clone()))),
            Self::Increment(by) => increment(plain(current)?, by)?,
            Self::IncrementFloat(by) => increment_float(plain(current)?, by)?,
            Self::Append(more) => append(plain(current)?, more)?,
        };
        Ok(Some((Kind::Plain, value)))
    }
}

/// The value, if there is one, where only a plain one will do.
fn plain(current: Option<&Entry>) -> Result<Option<&Bytes>> {
    match current {
        Some(entry) if entry.kind != Kind::Plain => Err(EngineError::WrongKind(entry.kind)),
        current => Ok(current.map(|entry| &entry.value)),
    }
}

fn increment(old: Option<&Bytes>, by: i64) -> Result<Bytes> {
    let number = old.map_or(Ok(0), |old| parse(old, EngineError::NotAnInteger))?;
    let sum = by.checked_add(number).ok_or(EngineError::Overflow)?;
    Ok(sum.to_string().into())
}

fn increment_float(old: Option<&Bytes>, by: f64) -> Result<Bytes> {
    let number: f64 = old.map_or(Ok(0.0), |old| parse(old, EngineError::NotANumber))?;
    if !number.is_finite() {
        return Err(EngineError::NotANumber);
    }
    // Adding 0 takes the sign from a zero.
    let sum = number + by + 0.0;
    if !sum.is_finite() {
        return Err(EngineError::Overflow);
    }
    Ok(sum.to_string().into())
}

fn parse<T: std::str::FromStr>(value: &[u8], error: EngineError) -> Result<T> {
    let text = std::str::from_utf8(value).ok();
    text.and_then(|text| text.parse().ok()).ok_or(error)
}

fn append(old: Option<&Bytes>, more: Bytes) -> Result<Bytes> {
    let Some(old) = old else {
        check_value(more.len())?;
        return Ok(more);
    };
    check_value(old.len().saturating_add(more.len()))?;
    let mut value = BytesMut::with_capacity(old.len() + more.len());
    value.extend_from_slice(old);
    value.extend_from_slice(&more);
    Ok(value.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Revision;
    use crate::names::VALUE_BYTES_MAX;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn entry(value: &'static str) -> Entry {
        Entry {
            value: value.into(),
            kind: Kind::Plain,
            revision: Revision(7),
            created: Timestamp::from_millis(1),
            expires: Some(Timestamp::from_millis(2_000)),
        }
    }

    fn value_of(write: Write, current: Option<&Entry>) -> Result<String> {
        match write.decide(current, || NOW)? {
            Decision::Set { value, .. } => Ok(String::from_utf8(value.to_vec()).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers() {
        let add = |by| Write::change(Change::Increment(by));
        assert_eq!(value_of(add(5), None).unwrap(), "5");
        assert_eq!(value_of(add(-5), Some(&entry("3"))).unwrap(), "-2");
        assert_eq!(
            value_of(add(1), Some(&entry("x"))),
            Err(EngineError::NotAnInteger)
        );
        assert_eq!(
            value_of(add(i64::MIN), Some(&entry("-1"))),
            Err(EngineError::Overflow)
        );
        let add = |by| Write::change(Change::IncrementFloat(by));
        assert_eq!(
            value_of(add(0.1), Some(&entry("0.2"))).unwrap(),
            "0.30000000000000004"
        );
        assert_eq!(value_of(add(1e300), None).unwrap().len(), 301);
        assert_eq!(value_of(add(-0.0), None).unwrap(), "0");
        assert_eq!(value_of(add(f64::NAN), None), Err(EngineError::Overflow));
        assert_eq!(
            value_of(add(f64::MAX), Some(&entry("1e308"))),
            Err(EngineError::Overflow)
        );
        assert_eq!(
            value_of(add(1.0), Some(&entry("inf"))),
            Err(EngineError::NotANumber)
        );
    }

    #[test]
    fn conditions_come_first() {
        let write = Write::change(Change::Increment(1)).when(Condition::Absent);
        assert_eq!(write.decide(Some(&entry("x")), || NOW), Ok(Decision::Unmet));
        let at = |revision| Write::delete().when(Condition::At(Revision(revision)));
        assert_eq!(at(7).decide(Some(&entry("x")), || NOW), Ok(Decision::Delete));
        assert_eq!(at(8).decide(Some(&entry("x")), || NOW), Ok(Decision::Unmet));
        assert_eq!(at(7).decide(None, || NOW), Ok(Decision::Unmet));
    }

    #[test]
    fn expiries() {
        let touch = |expiry| Write::change(Change::Touch).expiring(expiry);
        let set = |expires| {
            Ok(Decision::Set {
                value: "x".into(),
                kind: Kind::Plain,
                created: Timestamp::from_millis(1),
                expires,
            })
        };
        let current = entry("x");
        let later = Timestamp::from_millis(1_001);
        assert_eq!(
            touch(Expiry::Keep).decide(Some(&current), || NOW),
            set(current.expires)
        );
        assert_eq!(touch(Expiry::Never).decide(Some(&current), || NOW), set(None));
        assert_eq!(
            touch(Expiry::At(later)).decide(Some(&current), || NOW),
            set(Some(later))
        );
        assert_eq!(
            touch(Expiry::At(NOW)).decide(Some(&current), || NOW),
            Ok(Decision::Delete)
        );
        assert_eq!(
            touch(Expiry::At(later)).decide(None, || NOW),
            Ok(Decision::Nothing)
        );
        let put = Write::put("x").expiring(Expiry::At(NOW));
        assert_eq!(put.decide(None, || NOW), Ok(Decision::Nothing));
    }

    #[test]
    fn what_is_too_large() {
        let large = Bytes::from(vec![0; VALUE_BYTES_MAX]);
        let full = Entry {
            value: large.clone(),
            ..entry("")
        };
        let append = |more: &'static str| Write::change(Change::Append(more.into()));
        assert!(append("").decide(Some(&full), || NOW).is_ok());
        let over = append("x").decide(Some(&full), || NOW);
        assert!(matches!(over, Err(EngineError::TooLarge(_))));
        let put = Write::put([&large[..], b"x"].concat());
        assert!(matches!(put.decide(None, || NOW), Err(EngineError::TooLarge(_))));
    }
}
