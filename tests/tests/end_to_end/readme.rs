//! The first screen of `README.md`, done as it says.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use switchboard_tests::{Daemon, Launch, Process, Ran, run, until};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");

/// A command of the README, and what it says that is printed.
#[derive(Debug)]
struct Step {
    command: String,
    comment: Option<String>,
}

/// The indented blocks of the first screen, as far as they are about a daemon that runs.
fn blocks() -> Vec<Vec<Step>> {
    let text = fs::read_to_string(README).expect("a README");
    let mut blocks: Vec<Vec<Step>> = vec![Vec::new()];
    for line in text.lines() {
        match (line.strip_prefix("    "), blocks.last_mut()) {
            (Some(line), Some(block)) => block.push(Step::of(line)),
            (None, Some(block)) if !block.is_empty() => blocks.push(Vec::new()),
            _ => {}
        }
    }
    blocks
}

impl Step {
    fn of(line: &str) -> Self {
        let (command, comment) = match line.split_once(" # ") {
            Some((command, comment)) => (command, Some(comment.trim().to_owned())),
            None => (line, None),
        };
        Self {
            command: command.trim().to_owned(),
            comment,
        }
    }
}

/// A shell that finds the daemon's binary under its own name.
fn shell(daemon: &Daemon, command: &str) -> Command {
    let mut shell = Command::new("sh");
    let path = std::env::var("PATH").unwrap_or_default();
    shell
        .args(["-c", command])
        .current_dir(daemon.folder())
        .env_clear()
        .env("PATH", format!("{}/bin:{path}", daemon.folder().display()));
    shell
}

/// Waits until `switchboard COMMAND` prints something else than before, which is what a background command changes.
fn changed(daemon: &Daemon, before: &[String]) {
    until("a background command", || (state(daemon) != before).then_some(()));
}

fn state(daemon: &Daemon) -> Vec<String> {
    let sessions = daemon.sessions();
    let counts = |session: &serde_json::Value| format!("{} {}", session["serves"], session["subscriptions"]);
    let mut counts: Vec<_> = sessions
        .iter()
        .map(counts)
        .filter(|counts| counts != "0 0")
        .collect();
    counts.sort();
    counts
}

#[test]
fn its_story_is_true() {
    let blocks = blocks();
    let [start, story, check, ..] = &blocks[..] else {
        panic!("a block to start, the story, a block to check: {blocks:?}")
    };
    assert_eq!(start[0].command, "cargo run --release -- serve");
    assert_eq!(check[0].command, "scripts/test");
    assert!(Path::new(README).with_file_name("scripts/test").is_file());

    // Elsewhere than out of the box only in that no port is needed: commands find the socket by themselves.
    let daemon = Launch::new()
        .set("gotalk", "listen", "unix://{data}/switchboard.sock")
        .start();
    let bin = daemon.folder().join("bin");
    fs::create_dir(&bin).expect("a folder");
    let binary = daemon.command(&[]).get_program().to_owned();
    symlink(binary, bin.join("switchboard")).expect("a link");

    let (path, steps) = story.split_first().expect("commands");
    assert_eq!(path.command, "export PATH=$PWD/target/release:$PATH");
    let mut background: Vec<Process> = Vec::new();
    let mut checked = 0;
    for step in steps {
        // A person has to give it a moment; here it is known when it is there.
        if let Some(command) = step.command.strip_suffix("& sleep 1") {
            let before = state(&daemon);
            background.push(Process::start(&mut shell(&daemon, &format!("exec {command}"))));
            changed(&daemon, &before);
            continue;
        }
        let ran: Ran = run(&mut shell(&daemon, &step.command), b"");
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{step:?}");
        let comment = step.comment.as_deref().unwrap_or_default();
        // What is not printed by the command itself is printed by the last one in the background.
        let printed = match (ran.text(), background.last_mut()) {
            ("", Some(last)) => last.line(),
            (text, _) => text.trim_end().to_owned(),
        };
        assert_eq!(printed.replace('\t', " "), comment, "{step:?}");
        checked += 1;
    }
    assert_eq!((checked, background.len()), (3, 2), "{steps:?}");
}

#[test]
fn every_command_it_names_is_there() {
    let text = fs::read_to_string(README).expect("a README");
    let daemon = Launch::new().listen("unix://s").start();
    let named: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `switchboard ")?.split(['`', ' ']).next())
        .collect();
    assert!(named.len() >= 9, "{named:?}");
    for command in named {
        let help = daemon.run(&[command, "--help"]);
        assert_eq!(help.status, 0, "{command}: {help:?}");
        // The options that its row names.
        let row = text
            .lines()
            .find(|line| line.starts_with(&format!("| `switchboard {command}")));
        let words = row.unwrap_or_default().split(['`', ' ', ',', ';']);
        for option in words.filter(|word| word.starts_with("--") && word.len() > 2) {
            assert!(help.text().contains(option), "{command} has no {option}");
        }
    }
}
