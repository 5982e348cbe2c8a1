//! Tests about a whole process: signals, descriptors, inherited sockets, ten thousand connections.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use switchboard_net::open_files;

use crate::support::{PATIENCE, example};

/// A running example, killed when the test is over.
pub struct Daemon {
    child: Child,
    out: BufReader<ChildStdout>,
    err: BufReader<ChildStderr>,
}

impl Daemon {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let err = BufReader::new(child.stderr.take().expect("piped"));
        Self { child, out, err }
    }

    fn echo(arguments: &[&str]) -> Self {
        Self::start(Command::new(example("echo")).args(arguments))
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line it prints that begins with `word`, without that word.
    pub fn line(&mut self, word: &str) -> String {
        find(&mut self.out, |line| {
            line.strip_prefix(word).map(|rest| rest.trim().to_owned())
        })
    }

    /// Waits for a log line with `text` in it.
    pub fn logs(&mut self, text: &str) {
        find(&mut self.err, |line| line.contains(text).then_some(()));
    }

    fn listening(&mut self) -> SocketAddr {
        self.line("listening").parse().expect("an address")
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        signal::kill(Pid::from_raw(id), signal).expect("it runs");
    }

    fn ended(mut self) -> ExitStatus {
        // Its pipes end when it does.
        self.err.read_to_end(&mut Vec::new()).expect("read");
        self.child.wait().expect("ended")
    }

    /// Memory in use, in bytes.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = kibibytes
            .and_then(|line| line.trim().strip_suffix(" kB"))
            .expect("a number of kB");
        kibibytes.parse::<u64>().expect("a number") * 1_024
    }
}

fn find<T>(lines: &mut impl BufRead, mut wanted: impl FnMut(&str) -> Option<T>) -> T {
    let mut seen = String::new();
    loop {
        let before = seen.len();
        assert_ne!(
            lines.read_line(&mut seen).expect("read"),
            0,
            "it ended; it had printed:\n{seen}"
        );
        if let Some(found) = wanted(&seen[before..]) {
            return found;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    stream
}

fn echoes(mut stream: impl Read + Write) -> bool {
    let mut answer = [0; 4];
    stream.write_all(b"ping").is_ok() && stream.read_exact(&mut answer).is_ok() && &answer == b"ping"
}

#[test]
fn sigterm_drains_and_the_process_ends_well() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut daemon = Daemon::echo(&["tcp://127.0.0.1:0"]);
        let address = daemon.listening();
        let client = connect(address);
        assert!(echoes(&client));
        daemon.signal(signal);
        daemon.line("draining");
        while TcpStream::connect(address).is_ok() {}
        assert!(echoes(&client), "who is in may finish");
        drop(client);
        assert_eq!(daemon.ended().code(), Some(0));
    }
}

#[test]
fn a_second_signal_stops_at_once() {
    let mut daemon = Daemon::echo(&["--grace", "3600", "tcp://127.0.0.1:0"]);
    let client = connect(daemon.listening());
    assert!(echoes(&client));
    daemon.signal(Signal::SIGTERM);
    daemon.line("draining");
    daemon.signal(Signal::SIGINT);
    assert_eq!(daemon.ended().code(), Some(1));
    assert!(!echoes(&client));
}

#[test]
fn when_the_grace_is_over_the_process_ends() {
    let mut daemon = Daemon::echo(&["--grace", "0", "tcp://127.0.0.1:0"]);
    let client = connect(daemon.listening());
    assert!(echoes(&client));
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.ended().code(), Some(1));
}

#[test]
fn sighup_reloads_and_nothing_else() {
    let mut daemon = Daemon::echo(&["tcp://127.0.0.1:0", "tls://127.0.0.1:0"]);
    let client = connect(daemon.listening());
    assert!(echoes(&client));
    for _ in 0..3 {
        daemon.signal(Signal::SIGHUP);
        daemon.line("reloaded");
    }
    assert!(echoes(&client));
}

#[test]
fn running_out_of_descriptors_is_survived() {
    const DESCRIPTORS: usize = 64;
    let mut daemon = Daemon::echo(&["--open-files", &DESCRIPTORS.to_string(), "tcp://127.0.0.1:0"]);
    let address = daemon.listening();
    let first = connect(address);
    assert!(echoes(&first));
    // The backlog takes those that the process cannot.
    let many: Vec<_> = (0..DESCRIPTORS).map(|_| connect(address)).collect();
    daemon.logs("cannot accept a connection");
    assert!(echoes(&first), "who is in is served while others wait");
    drop(many);
    assert!(echoes(connect(address)), "and new ones are accepted again");
    assert!(echoes(&first));
}

/// Starts an example that inherits `socket` as descriptor 3. A shell moves it there: only after the fork is the process
/// id known that `LISTEN_PID` must name.
fn inheriting(socket: impl Into<OwnedFd>, names: &str, address: &str) -> Daemon {
    let script = "exec 3<&0 0</dev/null; export LISTEN_PID=$$; exec \"$0\" \"$@\"";
    Daemon::start(
        Command::new("/bin/sh")
            .args(["-c", script])
            .arg(example("echo"))
            .arg(address)
            .env("LISTEN_FDS", "1")
            .env("LISTEN_FDNAMES", names)
            .stdin(Stdio::from(socket.into())),
    )
}

#[test]
fn sockets_are_inherited_by_index_and_by_name() {
    for address in ["fd://0", "fd://web"] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let bound = listener.local_addr().expect("an address");
        // Accepted only once the daemon runs: the socket is there before.
        let client = connect(bound);
        let mut daemon = inheriting(listener, "web", address);
        assert_eq!(daemon.listening(), bound);
        assert!(echoes(&client));
    }
}

#[test]
fn unix_sockets_are_inherited_and_their_file_is_not_ours() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("echo.sock");
    let mut daemon = inheriting(UnixListener::bind(&path).expect("bound"), "", "fd://0");
    assert_eq!(daemon.line("listening"), format!("unix://{}", path.display()));
    assert!(echoes(UnixStream::connect(&path).expect("somebody listens")));
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.ended().code(), Some(0));
    assert!(path.exists(), "whoever made it removes it");
}

#[test]
fn what_does_not_listen_is_not_taken() {
    let (one, _other) = UnixStream::pair().expect("a pair");
    for (name, socket, said) in [
        ("fd://0", OwnedFd::from(one), "does not listen"),
        (
            "fd://0",
            std::fs::File::open("/dev/null").expect("opened").into(),
            "neither a TCP nor a Unix",
        ),
        (
            "fd://1",
            TcpListener::bind("127.0.0.1:0").expect("a port").into(),
            "no socket `1` was inherited",
        ),
    ] {
        let mut daemon = inheriting(socket, "", name);
        daemon.logs(said);
    }
}

#[test]
fn ten_thousand_idle_connections_cost_little_and_harm_nobody() {
    const CONNECTIONS: usize = 10_000;
    /// The buffer of the example is 1 KiB of it; the rest is the task, its registration, and our part.
    const BYTES_PER_CONNECTION_MAX: u64 = 4_096;
    let allowed = open_files::raise().expect("raised");
    assert!(
        allowed.is_none_or(|files| files > CONNECTIONS as u64 + 100),
        "this test needs more open files: {allowed:?}"
    );

    let mut daemon = Daemon::echo(&["tcp://127.0.0.1:0"]);
    let address = daemon.listening();
    let first = connect(address);
    assert!(echoes(&first));
    let before = daemon.memory();
    let idle: Vec<_> = (0..CONNECTIONS).map(|_| connect(address)).collect();
    let last = connect(address);
    assert!(echoes(&last), "all before it are accepted, then");
    let grown = daemon.memory().saturating_sub(before);
    let each = grown / CONNECTIONS as u64;
    println!("{each} bytes for each idle connection");
    assert!(
        each <= BYTES_PER_CONNECTION_MAX,
        "{each} bytes for each connection"
    );
    assert!(echoes(&first));
    assert!(idle.iter().step_by(1_000).all(echoes), "they are idle, not dead");
    drop(idle);
    assert!(echoes(connect(address)));
}
