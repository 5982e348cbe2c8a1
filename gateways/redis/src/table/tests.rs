use std::collections::HashSet;
use std::fmt::Write;

use super::*;
use crate::command::Support;

/// The document that is made of the table.
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/redis.md");

/// Set, the document is written anew.
const REWRITE_VARIABLE: &str = "SWITCHBOARD_REWRITE_DOCS";

/// What stands before the table, and after it.
const HEAD: &str = include_str!("head.md");
const TAIL: &str = include_str!("tail.md");

fn document() -> String {
    let mut text = HEAD.to_owned();
    for group in GROUPS {
        write!(
            text,
            "\n### {}\n\n| command | does | here |\n| --- | --- | --- |\n",
            group.title
        )
        .unwrap();
        for command in group.commands {
            row(&mut text, command);
            if let Run::Container(subcommands) = command.run {
                subcommands.iter().for_each(|sub| row(&mut text, sub));
            }
        }
    }
    text + TAIL
}

fn row(text: &mut String, command: &Command) {
    let escaped = |words: &str| words.replace('|', "\\|");
    let name = command.name.replace('|', " ").to_uppercase();
    let form = format!("{name} {}", escaped(command.syntax));
    let here = match command.support {
        Support::Full => "as in Redis".to_owned(),
        Support::Differs(how) => format!("differs: {how}"),
        Support::Own => "not of Redis".to_owned(),
    };
    let (summary, here) = (escaped(command.summary), escaped(&here));
    writeln!(text, "| `{}` | {summary} | {here} |", form.trim_end()).unwrap();
}

#[test]
fn the_document_is_that_of_the_table() {
    if std::env::var_os(REWRITE_VARIABLE).is_some() {
        std::fs::write(DOCUMENT, document()).unwrap();
    }
    let written = std::fs::read_to_string(DOCUMENT).unwrap();
    assert!(
        written == document(),
        "docs/redis.md is another than the table of commands: run this test with {REWRITE_VARIABLE}=1"
    );
}

#[test]
fn each_command_stands_there_once_and_can_be_found() {
    let mut known = HashSet::new();
    for command in all() {
        assert!(known.insert(command.name), "{} stands there twice", command.name);
        assert_eq!(command.name, command.name.to_lowercase());
        let shouted = command.name.to_uppercase();
        assert_eq!(
            find(shouted.as_bytes()).map(|found| found.name),
            Some(command.name)
        );
        if let Run::Container(subcommands) = command.run {
            for sub in subcommands {
                assert!(
                    sub.name.starts_with(&format!("{}|", command.name)),
                    "{}",
                    sub.name
                );
                assert!(find_whole(sub.name.as_bytes()).is_some());
            }
        }
    }
}
