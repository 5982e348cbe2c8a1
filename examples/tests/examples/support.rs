//! Finding an example, and what it says of itself.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// The folder with the sources.
pub fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The file of an example.
pub fn source(name: &str) -> PathBuf {
    folder().join(name.replace('-', "_")).with_extension("rs")
}

/// The program that cargo built beside this test.
pub fn program(name: &str) -> Command {
    let test = std::env::current_exe().expect("this program");
    let profile = test.parent().and_then(Path::parent).expect("target/PROFILE/deps");
    let program = profile.join("examples").join(name);
    assert!(
        program.exists(),
        "{} is missing: `cargo test` without --test builds it",
        program.display()
    );
    Command::new(program)
}

/// What the module documentation of an example says that it prints, started with these arguments.
pub fn documented(name: &str, arguments: &[&str]) -> String {
    let mut command = format!("//! $ cargo run -p switchboard-examples --example {name}");
    if !arguments.is_empty() {
        command = format!("{command} -- {}", arguments.join(" "));
    }
    let source = std::fs::read_to_string(source(name)).expect("the source of the example");
    let mut printed = String::new();
    let output = source.lines().skip_while(|line| *line != command).skip(1);
    for line in output.take_while(|line| *line != "//! ```") {
        printed += line.strip_prefix("//! ").expect("a line of the documentation");
        printed += "\n";
    }
    assert!(!printed.is_empty(), "{name} does not say what it prints");
    printed
}

/// Runs a program to its end. Returns what it printed.
pub fn run(mut program: Command) -> String {
    let output = program.output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

/// A program that runs until it is interrupted, killed when the test is over.
pub struct Running {
    process: Child,
    printed: BufReader<ChildStdout>,
}

impl Running {
    pub fn start(mut program: Command) -> Self {
        let mut process = program.stdout(Stdio::piped()).spawn().expect("it starts");
        let printed = BufReader::new(process.stdout.take().expect("piped"));
        Self { process, printed }
    }

    /// The next line it prints.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.printed.read_line(&mut line).expect("text");
        line
    }

    /// Stops it as Ctrl-C does. Returns the rest of what it printed.
    pub fn interrupted(mut self) -> String {
        let id = i32::try_from(self.process.id()).expect("a process id");
        signal::kill(Pid::from_raw(id), Signal::SIGINT).expect("it runs");
        let mut rest = String::new();
        self.printed.read_to_string(&mut rest).expect("text");
        assert!(self.process.wait().expect("ended").success());
        rest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // If it has ended already there is nothing left to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
