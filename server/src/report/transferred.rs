//! How far an export, an import or a backup is: a line that changes on a terminal, and what it came to in the end. On
//! stderr, so that results stay clean.

use std::{fmt, time::Duration};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use switchboard_engine::transfer::Totals;

/// How often the line changes at least, so that it shows that something is under way.
const TICK: Duration = Duration::from_millis(200);

/// The line. Dropping it wipes it off.
#[derive(Debug)]
pub struct Transferred {
    done: &'static str,
    bar: ProgressBar,
    totals: Totals,
}

/// Counts in words.
pub struct Shown(Totals);

impl Transferred {
    /// At nothing; `done` says what was done to what is counted, `bytes` how much there is, if that is known.
    pub fn new(done: &'static str, bytes: Option<u64>) -> Self {
        // indicatif hides it by itself where there is no terminal.
        let (bar, template) = match bytes {
            Some(bytes) => (
                ProgressBar::new(bytes),
                "{bar:40} {percent:>3} %  {bytes_per_sec}  {msg}",
            ),
            None => (ProgressBar::new_spinner(), "{spinner} {bytes_per_sec}  {msg}"),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Self {
            done,
            bar,
            totals: Totals::default(),
        }
    }

    /// Shows how far it is.
    pub fn show(&mut self, totals: &Totals) {
        self.totals = *totals;
        self.bar.set_position(totals.bytes);
        self.bar.set_message(Shown(*totals).to_string());
    }

    /// How far it is.
    pub fn totals(&self) -> Shown {
        Shown(self.totals)
    }

    /// Says what it came to.
    pub fn finish(self, totals: &Totals) {
        self.bar.finish_and_clear();
        eprintln!("{} {}", self.done, Shown(*totals));
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals {
            keys,
            jobs,
            blobs,
            bytes,
            ..
        } = self.0;
        write!(
            f,
            "{keys} keys, {jobs} jobs, {blobs} blobs, {}",
            HumanBytes(bytes)
        )
    }
}

impl Drop for Transferred {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_far_it_is() {
        let mut transferred = Transferred::new("imported", Some(4096));
        let totals = Totals {
            keys: 3,
            jobs: 2,
            blobs: 1,
            bytes: 2048,
            ..Totals::default()
        };
        transferred.show(&totals);
        assert_eq!(transferred.bar.position(), 2048);
        assert_eq!(
            transferred.totals().to_string(),
            "3 keys, 2 jobs, 1 blobs, 2.00 KiB"
        );
    }
}
