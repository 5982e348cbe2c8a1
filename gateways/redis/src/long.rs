//! Work that takes long, and does not keep others waiting: another thread takes over what else there is to do.

use switchboard_hub::keys::block_in_place;

/// To go through so many elements takes about a millisecond.
const ELEMENTS_MANY: usize = 10_000;

/// To go through so many bytes takes about a millisecond.
const BYTES_MANY: usize = 1 << 20;

/// Goes through so many elements.
pub(crate) fn through<T>(elements: usize, work: impl FnOnce() -> T) -> T {
    if elements < ELEMENTS_MANY {
        work()
    } else {
        block_in_place(work)
    }
}

/// Goes through so many bytes.
pub(crate) fn through_bytes<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    through(bytes / (BYTES_MANY / ELEMENTS_MANY), work)
}
