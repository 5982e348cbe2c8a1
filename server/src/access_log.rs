//! The file of the access log.
//!
//! Lines come from the tasks of connections, which must not wait for a disk; so they gather in memory, and a thread
//! takes all that has gathered and writes it at once. If the disk is too slow for them, lines are dropped and counted.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, fchown},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use parking_lot::{Condvar, Mutex};

/// Bytes of lines that wait for the disk at most: some ten thousand usual ones.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// How long the end of the daemon waits for the last lines to be written.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// What others may do with the file: its owner's group may read it, as is usual for logs.
const MODE: u32 = 0o640;

/// A file that lines are appended to. Clones write to the same.
#[derive(Debug, Clone)]
pub struct AccessLogFile {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    owner: Option<u32>,
    waiting: Mutex<Waiting>,
    /// Told when there is something to do.
    changed: Condvar,
    /// Told when the last line is written.
    ended: Condvar,
}

/// What the thread has to do.
#[derive(Debug, Default)]
struct Waiting {
    lines: String,
    lines_dropped: u64,
    reopen: bool,
    is_closed: bool,
    has_ended: bool,
}

impl AccessLogFile {
    /// Opens the file, and makes it if it is not there; a new one is given to `owner`, if that is somebody else.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: &Path, owner: Option<u32>) -> anyhow::Result<Self> {
        let failed = || format!("cannot open the access log {}", path.display());
        let file = open(path, owner).with_context(failed)?;
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            owner,
            waiting: Mutex::default(),
            changed: Condvar::new(),
            ended: Condvar::new(),
        });
        let writer = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("access log".to_owned())
            .spawn(move || writer.write_all(file))
            .with_context(failed)?;
        Ok(Self { shared })
    }

    /// Appends a line, sooner or later.
    pub fn write(&self, line: &str) {
        let mut waiting = self.shared.waiting.lock();
        if waiting.lines.len() + line.len() >= WAITING_BYTES_MAX {
            waiting.lines_dropped += 1;
            return;
        }
        waiting.lines.push_str(line);
        waiting.lines.push('\n');
        self.shared.changed.notify_one();
    }

    /// Opens what is at the path now, after the file was moved away.
    pub fn reopen(&self) {
        self.shared.waiting.lock().reopen = true;
        self.shared.changed.notify_one();
    }

    /// Waits until all lines are written, but no longer than a second.
    pub fn close(&self) {
        let mut waiting = self.shared.waiting.lock();
        waiting.is_closed = true;
        self.shared.changed.notify_one();
        let has_ended = |waiting: &mut Waiting| waiting.has_ended;
        let late = self
            .shared
            .ended
            .wait_while_for(&mut waiting, |waiting| !has_ended(waiting), CLOSE_WAIT);
        if late.timed_out() {
            tracing::warn!(path = %self.shared.path.display(), "the last lines of the access log were not written");
        }
    }
}

impl Shared {
    /// The thread: writes until the log is closed.
    fn write_all(&self, mut file: File) {
        let mut was_told = false;
        loop {
            let work = self.next();
            let path = self.path.display();
            match file.write_all(work.lines.as_bytes()) {
                Ok(()) => was_told = false,
                // Once is enough until it works again.
                Err(error) if !was_told => {
                    was_told = true;
                    tracing::error!(%path, %error, "cannot write to the access log");
                }
                Err(_) => {}
            }
            if work.lines_dropped > 0 {
                let lines = work.lines_dropped;
                tracing::warn!(%path, lines, "the disk was too slow for the access log: lines dropped");
            }
            if work.reopen {
                match open(&self.path, self.owner) {
                    Ok(new) => {
                        file = new;
                        tracing::info!(%path, "access log opened anew");
                    }
                    Err(error) => {
                        tracing::error!(%path, %error, "cannot open the access log, the old file stays")
                    }
                }
            }
            if work.is_closed {
                self.waiting.lock().has_ended = true;
                self.ended.notify_all();
                return;
            }
        }
    }

    /// Waits for something to do, and takes it.
    fn next(&self) -> Waiting {
        let mut waiting = self.waiting.lock();
        let is_idle =
            |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.reopen && !waiting.is_closed;
        self.changed.wait_while(&mut waiting, is_idle);
        std::mem::take(&mut waiting)
    }
}

fn open(path: &Path, owner: Option<u32>) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).mode(MODE);
    match options.create_new(true).open(path) {
        Ok(file) => {
            if owner.is_some() {
                fchown(&file, owner, None)?;
            }
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            options.create_new(false).create(true).open(path)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_appended_before_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        for lines in [["a", "b"], ["c", "d"]] {
            let log = AccessLogFile::open(&path, None).expect("opened");
            lines.iter().for_each(|line| log.write(line));
            log.close();
        }
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), "a\nb\nc\nd\n");
    }

    #[test]
    fn a_file_that_was_moved_away_is_left_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, old) = (folder.path().join("new"), folder.path().join("old"));
        let log = AccessLogFile::open(&path, None).expect("opened");
        log.write("a");
        std::fs::rename(&path, &old).expect("moved");
        log.reopen();
        log.close();
        assert_eq!(std::fs::read_to_string(&old).expect("a file"), "a\n");
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), "");
    }

    #[test]
    fn more_than_may_wait_is_dropped() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        let log = AccessLogFile::open(&path, None).expect("opened");
        log.write(&"x".repeat(WAITING_BYTES_MAX));
        log.write("y");
        log.close();
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), "y\n");
    }

    #[test]
    fn a_folder_that_is_not_there_is_told() {
        let told = AccessLogFile::open(Path::new("/nowhere/x"), None).expect_err("no folder");
        assert!(format!("{told:#}").starts_with("cannot open the access log /nowhere/x: "));
    }
}
