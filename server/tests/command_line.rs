//! The binary from outside: statuses, output, files.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, Output, Stdio},
};

/// Every command.
const COMMANDS: [&str; 11] = [
    "serve",
    "call",
    "handle",
    "publish",
    "subscribe",
    "ops",
    "sessions",
    "bench",
    "config",
    "completions",
    "man",
];

/// The binary in a folder of its own, with no environment but what it is given.
fn switchboard(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command
        .current_dir(folder)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null());
    command
}

struct Ran {
    status: i32,
    stdout: String,
    stderr: String,
}

fn outcome(output: Output) -> Ran {
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran {
        status: output.status.code().expect("it exits by itself"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

fn run_in(folder: &Path, arguments: &[&str]) -> Ran {
    outcome(switchboard(folder, arguments).output().expect("it runs"))
}

fn run(arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().expect("a folder");
    run_in(folder.path(), arguments)
}

#[test]
fn help_and_version_exit_0_on_stdout() {
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["help", "config"],
        &["config", "check", "--help"],
    ] {
        let ran = run(arguments);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(ran.stdout.contains("Usage: switchboard"), "{}", ran.stdout);
    }
    let version = run(&["--version"]);
    assert_eq!(
        (version.status, version.stdout.as_str()),
        (0, concat!("switchboard ", env!("CARGO_PKG_VERSION"), "\n"))
    );
    assert!(run(&["--help"]).stdout.contains("Exit status:"));
}

#[test]
fn wrong_arguments_exit_64_on_stderr() {
    for arguments in [
        &[][..],
        &["nonsense"],
        &["config"],
        &["config", "shwo"],
        &["man", "--nope"],
    ] {
        let ran = run(arguments);
        assert_eq!((ran.status, ran.stdout.as_str()), (64, ""), "{arguments:?}");
        assert!(!ran.stderr.is_empty());
    }
    assert!(run(&["config", "shwo"]).stderr.contains("'show'"));
}

#[test]
fn the_default_file_checks_and_shows() {
    let folder = tempfile::tempdir().expect("a folder");
    let printed = run_in(folder.path(), &["config", "default"]);
    assert_eq!(printed.status, 0);
    fs::write(folder.path().join("switchboard.toml"), &printed.stdout).expect("a file");

    let checked = run_in(folder.path(), &["config", "check"]);
    assert_eq!(
        (checked.status, checked.stdout.as_str()),
        (0, "./switchboard.toml: good\n"),
        "{}",
        checked.stderr
    );
    let shown = run_in(folder.path(), &["config", "show"]);
    assert_eq!(shown.status, 0);
    assert!(
        shown
            .stdout
            .contains("call_timeout = \"1m\"  # ./switchboard.toml:"),
        "{}",
        shown.stdout
    );
    fs::write(folder.path().join("shown.toml"), &shown.stdout).expect("a file");
    assert_eq!(
        run_in(folder.path(), &["config", "check", "shown.toml"]).status,
        0
    );
}

#[test]
fn check_tells_every_fault_and_exits_64() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "[log]\nlevl = 'info'\n[server]\ngrace = 10\n[gotalk]\nlisten = 'tcp://0.0.0.0:4700'\n";
    fs::write(folder.path().join("bad.toml"), text).expect("a file");
    for command in ["check", "show"] {
        let ran = run_in(folder.path(), &["config", command, "bad.toml"]);
        assert_eq!((ran.status, ran.stdout.as_str()), (64, ""));
        let lines: Vec<_> = ran.stderr.lines().collect();
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert_eq!(
            lines[0],
            "bad.toml:2:1: log.levl: unknown key; did you mean `level`?"
        );
        assert!(
            lines[1].starts_with("bad.toml:4:9: server.grace: `10` has no unit"),
            "{}",
            lines[1]
        );
        assert!(
            lines[2].starts_with("bad.toml:6:10: gotalk.listen: `tcp://0.0.0.0:4700` can be reached"),
            "{}",
            lines[2]
        );
    }
    let missing = run_in(folder.path(), &["config", "check", "nowhere.toml"]);
    assert_eq!(missing.status, 64);
    assert!(
        missing
            .stderr
            .starts_with("nowhere.toml: cannot read the configuration: "),
        "{}",
        missing.stderr
    );
}

#[test]
fn the_environment_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(
        folder.path().join("other.toml"),
        "[hub]\nsessions = 5\n[log]\nlevel = 'warn'\n",
    )
    .expect("a file");
    let shown = switchboard(folder.path(), &["config", "show"])
        .env("SWITCHBOARD_CONFIG", "other.toml")
        .env("SWITCHBOARD_LOG_LEVEL", "debug")
        .output()
        .expect("it runs");
    let shown = outcome(shown);
    assert_eq!(shown.status, 0, "{}", shown.stderr);
    assert!(
        shown.stdout.contains("sessions = 5  # other.toml:2:12\n"),
        "{}",
        shown.stdout
    );
    assert!(
        shown
            .stdout
            .contains("level = \"debug\"  # environment SWITCHBOARD_LOG_LEVEL\n"),
        "{}",
        shown.stdout
    );

    let wrong = switchboard(folder.path(), &["config", "check"])
        .env("SWITCHBOARD_HUB_SESION", "1")
        .output();
    let wrong = outcome(wrong.expect("it runs"));
    assert_eq!(wrong.status, 64);
    assert_eq!(
        wrong.stderr,
        "environment SWITCHBOARD_HUB_SESION: hub.sesion: unknown key; did you mean `sessions`?\n"
    );
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(&["completions", shell]);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{shell}");
        for command in COMMANDS {
            assert!(ran.stdout.contains(command), "{shell} {command}");
        }
    }
    assert_eq!(run(&["completions", "tcsh"]).status, 64);
}

#[test]
fn man_prints_one_page_and_writes_all() {
    let page = run(&["man"]);
    assert_eq!(page.status, 0);
    assert!(
        page.stdout.contains(".TH switchboard 1") && page.stdout.contains("Exit status:"),
        "{}",
        page.stdout
    );

    let folder = tempfile::tempdir().expect("a folder");
    let ran = run_in(folder.path(), &["man", "--dir", "share/man1"]);
    assert_eq!(
        (ran.status, ran.stdout.as_str(), ran.stderr.as_str()),
        (0, "", "")
    );
    let pages = fs::read_dir(folder.path().join("share/man1")).expect("a folder");
    let mut names: Vec<_> = pages
        .map(|page| {
            page.expect("an entry")
                .file_name()
                .into_string()
                .expect("a plain name")
        })
        .collect();
    names.sort();
    for command in COMMANDS {
        let name = format!("switchboard-{command}.1");
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    for name in [
        "switchboard.1",
        "switchboard-config-check.1",
        "switchboard-bench-call.1",
    ] {
        assert!(
            names.iter().any(|found| found == name),
            "{name} is not among {names:?}"
        );
    }
    let refused = run_in(folder.path(), &["man", "--dir", "/proc/nowhere"]);
    assert_eq!(refused.status, 1);
    assert!(
        refused
            .stderr
            .starts_with("switchboard: cannot write manual pages into /proc/nowhere: "),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_reader_who_leaves_ends_it_quietly() {
    let folder = tempfile::tempdir().expect("a folder");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut child = switchboard(folder.path(), &["completions", "bash"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut stderr)
        .expect("UTF-8");
    let status = child.wait().expect("it ends");
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}
