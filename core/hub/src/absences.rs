//! Operations whose last responder was lost a moment ago.
//!
//! A responder that lost its connection, or is being restarted, is usually back soon. Until then a call is told to try
//! again, where "unknown operation" would tell it to give up.

use std::collections::HashMap;
use std::time::Duration;

use bytestring::ByteString;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Operations remembered at most. Over it the hub forgets, and such calls are to an unknown operation at once.
const ABSENCES_MAX: usize = 4096;

/// Operations that are missed, each until a time.
#[derive(Debug, Default)]
pub(crate) struct Absences {
    until: Mutex<HashMap<ByteString, Instant>>,
}

impl Absences {
    /// Misses the operation for `grace` from `now`.
    pub(crate) fn add(&self, operation: ByteString, grace: Duration, now: Instant) {
        let Some(until) = now.checked_add(grace).filter(|until| *until > now) else {
            return;
        };
        let mut all = self.until.lock();
        if all.len() >= ABSENCES_MAX {
            all.retain(|_, until| *until > now);
        }
        if all.len() < ABSENCES_MAX {
            all.insert(operation, until);
        }
    }

    /// All that are missed, in no order.
    pub(crate) fn all(&self, now: Instant) -> Vec<ByteString> {
        let all = self.until.lock();
        let missed = all.iter().filter(|(_, until)| **until > now);
        missed.map(|(operation, _)| operation.clone()).collect()
    }

    /// Whether the operation is still missed. One that is not any more is forgotten.
    pub(crate) fn has(&self, operation: &str, now: Instant) -> bool {
        let mut all = self.until.lock();
        match all.get(operation) {
            Some(until) if *until > now => true,
            Some(_) => {
                all.remove(operation);
                false
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    #[test]
    fn an_operation_is_missed_for_its_grace() {
        let (absences, now) = (Absences::default(), Instant::now());
        absences.add("op".into(), GRACE, now);
        assert!(absences.has("op", now));
        assert_eq!(absences.all(now), ["op"]);
        assert!(absences.all(now + GRACE).is_empty());
        assert!(!absences.has("other", now));
        assert!(!absences.has("op", now + GRACE));
        assert!(absences.until.lock().is_empty(), "what is over is forgotten");
    }

    #[test]
    fn no_grace_misses_nothing_and_the_table_is_bounded() {
        let (absences, now) = (Absences::default(), Instant::now());
        absences.add("op".into(), Duration::ZERO, now);
        assert!(!absences.has("op", now));
        for number in 0..=ABSENCES_MAX {
            absences.add(number.to_string().into(), GRACE, now);
        }
        assert_eq!(absences.until.lock().len(), ABSENCES_MAX);
        absences.add("late".into(), GRACE, now + GRACE);
        assert!(absences.has("late", now + GRACE), "room is made by what is over");
    }
}
