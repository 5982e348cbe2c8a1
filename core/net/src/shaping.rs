//! Bytes a second, kept smooth: a token bucket, and the wait that goes with it.

use std::future::Future;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use std::io::{self, IoSlice};

/// A bucket holds this part of a second's bytes: what may pass at once after a pause. A tenth is smooth to a person and
/// coarse enough for few system calls.
const BURSTS_PER_SECOND: u64 = 10;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// A token bucket for bytes. Pure: the time is passed in, and must not run backwards.
#[derive(Debug, Clone)]
pub struct Bucket {
    rate: u64,
    burst: u64,
    tokens: u64,
    /// Up to when `tokens` were earned.
    earned_at: Instant,
}

impl Bucket {
    /// A full bucket that earns `rate` bytes a second.
    pub fn new(rate: NonZeroU64, now: Instant) -> Self {
        let burst = (rate.get() / BURSTS_PER_SECOND).max(1);
        Self {
            rate: rate.get(),
            burst,
            tokens: burst,
            earned_at: now,
        }
    }

    /// The smallest portion worth waiting for, in bytes: half a bucket, so that a throttled stream moves 20 times a
    /// second and not byte by byte.
    pub fn portion(&self) -> u64 {
        self.burst.div_ceil(2)
    }

    /// How many bytes may pass at `now`.
    pub fn available(&mut self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.earned_at).as_nanos();
        let earned = elapsed * u128::from(self.rate) / NANOS_PER_SECOND;
        let room = u128::from(self.burst - self.tokens);
        if earned >= room {
            self.tokens = self.burst;
            self.earned_at = now;
        } else if earned > 0 {
            // `earned` is less than the burst here, so both casts fit.
            self.tokens += earned as u64;
            self.earned_at +=
                Duration::from_nanos((earned * NANOS_PER_SECOND).div_ceil(self.rate.into()) as u64);
        }
        self.tokens
    }

    /// Takes `bytes` out; what is not there is not taken.
    pub fn spend(&mut self, bytes: u64) {
        self.tokens = self.tokens.saturating_sub(bytes);
    }

    /// When `bytes`, at most a whole bucket, will be available if nothing is spent meanwhile.
    pub fn ready_at(&self, bytes: u64) -> Instant {
        let missing = u128::from(bytes.min(self.burst).saturating_sub(self.tokens));
        let nanos = (missing * NANOS_PER_SECOND).div_ceil(self.rate.into());
        self.earned_at + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Keeps one direction of a stream to a [`Bucket`].
#[derive(Debug)]
pub struct Pace {
    bucket: Bucket,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    /// At most `rate` bytes a second from now on.
    pub fn new(rate: NonZeroU64) -> Self {
        Self {
            bucket: Bucket::new(rate, Instant::now()),
            sleep: None,
        }
    }

    /// Reads as many bytes as may pass.
    pub fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Pin::new(stream).poll_read(cx, buffer);
        }
        let allowance = ready!(self.poll_allowance(cx, buffer.remaining()));
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(allowance));
        ready!(Pin::new(stream).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        buffer.advance(read);
        self.bucket.spend(read as u64);
        Poll::Ready(Ok(()))
    }

    /// Writes as many bytes as may pass.
    pub fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Pin::new(stream).poll_write(cx, bytes);
        }
        let allowance = ready!(self.poll_allowance(cx, bytes.len()));
        let part = bytes.get(..allowance).unwrap_or(bytes);
        let written = ready!(Pin::new(stream).poll_write(cx, part))?;
        self.bucket.spend(written as u64);
        Poll::Ready(Ok(written))
    }

    /// Writes as many bytes of `slices` as may pass.
    pub fn poll_write_vectored<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total = slices
            .iter()
            .fold(0usize, |sum, slice| sum.saturating_add(slice.len()));
        if total == 0 {
            return Poll::Ready(Ok(0));
        }
        let allowance = ready!(self.poll_allowance(cx, total));
        let mut fitting = 0;
        let whole = slices.iter().take_while(|slice| {
            fitting += slice.len();
            fitting <= allowance
        });
        let whole = whole.count();
        let written = match slices.get(..whole) {
            Some(fits) if fits.iter().any(|slice| !slice.is_empty()) => {
                ready!(Pin::new(stream).poll_write_vectored(cx, fits))?
            }
            // Not even the first one fits: send a part of it.
            _ => {
                let first = slices
                    .iter()
                    .find(|slice| !slice.is_empty())
                    .map_or(&[][..], |slice| &slice[..]);
                ready!(Pin::new(stream).poll_write(cx, first.get(..allowance).unwrap_or(first)))?
            }
        };
        self.bucket.spend(written as u64);
        Poll::Ready(Ok(written))
    }

    /// How many of `wanted` bytes (at least 1) may pass, waiting until that is all of them or a worthwhile portion.
    fn poll_allowance(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<usize> {
        let wanted = wanted as u64;
        let needed = wanted.min(self.bucket.portion());
        loop {
            let available = self.bucket.available(Instant::now());
            if available >= needed {
                // At most `wanted`, which came from a usize.
                return Poll::Ready(available.min(wanted) as usize);
            }
            let ready_at = self.bucket.ready_at(needed);
            let sleep = match &mut self.sleep {
                Some(sleep) => {
                    if sleep.deadline() != ready_at {
                        sleep.as_mut().reset(ready_at);
                    }
                    sleep
                }
                None => self.sleep.insert(Box::pin(sleep_until(ready_at))),
            };
            ready!(sleep.as_mut().poll(cx));
        }
    }
}

#[cfg(test)]
mod tests;
