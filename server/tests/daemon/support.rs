//! Processes of the binary, and what tests wait for.

use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::{signal, stat},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    sync::oneshot,
    time::timeout,
};

pub use nix::sys::signal::Signal;

/// No wait of a test is longer; a machine that is busy with other tests is slow.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Waits, but not for ever.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match timeout(LIMIT, work).await {
        Ok(done) => done,
        Err(_) => panic!("{what}: nothing within {LIMIT:?}"),
    }
}

/// The binary, in a folder, with no environment but what it needs to find programs.
pub fn switchboard<S: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command
        .current_dir(folder)
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// How a process ended, and what it printed.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Ran {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("UTF-8")
    }

    /// Status and stdout, with stderr in the message if they are not these.
    #[track_caller]
    pub fn is(&self, status: i32, stdout: &str) {
        assert_eq!(
            (self.status, &*String::from_utf8_lossy(&self.stdout)),
            (status, stdout),
            "stderr: {}",
            self.stderr
        );
    }

    /// Status, and words on stderr.
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

/// Runs a command to its end, with `input` on stdin.
pub async fn run_with(mut command: Command, input: &[u8]) -> Ran {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    let feed = async move {
        // It may end before it has read all.
        let _ = stdin.write_all(&input).await;
    };
    let (output, ()) = within("a command", async {
        tokio::join!(child.wait_with_output(), feed)
    })
    .await;
    let output = output.expect("it ends");
    Ran {
        status: code(output.status),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// As shells tell it.
fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status
        .code()
        .or(status.signal().map(|signal| 128 + signal))
        .expect("it has ended")
}

/// A process that runs beside the test.
pub struct Process {
    child: Child,
    pub stdin: Option<ChildStdin>,
    pub stdout: Lines<BufReader<ChildStdout>>,
    pub stderr: Lines<BufReader<ChildStderr>>,
}

impl Process {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("it starts");
        Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().expect("piped")).lines(),
            stderr: BufReader::new(child.stderr.take().expect("piped")).lines(),
            child,
        }
    }

    /// The next line of stdout.
    pub async fn line(&mut self) -> String {
        let line = within("a line of stdout", self.stdout.next_line()).await;
        line.expect("UTF-8").expect("a line, not the end")
    }

    /// The next line of stdout, or nothing at its end.
    pub async fn line_or_end(&mut self) -> Option<String> {
        within("a line of stdout or its end", self.stdout.next_line())
            .await
            .expect("UTF-8")
    }

    /// Reads stderr up to a line with these words, and returns it.
    pub async fn says(&mut self, words: &str) -> String {
        within(words, async {
            let mut seen = String::new();
            while let Some(line) = self.stderr.next_line().await.expect("UTF-8") {
                if line.contains(words) {
                    return line;
                }
                seen += &line;
                seen.push('\n');
            }
            panic!("it ended without saying {words:?}, but: {seen}");
        })
        .await
    }

    pub fn id(&self) -> i32 {
        i32::try_from(self.child.id().expect("it runs")).expect("a number")
    }

    pub fn send(&self, signal: Signal) {
        signal::kill(Pid::from_raw(self.id()), signal).expect("it runs");
    }

    /// Waits for the end; what it has printed since.
    pub async fn end(mut self) -> Ran {
        drop(self.stdin.take());
        within("the end of a process", async {
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            let (mut out, mut err) = (self.stdout.into_inner(), self.stderr.into_inner());
            let (out, err, status) = tokio::join!(
                out.read_to_end(&mut stdout),
                err.read_to_end(&mut stderr),
                self.child.wait()
            );
            out.expect("readable");
            err.expect("readable");
            Ran {
                status: code(status.expect("it ends")),
                stdout,
                stderr: String::from_utf8_lossy(&stderr).into_owned(),
            }
        })
        .await
    }
}

/// A daemon with a folder of its own.
pub struct Daemon {
    pub process: Process,
    /// What it printed of its doors: the URLs.
    pub doors: Vec<String>,
    pub folder: TempDir,
}

impl Daemon {
    /// On a port of its own.
    pub async fn start() -> Self {
        Self::start_in(folder(), &["--listen", "tcp://127.0.0.1:0"], &[]).await
    }

    /// With these arguments and environment variables, in this folder. The HTTP door is closed unless they open it:
    /// its own port may be taken on this machine.
    pub async fn start_in(folder: TempDir, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = switchboard(folder.path(), ["serve"]);
        command
            .args(arguments)
            .env("SWITCHBOARD_HTTP_LISTEN", "[]")
            .env("SWITCHBOARD_REDIS_LISTEN", "[]")
            .envs(environment.iter().copied());
        let mut process = Process::start(command);
        let mut doors = Vec::new();
        loop {
            let line = within("the doors", process.stdout.next_line())
                .await
                .expect("UTF-8");
            match line.as_deref() {
                Some("ready") => break,
                Some(door) => doors.push(door.split_once("  ").expect(door).1.trim_start().to_owned()),
                None => panic!("it did not start: {}", process.end().await.stderr),
            }
        }
        Self {
            process,
            doors,
            folder,
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn url(&self) -> &str {
        self.doors.first().expect("a door")
    }

    /// A command that talks to it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = switchboard(self.folder(), arguments);
        command.env("SWITCHBOARD_HUB", self.url());
        command
    }

    pub async fn run(&self, arguments: &[&str]) -> Ran {
        run_with(self.command(arguments), b"").await
    }

    /// A command that runs beside the test, with a pipe for stdin.
    pub fn spawn(&self, arguments: &[&str]) -> Process {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).env("SWITCHBOARD_LOG_LEVEL", "info");
        Process::start(command)
    }

    /// A handler that serves.
    pub async fn handle(&self, arguments: &[&str]) -> Process {
        let mut process = self.spawn(&[&["handle"], arguments].concat());
        process.says("serving").await;
        process
    }

    /// A subscriber that is subscribed.
    pub async fn subscribe(&self, arguments: &[&str]) -> Process {
        let mut process = self.spawn(&[&["subscribe"], arguments].concat());
        process.says("subscribed").await;
        process
    }

    /// Stops it, which must succeed; the folder stays.
    pub async fn stop(self) -> (TempDir, Ran) {
        self.process.send(Signal::SIGTERM);
        let ran = self.process.end().await;
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        (self.folder, ran)
    }
}

pub fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A named pipe.
pub struct Fifo {
    path: PathBuf,
}

impl Fifo {
    pub fn new(folder: &Path, name: &str) -> Self {
        let path = folder.join(name);
        nix::unistd::mkfifo(&path, stat::Mode::S_IRWXU).expect("a named pipe");
        Self { path }
    }

    /// Holds both ends open: what is written stays until it is read.
    fn open(&self) -> File {
        let opened = OpenOptions::new().read(true).write(true).open(&self.path);
        opened.expect("it opens without waiting")
    }

    /// Lines that programs write into it, one after the other.
    pub fn lines(&self) -> Lines<BufReader<tokio::net::unix::pipe::Receiver>> {
        let file = self.open();
        let mut options = tokio::net::unix::pipe::OpenOptions::new();
        let receiver = options
            .read_write(true)
            .open_receiver(&self.path)
            .expect("a pipe");
        drop(file);
        BufReader::new(receiver).lines()
    }

    /// Lets `count` programs pass that read a line of it.
    pub fn open_gate(&self, count: usize) -> Gate {
        let mut file = self.open();
        file.write_all("\n".repeat(count).as_bytes()).expect("room");
        Gate { _file: file }
    }

    /// What is written until the last program that holds it open is gone.
    pub fn until_all_are_gone(&self) -> oneshot::Receiver<String> {
        let (done, receiver) = oneshot::channel();
        let path = self.path.clone();
        // A thread of its own: one of the runtime would hold up the end of a test that fails.
        std::thread::spawn(move || {
            let mut text = String::new();
            // Waits for the first program that opens it.
            let read = File::open(path).and_then(|mut file| file.read_to_string(&mut text));
            read.expect("readable");
            // If nobody waits any more, the test has failed.
            let _ = done.send(text);
        });
        receiver
    }
}

/// Keeps what was written into a named pipe.
pub struct Gate {
    _file: File,
}

/// A terminal that nobody sits at.
pub struct Terminal {
    master: std::os::fd::OwnedFd,
}

impl Terminal {
    pub fn open() -> Self {
        use rustix::pty::{OpenptFlags, grantpt, openpt, unlockpt};
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).expect("ours");
        unlockpt(&master).expect("ours");
        Self { master }
    }

    /// The end for a program.
    pub fn end(&self) -> Stdio {
        let name = rustix::pty::ptsname(&self.master, Vec::new()).expect("it has a name");
        let path = name.to_str().expect("UTF-8");
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .expect("it opens")
            .into()
    }

    /// What a program that has its end shows, until it ends with status 0.
    pub async fn shown_by(self, mut command: Command) -> String {
        let mut child = command.spawn().expect("it starts");
        // It holds the other ends; from now on the end of the last of them is the end of what is shown.
        drop(command);
        let (done, shown) = oneshot::channel();
        let mut master = File::from(self.master);
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // Linux tells the end by an error.
            let _ = master.read_to_end(&mut bytes);
            let _ = done.send(bytes);
        });
        let status = within("the end of a program", child.wait())
            .await
            .expect("it ends");
        let shown = within("the end of what is shown", shown).await.expect("read");
        assert!(status.success(), "{status}");
        String::from_utf8(shown).expect("UTF-8")
    }
}
