//! How the process ends: one table from what went wrong to the exit status.
//!
//! The numbers follow `sysexits.h` where it has one, so that scripts can tell a caller's fault from one that passes.

use std::{process::ExitCode, time::Duration};

use crate::{config, output};

/// The exit statuses of `switchboard`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// The call failed, and would fail again.
    Error = 1,
    /// Wrong arguments or configuration (`EX_USAGE`).
    Usage = 64,
    /// The hub cannot be reached (`EX_UNAVAILABLE`).
    NoHub = 69,
    /// It cannot be done now; later it may (`EX_TEMPFAIL`).
    Retry = 75,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What a command can come to, apart from success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// Nobody answers at the hub's address.
    #[error("no hub at {url}: {reason} (is `switchboard serve` running?)")]
    NoHub {
        /// Where it was looked for.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The responder, or the hub, says that it is the caller's fault.
    #[error("{0}")]
    Error(String),
    /// It cannot be done now.
    #[error("{message} (try again in {} ms)", wait.as_millis())]
    Retry {
        /// Not before this has passed.
        wait: Duration,
        /// Why.
        message: String,
    },
}

impl Exit {
    /// The status for an error: the first cause in its chain that the table knows, else [`Exit::Error`].
    pub fn of(error: &anyhow::Error) -> Self {
        error.chain().find_map(Self::of_cause).unwrap_or(Self::Error)
    }

    fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Self> {
        if cause.is::<config::Problems>() || cause.is::<crate::hub_url::HubUrlError>() {
            return Some(Self::Usage);
        }
        if let Some(output::OutputError::Closed) = cause.downcast_ref() {
            return Some(Self::Ok);
        }
        cause.downcast_ref().map(|failure| match failure {
            Failure::Usage(_) => Self::Usage,
            Failure::NoHub { .. } => Self::NoHub,
            Failure::Error(_) => Self::Error,
            Failure::Retry { .. } => Self::Retry,
        })
    }

    /// The status for a command line that was refused or that asked for help: clap's own, in our numbers.
    pub fn of_arguments(error: &clap::Error) -> Self {
        if error.exit_code() == 0 {
            Self::Ok
        } else {
            Self::Usage
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn every_failure_has_its_status() {
        let of = |failure: Failure| Exit::of(&failure.into());
        assert_eq!(of(Failure::Usage("x".into())), Exit::Usage);
        assert_eq!(
            of(Failure::NoHub {
                url: "tcp://x".into(),
                reason: "refused".into()
            }),
            Exit::NoHub
        );
        assert_eq!(of(Failure::Error("x".into())), Exit::Error);
        assert_eq!(
            of(Failure::Retry {
                wait: Duration::from_secs(1),
                message: "busy".into()
            }),
            Exit::Retry
        );
        assert_eq!(Exit::of(&config::Problems(Vec::new()).into()), Exit::Usage);
        assert_eq!(Exit::of(&output::OutputError::Closed.into()), Exit::Ok);
        assert_eq!(Exit::of(&anyhow::anyhow!("whatever")), Exit::Error);
    }

    #[test]
    fn context_does_not_hide_the_cause() {
        let failure = Failure::Retry {
            wait: Duration::ZERO,
            message: "busy".into(),
        };
        let error = Err::<(), _>(failure)
            .context("calling upper")
            .expect_err("it failed");
        assert_eq!(Exit::of(&error), Exit::Retry);
    }

    #[test]
    fn the_numbers_are_those_of_sysexits() {
        let numbers = [Exit::Ok, Exit::Error, Exit::Usage, Exit::NoHub, Exit::Retry].map(|exit| exit as u8);
        assert_eq!(numbers, [0, 1, 64, 69, 75]);
    }
}
