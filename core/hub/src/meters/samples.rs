//! What gateways count for themselves.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// One number of one gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Its name among all numbers of the daemon: lower case, with `_` between words. It begins with the gateway's own; that
    /// of a counter ends with `_total`.
    pub name: &'static str,
    /// What it counts, in a sentence.
    pub help: &'static str,
    /// How it behaves.
    pub kind: SampleKind,
    /// How much it is now.
    pub value: u64,
}

/// How a number behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl Sample {
    /// A number that only grows.
    pub const fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        let kind = SampleKind::Counter;
        Self {
            name,
            help,
            kind,
            value,
        }
    }

    /// A number that goes up and down.
    pub const fn gauge(name: &'static str, help: &'static str, value: u64) -> Self {
        let kind = SampleKind::Gauge;
        Self {
            name,
            help,
            kind,
            value,
        }
    }
}

/// Somebody who counts.
pub trait Sampled: Send + Sync {
    /// All numbers as they are now. It must not wait.
    fn samples(&self) -> Vec<Sample>;
}

/// All who count.
#[derive(Default)]
pub(crate) struct Samplers(Mutex<Vec<Weak<dyn Sampled>>>);

impl Samplers {
    pub(crate) fn add(&self, sampled: Weak<dyn Sampled>) {
        self.0.lock().push(sampled);
    }

    /// The numbers of all who are still there.
    pub(crate) fn read(&self) -> Vec<Sample> {
        let mut samplers = self.0.lock();
        samplers.retain(|sampled| sampled.strong_count() > 0);
        let there: Vec<Arc<dyn Sampled>> = samplers.iter().filter_map(Weak::upgrade).collect();
        // Not while they are asked: who is the last to hold one may end a hub with it.
        drop(samplers);
        there.iter().flat_map(|sampled| sampled.samples()).collect()
    }
}

impl std::fmt::Debug for Samplers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Samplers").field(&self.0.lock().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One(u64);

    impl Sampled for One {
        fn samples(&self) -> Vec<Sample> {
            vec![Sample::counter("one_total", "One.", self.0)]
        }
    }

    #[test]
    fn who_is_gone_is_asked_no_more() {
        let samplers = Samplers::default();
        let values = || {
            samplers
                .read()
                .iter()
                .map(|sample| sample.value)
                .collect::<Vec<_>>()
        };
        let (first, second): (Arc<dyn Sampled>, Arc<dyn Sampled>) = (Arc::new(One(1)), Arc::new(One(2)));
        samplers.add(Arc::downgrade(&first));
        samplers.add(Arc::downgrade(&second));
        assert_eq!(values(), [1, 2]);
        drop(first);
        assert_eq!(values(), [2]);
        assert_eq!(samplers.0.lock().len(), 1);
    }
}
