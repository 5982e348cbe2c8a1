//! Waiting, but not for ever.

use std::time::{Duration, Instant};

/// No wait of a test is longer: far above what anything here takes on a machine that is busy with other tests.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Between two looks at a condition that nothing announces.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Looks until there is something, and returns it.
///
/// # Panics
/// After [`LIMIT`], naming `what` was waited for.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        std::thread::sleep(LOOK_INTERVAL);
    }
}
