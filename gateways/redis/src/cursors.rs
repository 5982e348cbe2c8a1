//! Where scans of keys go on.
//!
//! A scan at the hub goes on after a key, and one of Redis at a number. So each place where a scan was left has a
//! number, good for every connection. The oldest are forgotten; whoever comes back with one is told to begin again.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use switchboard_hub::keys::Key;

/// Most places.
const CURSORS_MAX: usize = 10_000;

/// Most bytes in their keys: 16 MiB.
const KEYS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Numbers stay below this, so that programs that count in floating point can hold them.
const NUMBER_MAX: u64 = 1 << 52;

/// Places by their numbers.
#[derive(Debug)]
pub(crate) struct Cursors(Mutex<Places>);

#[derive(Debug)]
struct Places {
    after: BTreeMap<u64, Key>,
    keys_bytes: usize,
    last: u64,
}

impl Default for Cursors {
    fn default() -> Self {
        Self(Mutex::new(Places {
            after: BTreeMap::new(),
            keys_bytes: 0,
            // Those of a gateway that was here before are hardly those of this one.
            last: fastrand::u64(..NUMBER_MAX / 2),
        }))
    }
}

impl Cursors {
    /// A number for the place after a key.
    pub(crate) fn after(&self, key: Key) -> u64 {
        let mut places = self.0.lock();
        places.last += 1;
        let number = places.last;
        places.keys_bytes += key.as_bytes().len();
        // Not a part of a page that would be kept with it.
        let key = Key::new(key.as_bytes().to_vec()).unwrap_or(key);
        places.after.insert(number, key);
        while places.after.len() > CURSORS_MAX || places.keys_bytes > KEYS_BYTES_MAX {
            let Some((_, oldest)) = places.after.pop_first() else {
                break;
            };
            places.keys_bytes -= oldest.as_bytes().len();
        }
        number
    }

    /// The key after which the place of that number is, unless it was forgotten.
    pub(crate) fn place(&self, number: u64) -> Option<Key> {
        self.0.lock().after.get(&number).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(bytes: usize) -> Key {
        Key::new(vec![b'x'; bytes]).unwrap()
    }

    #[test]
    fn places_are_kept_until_there_are_too_many() {
        let cursors = Cursors::default();
        let first = cursors.after(key(1));
        let second = cursors.after(key(2));
        assert!(0 < first && first < second && second < NUMBER_MAX);
        assert_eq!(cursors.place(first), Some(key(1)));
        assert_eq!(cursors.place(second), Some(key(2)));
        assert_eq!(cursors.place(first), Some(key(1)));
        assert_eq!(cursors.place(second + 1), None);
        for _ in 0..CURSORS_MAX - 1 {
            cursors.after(key(1));
        }
        assert_eq!(cursors.place(first), None);
        assert_eq!(cursors.place(second), Some(key(2)));
    }

    #[test]
    fn long_keys_are_forgotten_sooner() {
        let cursors = Cursors::default();
        let first = cursors.after(key(60_000));
        for _ in 0..KEYS_BYTES_MAX / 60_000 {
            cursors.after(key(60_000));
        }
        assert_eq!(cursors.place(first), None);
        assert!(cursors.0.lock().keys_bytes <= KEYS_BYTES_MAX);
    }
}
