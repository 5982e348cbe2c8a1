//! `docs/http.md`, done as it says, and the lines with curl in `README.md`.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use switchboard_gateway_http::HttpOptions;
use switchboard_peer::{Bytes, Fault, Handlers, Peer, ServeOptions, connect};

use crate::hub::RunningHub;
use crate::support::folder;

/// The address that the texts have.
const DOOR: &str = "127.0.0.1:4780";

/// Whatever the hub of the day has there.
const ANYTHING: char = '…';

fn text(path: &str) -> String {
    std::fs::read_to_string(folder().join("..").join(path)).expect("a text")
}

/// The hub that the texts speak of, and who serves what they call there.
struct Scene {
    hub: RunningHub,
    responder: Peer,
}

impl Scene {
    fn set() -> Self {
        let hub = RunningHub::with_http(HttpOptions {
            origins: vec!["https://example.org".to_owned()],
            ..HttpOptions::default()
        });
        let handlers = Handlers::new()
            .handle_raw("upper", |_, text: Bytes| async move {
                Ok(Bytes::from(text.to_ascii_uppercase()))
            })
            .handle_raw("busy", |_, _| async {
                Err::<Bytes, _>(Fault::retry(Duration::from_millis(1500), "come back"))
            });
        let url = format!("tcp://{}", hub.gotalk);
        let responder = hub.block_on(async {
            let peer = connect(&url, handlers).await.expect("a hub");
            let hub = peer.at_hub();
            let served = hub.serve(&["upper", "busy"], ServeOptions::default());
            served.await.expect("served");
            let put = peer.request_raw("keys.put", r#"{"key":"greeting","value":"hi"}"#);
            put.await.expect("kept");
            peer
        });
        Self { hub, responder }
    }

    fn shell(&self, command: &str) -> Command {
        let mut shell = Command::new("sh");
        let command = command.replace(DOOR, &self.hub.http.to_string());
        shell.args(["-c", &command]).stdout(Stdio::piped());
        shell
    }

    /// What the command prints; of one that never ends, as many lines.
    fn run(&self, command: &str, lines: usize) -> String {
        if !command.contains(" -N ") {
            let output = self.shell(command).output().expect("a shell");
            assert!(output.status.success(), "{command}: {output:?}");
            return String::from_utf8(output.stdout).expect("text").replace('\r', "");
        }
        let mut process = self.shell(&format!("exec {command}")).spawn().expect("a shell");
        let printed = BufReader::new(process.stdout.take().expect("piped"));
        let printed: Vec<String> = printed
            .lines()
            .take(lines)
            .map(|line| line.expect("text"))
            .collect();
        process.kill().expect("it runs");
        process.wait().expect("it ran");
        printed.join("\n")
    }

    fn check(&self, command: &str, expected: &str) {
        let printed = self.run(command, expected.lines().count());
        let same = is_like(printed.trim_end(), expected.trim_end());
        assert!(
            same,
            "{command}\n--- expected\n{expected}\n--- printed\n{printed}"
        );
    }

    fn end(self) {
        self.responder.close();
        self.hub.end();
    }
}

/// Whether the text is as the pattern says.
fn is_like(text: &str, pattern: &str) -> bool {
    let mut pieces = pattern.split(ANYTHING);
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut last = None;
    for piece in pieces {
        let Some(at) = rest.find(piece) else {
            return false;
        };
        last = Some(piece);
        rest = &rest[at + piece.len()..];
    }
    rest.is_empty() || last.is_some_and(|piece| piece.is_empty() || text.ends_with(piece))
}

/// The commands of its terminals, each with what it prints.
fn commands(text: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    let mut is_terminal = false;
    for line in text.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            _ if line.starts_with("```") => is_terminal = line == "```console",
            _ if !is_terminal => {}
            (Some(command), _) => commands.push((command.to_owned(), String::new())),
            (None, Some((_, printed))) => {
                printed.push_str(line);
                printed.push('\n');
            }
            (None, None) => panic!("{line:?} is printed by no command"),
        }
    }
    commands
}

#[test]
fn its_terminals_print_what_they_show() {
    let commands = commands(&text("docs/http.md"));
    assert!(commands.len() > 15, "{commands:?}");
    let scene = Scene::set();
    for (command, printed) in commands {
        scene.check(&command, &printed);
    }
    scene.end();
}

#[test]
fn the_readme_is_right_about_curl() {
    let text = text("README.md");
    let lines = text.lines().filter_map(|line| line.strip_prefix("    curl "));
    let scene = Scene::set();
    let mut checked = 0;
    for line in lines {
        let (command, comment) = line.split_once(" # ").expect("what it prints");
        let (command, comment) = (format!("curl -s {}", command.trim()), comment.trim());
        if comment.starts_with('(') {
            // What it prints is only described.
            assert!(!scene.run(&command, 1).is_empty(), "{command}");
        } else {
            scene.check(&command, comment);
        }
        checked += 1;
    }
    assert!(checked >= 5, "{checked}");
    scene.end();
}

/// What stands between backticks in the first column of the tables.
fn first_column(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        Some((name, rest))
    })
}

#[test]
fn it_names_every_metric() {
    let text = text("docs/http.md");
    let named: BTreeSet<&str> = first_column(&text)
        .map(|(name, _)| name.split('{').next().unwrap_or(name))
        .filter(|name| name.starts_with("switchboard_"))
        .collect();
    let scene = Scene::set();
    let metrics = scene.run(&format!("curl -s http://{DOOR}/metrics"), 0);
    let there: BTreeSet<&str> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    assert_eq!(named, there);
    scene.end();
}

#[test]
fn its_defaults_are_those_of_the_configuration() {
    let defaults = text("server/src/config/default.toml");
    let http = defaults.split("\n[http]\n").nth(1).expect("a section");
    let http = http.split("\n[").next().expect("it ends");
    let text = text("docs/http.md");
    let limits = text.split("\n## Limits\n").nth(1).expect("a section");
    let limits = limits.split("\n## ").next().expect("it ends");
    let mut checked = 0;
    for (setting, rest) in first_column(limits) {
        let default = rest.split('`').nth(1).expect("a default");
        let lines = [
            format!("{setting} = \"{default}\""),
            format!("{setting} = {default}"),
        ];
        assert!(
            http.lines().any(|line| lines.iter().any(|one| one == line)),
            "{setting}: {default}"
        );
        checked += 1;
    }
    assert!(checked > 10, "{checked}");
}
