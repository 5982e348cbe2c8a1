//! Every example runs, and prints what is written at its top.

mod http_reference;
mod hub;
mod hub_worker;
mod pages;
mod support;

use std::ffi::OsStr;

use support::{documented, folder, program, run, source};

/// Those which need nothing but themselves.
const ALONE: [&str; 7] = [
    "greet",
    "limits",
    "pipe",
    "read-timeout",
    "stream",
    "tag-queues",
    "tls",
];

/// Those with a test of their own.
const OTHERS: [&str; 4] = ["hub-worker", "pages", "websocket-chat", "websocket-minimal"];

#[test]
fn each_prints_what_it_says() {
    for name in ALONE {
        assert_eq!(run(program(name)), documented(name, &[]), "{name}");
    }
}

#[test]
fn each_file_is_an_example_that_is_run_here_and_listed() {
    let listed = std::fs::read_to_string(folder().join("README.md")).expect("the list");
    let all = || ALONE.into_iter().chain(OTHERS);
    for entry in std::fs::read_dir(folder()).expect("the folder") {
        let path = entry.expect("a file").path();
        if path.extension() == Some(OsStr::new("rs")) {
            let name = all().find(|name| source(name) == path);
            let name = name.unwrap_or_else(|| panic!("{} is run by no test", path.display()));
            assert!(
                listed.contains(&format!("[`{name}`]")),
                "{name} is not in README.md"
            );
        }
    }
}
