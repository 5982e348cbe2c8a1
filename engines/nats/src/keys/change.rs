//! What a write comes to, given what there is.

use bytes::{Bytes, BytesMut};
use switchboard_engine::keys::{Change, Condition, Entry, Expiry, Revision, Write};
use switchboard_engine::structures::Structure;
use switchboard_engine::{EngineError, Kind, Result, Timestamp};

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Decision {
    /// The condition is not met.
    Unmet,
    /// Nothing changes.
    Nothing,
    /// The key gets this; its revision is still to come.
    Put(Entry),
    /// The key goes.
    Delete,
}

/// Decides.
///
/// # Errors
/// Those of increments.
pub(super) fn decide(current: Option<&Entry>, write: &Write, now: Timestamp) -> Result<Decision> {
    let met = match write.condition {
        Condition::Always => true,
        Condition::Absent => current.is_none(),
        Condition::Present => current.is_some(),
        Condition::At(revision) => current.is_some_and(|entry| entry.revision == revision),
    };
    if !met {
        return Ok(Decision::Unmet);
    }
    let gone = if current.is_some() {
        Decision::Delete
    } else {
        Decision::Nothing
    };
    let kind = match (&write.change, current) {
        (Change::PutStructure { kind, .. }, _) => *kind,
        (Change::Touch, Some(entry)) => entry.kind,
        (Change::Append(_) | Change::Increment(_) | Change::IncrementFloat(_), Some(entry))
            if entry.kind != Kind::Plain =>
        {
            return Err(EngineError::WrongKind(entry.kind));
        }
        _ => Kind::Plain,
    };
    let value = match (&write.change, current) {
        (Change::Delete, _) => return Ok(gone),
        (Change::Touch, None) => return Ok(Decision::Nothing),
        (Change::Touch, Some(entry)) => entry.value.clone(),
        (Change::Put(value), _) => value.clone(),
        (Change::PutStructure { encoded, .. }, _) if encoded.is_empty() => return Ok(gone),
        (Change::PutStructure { kind, encoded }, _) => {
            Structure::decode(*kind, encoded)?;
            encoded.clone()
        }
        (Change::Append(end), None) => end.clone(),
        (Change::Append(end), Some(entry)) => {
            let mut value = BytesMut::with_capacity(entry.value.len() + end.len());
            value.extend_from_slice(&entry.value);
            value.extend_from_slice(end);
            value.freeze()
        }
        (Change::Increment(by), _) => increment(current, *by)?,
        (Change::IncrementFloat(by), _) => increment_float(current, *by)?,
    };
    let expires = match write.expiry {
        Expiry::Keep => current.and_then(|entry| entry.expires),
        Expiry::Never => None,
        Expiry::At(moment) if moment <= now => return Ok(gone),
        Expiry::At(moment) => Some(moment),
    };
    Ok(Decision::Put(Entry {
        value,
        kind,
        revision: Revision(0),
        created: current.map_or(now, |entry| entry.created),
        expires,
    }))
}

fn increment(current: Option<&Entry>, by: i64) -> Result<Bytes> {
    let number: i64 = match current {
        None => 0,
        Some(entry) => decimal(&entry.value)
            .and_then(|text| text.parse().ok())
            .ok_or(EngineError::NotAnInteger)?,
    };
    let sum = number.checked_add(by).ok_or(EngineError::Overflow)?;
    Ok(sum.to_string().into())
}

fn increment_float(current: Option<&Entry>, by: f64) -> Result<Bytes> {
    if !by.is_finite() {
        return Err(EngineError::NotANumber);
    }
    let number: f64 = match current {
        None => 0.0,
        Some(entry) => decimal(&entry.value)
            .and_then(|text| text.parse().ok())
            .filter(|number: &f64| number.is_finite())
            .ok_or(EngineError::NotANumber)?,
    };
    let sum = number + by;
    if !sum.is_finite() {
        return Err(EngineError::Overflow);
    }
    Ok(sum.to_string().into())
}

/// The text of a number: it begins with a digit, after a minus or not, so that names of numbers are none.
fn decimal(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok()?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits
        .starts_with(|first: char| first.is_ascii_digit())
        .then_some(text)
}
