//! What to do when accepting fails: never end, and never spin.

use std::io;
use std::time::Duration;

use nix::errno::Errno;

/// The first wait. Descriptors are often freed within a few milliseconds.
const WAIT_MIN: Duration = Duration::from_millis(5);

/// The longest wait: how late a waiting client may be served after descriptors are free again.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Doubling waits between failed attempts to accept.
#[derive(Debug)]
pub(crate) struct Backoff {
    wait: Duration,
}

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self { wait: WAIT_MIN }
    }

    /// How long to wait now.
    pub(crate) fn advance(&mut self) -> Duration {
        let wait = self.wait;
        self.wait = (wait * 2).min(WAIT_MAX);
        wait
    }

    /// An attempt went well: begin anew.
    pub(crate) fn reset(&mut self) {
        self.wait = WAIT_MIN;
    }
}

/// Whether `error` concerns only the connection that was to be accepted, so that the next may be tried at once.
///
/// accept(2) reports errors already pending on the new connection; everything else (descriptors or memory used up,
/// and whatever we do not know) would only fail again at once.
pub(crate) fn concerns_one_connection(error: &io::Error) -> bool {
    use Errno::{
        ECONNABORTED, ECONNREFUSED, ECONNRESET, EHOSTDOWN, EHOSTUNREACH, EINTR, ENETDOWN, ENETUNREACH,
        ENONET, ENOPROTOOPT, EOPNOTSUPP, EPERM, EPROTO, ETIMEDOUT,
    };
    error.raw_os_error().map(Errno::from_raw).is_some_and(|errno| {
        matches!(
            errno,
            ECONNABORTED
                | ECONNREFUSED
                | ECONNRESET
                | EHOSTDOWN
                | EHOSTUNREACH
                | EINTR
                | ENETDOWN
                | ENETUNREACH
                | ENONET
                | ENOPROTOOPT
                | EOPNOTSUPP
                | EPERM
                | EPROTO
                | ETIMEDOUT
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_cap_and_begin_anew() {
        let mut backoff = Backoff::new();
        let waits: Vec<_> = (0..12).map(|_| backoff.advance()).collect();
        assert_eq!(waits[0], WAIT_MIN);
        assert!(
            waits
                .windows(2)
                .all(|pair| pair[1] == (pair[0] * 2).min(WAIT_MAX))
        );
        assert_eq!(waits[11], WAIT_MAX);
        backoff.reset();
        assert_eq!(backoff.advance(), WAIT_MIN);
    }

    #[test]
    fn only_errors_of_one_connection_are_skipped_at_once() {
        let concerns = |errno: Errno| concerns_one_connection(&io::Error::from(errno));
        for errno in [
            Errno::ECONNABORTED,
            Errno::ECONNRESET,
            Errno::EPROTO,
            Errno::EINTR,
        ] {
            assert!(concerns(errno), "{errno}");
        }
        for errno in [
            Errno::EMFILE,
            Errno::ENFILE,
            Errno::ENOBUFS,
            Errno::ENOMEM,
            Errno::EINVAL,
            Errno::EBADF,
        ] {
            assert!(!concerns(errno), "{errno}");
        }
        assert!(!concerns_one_connection(&io::Error::other("not from the system")));
    }
}
