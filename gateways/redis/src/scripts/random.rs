//! `math.random` as Redis has it: the same numbers each time that a script runs, those of `lrand48`.

/// A generator of random numbers.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

/// The constants of POSIX's `lrand48`.
const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const INCREMENT: u64 = 0xB;
const STATE_MASK: u64 = (1 << 48) - 1;
/// What Redis divides by.
const MAX: i64 = i32::MAX as i64;

impl Default for Random {
    /// As each script begins: not with what POSIX says is the beginning, but with what Redis has.
    fn default() -> Self {
        Self(0x1234_ABCD_330E)
    }
}

impl Random {
    /// `srand48`.
    pub(super) fn seed(seed: i32) -> Self {
        Self((u64::from(seed.cast_unsigned()) << 16) + 0x330E)
    }

    /// 0 ≤ number < 1.
    pub(super) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT) & STATE_MASK;
        let number = i64::try_from(self.0 >> 17).unwrap_or_default() % MAX;
        number as f64 / MAX as f64
    }
}
