//! The foreign implementation: `python/gotalk.py`, which was written from the protocol's description alone.

use std::{path::Path, process::Command};

use crate::process::Process;

/// The script.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/gotalk.py");

/// The script with these arguments, in a folder. Where there is no Python 3, running it fails: the tests need it.
pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    // -u: what it prints is seen at once. -B: no compiled copy beside the script.
    command
        .args(["-u", "-B", SCRIPT])
        .args(arguments)
        .current_dir(folder);
    command
}

/// The script beside the test, once it has printed `ready`.
#[track_caller]
pub fn start(folder: &Path, arguments: &[&str]) -> Process {
    let mut process = Process::start(&mut command(folder, arguments));
    assert_eq!(process.line(), "ready");
    process
}
