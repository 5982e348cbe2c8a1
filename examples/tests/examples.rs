//! Every example runs, and prints what is written at its top.

use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn greet() {
    runs_as_documented("greet");
}

#[test]
fn limits() {
    runs_as_documented("limits");
}

#[test]
fn pipe() {
    runs_as_documented("pipe");
}

#[test]
fn read_timeout() {
    runs_as_documented("read-timeout");
}

#[test]
fn stream() {
    runs_as_documented("stream");
}

#[test]
fn tls() {
    runs_as_documented("tls");
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn runs_as_documented(name: &str) {
    let output = Command::new(program(name)).output().expect("it starts");
    let printed = String::from_utf8(output.stdout).expect("text");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    assert_eq!(printed, documented(name), "{errors}");
}

/// The program that cargo built beside this test.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this program");
    let folder = test.parent().and_then(Path::parent).expect("target/PROFILE/deps");
    let program = folder.join("examples").join(name);
    assert!(
        program.exists(),
        "{} is missing: `cargo test` without --test builds it",
        program.display()
    );
    program
}

/// What stands below the command in the module documentation of an example.
fn documented(name: &str) -> String {
    let path = folder().join(name.replace('-', "_")).with_extension("rs");
    let source = std::fs::read_to_string(path).expect("the source of the example");
    let command = format!("//! $ cargo run -p switchboard-examples --example {name}");
    let mut printed = String::new();
    let output = source.lines().skip_while(|line| *line != command).skip(1);
    for line in output.take_while(|line| *line != "//! ```") {
        printed += line.strip_prefix("//! ").expect("a line of the documentation");
        printed += "\n";
    }
    assert!(!printed.is_empty(), "{name} does not say what it prints");
    printed
}
