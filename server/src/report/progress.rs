//! The bar that shows how far a load test is: on a terminal only, and on stderr, so that results stay clean.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// What a load test runs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// For this long.
    Time(Duration),
    /// This many requests.
    Count(u64),
}

impl Goal {
    /// How far a run is, and how far it goes: milliseconds or requests.
    fn position(self, elapsed: Duration, done: u64) -> (u64, u64) {
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let (at, length) = match self {
            Self::Time(span) => (ms(elapsed), ms(span)),
            Self::Count(count) => (done, count),
        };
        (at.min(length), length)
    }
}

/// The bar. Dropping it wipes it off.
#[derive(Debug)]
pub struct Progress {
    goal: Goal,
    bar: ProgressBar,
}

impl Progress {
    /// A bar at zero; invisible unless stderr is a terminal.
    pub fn new(goal: Goal) -> Self {
        let (_, length) = goal.position(Duration::ZERO, 0);
        // indicatif hides it by itself where there is no terminal.
        let bar = ProgressBar::new(length);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}") {
            bar.set_style(style);
        }
        Self { goal, bar }
    }

    /// Shows how long it has run and how many requests are done.
    pub fn show(&self, elapsed: Duration, done: u64) {
        let (at, _) = self.goal.position(elapsed, done);
        let rate = done as f64 / elapsed.as_secs_f64().max(f64::EPSILON);
        self.bar.set_message(format!("{rate:.0} /s"));
        self.bar.set_position(at);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_of_time_or_of_requests_and_never_beyond_the_goal() {
        let seconds = Duration::from_secs;
        assert_eq!(Goal::Time(seconds(10)).position(seconds(3), 99), (3000, 10_000));
        assert_eq!(
            Goal::Time(seconds(10)).position(seconds(11), 99),
            (10_000, 10_000)
        );
        assert_eq!(Goal::Count(50).position(seconds(3), 20), (20, 50));
        assert_eq!(Goal::Count(50).position(seconds(3), 60), (50, 50));
    }

    #[test]
    fn a_bar_follows_its_goal() {
        let progress = Progress::new(Goal::Count(50));
        progress.show(Duration::from_secs(2), 20);
        assert_eq!((progress.bar.position(), progress.bar.length()), (20, Some(50)));
        assert_eq!(progress.bar.message(), "10 /s");
    }
}
