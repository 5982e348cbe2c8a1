//! The daemon as a process, and the commands that talk to it.

use std::{
    ffi::OsStr,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    peer::{Peer, tcp_address},
    process::{Process, Ran, run},
    wait::until,
};

/// The name under which this crate builds the daemon.
const BINARY_NAME: &str = "switchboard-under-test";

/// A folder that goes with the test.
pub fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// The daemon's binary: cargo has put it above the folder of the test's own.
fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let above = test.parent().and_then(Path::parent).expect("target/PROFILE/deps");
    let binary = above.join(BINARY_NAME);
    assert!(binary.is_file(), "cargo should have built {}", binary.display());
    binary
}

/// The binary in a folder, with no environment but what it needs to find programs.
pub fn switchboard<S: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(binary());
    command
        .current_dir(folder)
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// What a daemon is started with.
#[derive(Debug)]
pub struct Launch {
    folder: Arc<TempDir>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Default for Launch {
    fn default() -> Self {
        Self {
            folder: Arc::new(folder()),
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }
}

impl Launch {
    /// In a new folder, with nothing set but that the HTTP door is closed, as its port may be taken on this machine:
    /// without a listening address it would take the default ones, so name some.
    pub fn new() -> Self {
        Self::default()
    }

    /// At a TCP port on loopback.
    pub fn tcp() -> Self {
        Self::new().listen("tcp://127.0.0.1:0")
    }

    /// In the folder of another one.
    pub fn beside(daemon: &Daemon) -> Self {
        Self {
            folder: Arc::clone(&daemon.folder),
            ..Self::default()
        }
    }

    /// Where it runs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// One more door.
    #[must_use]
    pub fn listen(self, address: &str) -> Self {
        self.arguments(&["--listen", address])
    }

    /// More arguments of `serve`.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|&text| text.to_owned()));
        self
    }

    /// A setting, by its environment variable: `set("limits", "connections", "9")`.
    #[must_use]
    pub fn set(mut self, section: &str, key: &str, value: &str) -> Self {
        let name = format!("SWITCHBOARD_{section}_{key}").to_uppercase();
        self.environment.push((name, value.to_owned()));
        self
    }

    /// A configuration file, which it is started with.
    #[must_use]
    pub fn config(self, text: &str) -> Self {
        fs::write(self.folder().join("written.toml"), text).expect("a file");
        self.arguments(&["--config", "written.toml"])
    }

    /// The command, not started.
    pub fn command(&self) -> Command {
        let mut command = switchboard(self.folder(), ["serve"]);
        command
            .args(&self.arguments)
            .env("SWITCHBOARD_HTTP_LISTEN", "[]")
            .env("SWITCHBOARD_REDIS_LISTEN", "[]")
            .envs(self.environment.iter().cloned());
        command
    }

    /// Starts it, and waits until it is ready.
    #[track_caller]
    pub fn start(self) -> Daemon {
        let process = Process::start(&mut self.command());
        self.ready(process)
    }

    /// Takes over a daemon that was started in another way, and waits until it is ready.
    #[track_caller]
    pub fn ready(self, mut process: Process) -> Daemon {
        let mut doors = Vec::new();
        loop {
            match process.line() {
                line if line == "ready" => break,
                line => doors.push(line.split_once("  ").expect("a door").1.trim_start().to_owned()),
            }
        }
        Daemon {
            process,
            doors,
            folder: self.folder,
        }
    }

    /// Runs it to its end, for one that does not start.
    #[track_caller]
    pub fn run(&self) -> Ran {
        run(&mut self.command(), b"")
    }
}

/// A daemon that is ready; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    /// The process.
    pub process: Process,
    /// Where it listens, as it announced.
    pub doors: Vec<String>,
    folder: Arc<TempDir>,
}

impl Daemon {
    /// Where it runs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its first door.
    pub fn url(&self) -> &str {
        self.doors.first().expect("a door")
    }

    /// The address of its first door, which is a TCP or TLS one.
    pub fn address(&self) -> SocketAddr {
        tcp_address(self.url())
    }

    /// The address of its HTTP door, which is one without TLS.
    #[track_caller]
    pub fn http_address(&self) -> SocketAddr {
        let door = self.doors.iter().find_map(|door| door.strip_prefix("http://"));
        tcp_address(&format!("tcp://{}", door.expect("an HTTP door")))
    }

    /// A peer by bytes at its first door, which is a TCP one, after the exchange of versions.
    #[track_caller]
    pub fn peer(&self) -> Peer {
        Peer::tcp(self.address())
    }

    /// A command that talks to its first door.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = switchboard(self.folder(), arguments);
        command
            .env("SWITCHBOARD_HUB", self.url())
            .env("SWITCHBOARD_LOG_LEVEL", "info");
        command
    }

    /// Runs a command to its end.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Ran {
        run(&mut self.command(arguments), b"")
    }

    /// A command beside the test.
    #[track_caller]
    pub fn spawn(&self, arguments: &[&str]) -> Process {
        Process::start(&mut self.command(arguments))
    }

    /// `handle` with these arguments, once it serves.
    #[track_caller]
    pub fn handle(&self, arguments: &[&str]) -> Process {
        let mut process = self.spawn(&[&["handle"], arguments].concat());
        process.says("serving");
        process
    }

    /// `subscribe` with these arguments, once it is subscribed.
    #[track_caller]
    pub fn subscribe(&self, arguments: &[&str]) -> Process {
        let mut process = self.spawn(&[&["subscribe"], arguments].concat());
        process.says("subscribed");
        process
    }

    /// What `sessions --json` prints.
    #[track_caller]
    pub fn sessions(&self) -> Vec<Value> {
        let ran = self.run(&["sessions", "--json"]);
        let list: Value = serde_json::from_str(ran.text()).unwrap_or_else(|_| panic!("{ran:?}"));
        list.as_array().expect("a list").clone()
    }

    /// Waits until so many sessions are open beside that of the command that asks.
    #[track_caller]
    pub fn until_sessions(&self, count: usize) {
        until(&format!("{count} sessions"), || {
            (self.sessions().len() == count + 1).then_some(())
        });
    }

    /// Its memory in use (`VmRSS`), in bytes.
    #[track_caller]
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line
            .and_then(|line| line.trim().strip_suffix(" kB"))
            .expect("in kB");
        kib.parse::<u64>().expect("a number") * 1024
    }

    /// Stops it by `SIGTERM`, which must succeed.
    #[track_caller]
    pub fn stop(self) -> Ran {
        self.process.send(crate::Signal::SIGTERM);
        let ran = self.process.end();
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        ran
    }
}
