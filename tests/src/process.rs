//! Programs beside a test: what they print, and how they end.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read, Write},
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::wait::{LIMIT, until};

/// How a program ended, and what it printed that was not read before.
#[derive(Debug)]
pub struct Ran {
    /// Exit status, or 128 and the number of the signal that ended it.
    pub status: i32,
    /// The rest of stdout.
    pub stdout: Vec<u8>,
    /// The rest of stderr; what is not UTF-8 is replaced.
    pub stderr: String,
}

impl Ran {
    /// The rest of stdout as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("UTF-8")
    }

    /// Checks status and stdout.
    #[track_caller]
    pub fn is(&self, status: i32, stdout: &str) {
        let found = (self.status, &*String::from_utf8_lossy(&self.stdout));
        assert_eq!(found, (status, stdout), "stderr: {}", self.stderr);
    }

    /// Checks the status, and that stderr has all these words.
    #[track_caller]
    pub fn fails(&self, status: i32, words: &[&str]) {
        assert_eq!(self.status, status, "{self:?}");
        for word in words {
            assert!(
                self.stderr.contains(word),
                "{word:?} is missing in {:?}",
                self.stderr
            );
        }
    }
}

/// Runs a program to its end with `input` on stdin.
#[track_caller]
pub fn run(command: &mut Command, input: &[u8]) -> Ran {
    let mut process = Process::start(command);
    process.feed(input);
    process.end()
}

/// A program that runs beside the test; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Its stdin, a pipe; dropping it is the end of the input.
    pub stdin: Option<ChildStdin>,
    stdout: Lines,
    stderr: Lines,
}

impl Process {
    /// Starts it, with pipes for all three.
    ///
    /// # Panics
    /// If it cannot be started, naming it: a program that the tests need and that is missing is a failure.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let name = command.get_program().to_owned();
        Self::started(command.spawn(), &name)
    }

    /// Starts it with a descriptor as its stdin.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    pub fn start_reading(command: &mut Command, stdin: OwnedFd) -> Self {
        command
            .stdin(Stdio::from(stdin))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let name = command.get_program().to_owned();
        let started = command.spawn();
        // The command holds the descriptor too.
        command.stdin(Stdio::null());
        Self::started(started, &name)
    }

    #[track_caller]
    fn started(child: std::io::Result<Child>, name: &OsStr) -> Self {
        let mut child = child.unwrap_or_else(|error| panic!("cannot start {}: {error}", name.display()));
        Self {
            stdin: child.stdin.take(),
            stdout: Lines::of(child.stdout.take().expect("a pipe")),
            stderr: Lines::of(child.stderr.take().expect("a pipe")),
            child,
        }
    }

    /// Writes all of its stdin, and ends it. What a program does not want to read is not its fault.
    pub fn feed(&mut self, input: &[u8]) {
        let mut stdin = self.stdin.take().expect("it was not fed before");
        let input = input.to_vec();
        // Beside the test: the program may print more than a pipe holds before it reads on.
        std::thread::spawn(move || {
            let _ = stdin.write_all(&input);
        });
    }

    /// The next line of stdout, without its end.
    #[track_caller]
    pub fn line(&mut self) -> String {
        match self.stdout.next("a line of stdout") {
            Some(line) => text_of(&line),
            None => panic!(
                "stdout ended; stderr: {}",
                String::from_utf8_lossy(&self.stderr.rest())
            ),
        }
    }

    /// Reads stderr up to a line with these words, and returns it.
    #[track_caller]
    pub fn says(&mut self, words: &str) -> String {
        let mut seen = String::new();
        while let Some(line) = self.stderr.next(words) {
            let line = text_of(&line);
            if line.contains(words) {
                return line;
            }
            seen += &line;
            seen.push('\n');
        }
        panic!("it ended without saying {words:?}, but: {seen}");
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn send(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process number");
        kill(Pid::from_raw(id), signal).expect("it runs");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(mut self) -> Ran {
        drop(self.stdin.take());
        // Its output ends with it, or with the last of its children: a program that leaves some behind is found so.
        let (stdout, stderr) = (self.stdout.rest(), self.stderr.rest());
        let child = &mut self.child;
        let status = until("the end of a program", || child.try_wait().expect("a child"));
        Ran {
            status: status
                .code()
                .or(status.signal().map(|signal| 128 + signal))
                .expect("it has ended"),
            stdout,
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text_of(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    String::from_utf8_lossy(line).into_owned()
}

/// Lines of a pipe, read by a thread of their own so that a wait for one can end.
#[derive(Debug)]
struct Lines(Receiver<Vec<u8>>);

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            loop {
                let mut line = Vec::new();
                let size = pipe.read_until(b'\n', &mut line).unwrap_or(0);
                if size == 0 || sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self(lines)
    }

    /// The next line with its end; `None` at the end of all.
    #[track_caller]
    fn next(&self, what: &str) -> Option<Vec<u8>> {
        match self.0.recv_timeout(LIMIT) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("{what}: not within {LIMIT:?}"),
        }
    }

    #[track_caller]
    fn rest(&self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(line) = self.next("the end of a program's output") {
            all.extend(line);
        }
        all
    }
}
