//! Finding an example, and what it says of itself.

use std::path::{Path, PathBuf};
use std::process::Command;

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
