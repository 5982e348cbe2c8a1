//! How long to go on trying, and what comes of it.

use std::time::Duration;

use switchboard_engine::{EngineError, Result};
use tokio::time::Instant;

use super::{AWAY_TIME_MAX, CALL_TIME_MAX, Link};

/// The first and the longest pause between two tries.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// How long those who get Unavailable are told to wait.
const WAIT: Duration = Duration::from_secs(1);

/// Why a try came to nothing.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// There is no connection: nothing was done.
    Away(String),
    /// Nothing was done; another try may do it.
    NotDone(String),
    /// It may have been done.
    Unsure(String),
    /// Another try would come to the same.
    Error(EngineError),
}

impl From<EngineError> for Trouble {
    fn from(error: EngineError) -> Self {
        Self::Error(error)
    }
}

/// The tries of one call.
#[derive(Debug)]
pub(crate) struct Patience<'a> {
    link: &'a Link,
    begun: Instant,
    lasts: Duration,
    pause: Duration,
    unsure: bool,
}

impl<'a> Patience<'a> {
    pub(crate) fn new(link: &'a Link) -> Self {
        Self::lasting(link, CALL_TIME_MAX)
    }

    pub(crate) fn lasting(link: &'a Link, lasts: Duration) -> Self {
        Self {
            link,
            begun: Instant::now(),
            lasts,
            pause: PAUSE_MIN,
            unsure: false,
        }
    }

    /// Whether an earlier try may have done it.
    pub(crate) fn is_unsure(&self) -> bool {
        self.unsure
    }

    /// Pauses before another try. Sees to the streams, if it looks as if they were gone.
    ///
    /// # Errors
    /// When it is no use, or took too long.
    pub(crate) async fn rest(&mut self, trouble: Trouble) -> Result<()> {
        let (why, lasts) = match trouble {
            Trouble::Error(error) => return Err(error),
            Trouble::Away(why) => (why, self.lasts.min(AWAY_TIME_MAX)),
            Trouble::NotDone(why) => (why, self.lasts),
            Trouble::Unsure(why) => {
                self.unsure = true;
                (why, self.lasts)
            }
        };
        self.link.check_open()?;
        if self.begun.elapsed() + self.pause > lasts {
            return Err(self.give_up(&why));
        }
        // With jitter, so that many who wait for the same do not come back together.
        let pause = self.pause.mul_f64(0.5 + fastrand::f64() / 2.0);
        tokio::time::sleep(pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        if self.pause >= PAUSE_MAX / 4 {
            self.link.ensure_again().await;
        }
        Ok(())
    }

    /// Unavailable, with what is known of the outcome.
    pub(crate) fn give_up(&self, why: &str) -> EngineError {
        self.link.status.troubled(why);
        let outcome = if self.unsure {
            "what was asked for may or may not have happened"
        } else {
            "nothing was changed"
        };
        EngineError::unavailable(WAIT, format!("{why}; {outcome}"))
    }
}
