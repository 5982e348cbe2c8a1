//! How the process ends: one table from what went wrong to the exit status.
//!
//! The numbers follow `sysexits.h` where it has one, so that scripts can tell a caller's fault from one that passes.

use std::{process::ExitCode, time::Duration};

use switchboard_peer::Fault;

use crate::{config, doors, engines, output};

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
    /// Ctrl-C, as shells tell it: 128 and the number of SIGINT.
    Interrupted = 130,
    /// 128 and the number of SIGTERM.
    Terminated = 143,
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
    /// Nobody answers at the hub's address, or not as a hub does: what happened, and what to do.
    #[error("{0}")]
    NoHub(String),
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
    /// SIGINT came: Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// SIGTERM came.
    #[error("terminated")]
    Terminated,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Error { message, .. } => Self::Error(message.into_owned()),
            Fault::Retry { wait, message } => Self::Retry {
                wait,
                message: message.into_owned(),
            },
        }
    }
}

impl Exit {
    /// Whether the person knows why, so that nothing need be said.
    pub fn is_quiet(self) -> bool {
        matches!(self, Self::Ok | Self::Interrupted | Self::Terminated)
    }

    /// The status for an error: the first cause in its chain that the table knows, else [`Exit::Error`].
    pub fn of(error: &anyhow::Error) -> Self {
        error.chain().find_map(Self::of_cause).unwrap_or(Self::Error)
    }

    fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Self> {
        if cause.is::<config::Problems>() || cause.is::<switchboard_peer::UrlError>() {
            return Some(Self::Usage);
        }
        if let Some(doors::DoorError::Open { .. }) = cause.downcast_ref() {
            return Some(Self::Usage);
        }
        if let Some(failure) = cause.downcast_ref::<engines::EngineFailure>() {
            return Some(if failure.may_pass() {
                Self::Retry
            } else {
                Self::Error
            });
        }
        if let Some(output::OutputError::Closed) = cause.downcast_ref() {
            return Some(Self::Ok);
        }
        cause.downcast_ref().map(|failure| match failure {
            Failure::Usage(_) => Self::Usage,
            Failure::NoHub(_) => Self::NoHub,
            Failure::Error(_) => Self::Error,
            Failure::Retry { .. } => Self::Retry,
            Failure::Interrupted => Self::Interrupted,
            Failure::Terminated => Self::Terminated,
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
        assert_eq!(of(Failure::NoHub("x".into())), Exit::NoHub);
        assert_eq!(of(Failure::Interrupted), Exit::Interrupted);
        assert_eq!(of(Failure::Terminated), Exit::Terminated);
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
    fn faults_keep_their_kind_and_their_words() {
        let wait = Duration::from_millis(1500);
        let told = |fault: Fault| Failure::from(fault).to_string();
        assert_eq!(told(Fault::retry(wait, "busy")), "busy (try again in 1500 ms)");
        assert_eq!(told(Fault::failed("no")), "no");
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
        assert_eq!(
            [Exit::Interrupted, Exit::Terminated].map(|exit| exit as u8),
            [130, 143]
        );
    }
}
