//! Configuration files, as a person writes them, and what the daemon says to them.

use std::fs;

use switchboard_tests::{Launch, run, switchboard};

/// Everything that can be wrong with one file.
const WRONG: &str = "\
[server]
grace = '10 fortnights'

[gotalk]
lissten = 'tcp://127.0.0.1:0'
payload_max = '1 pound'
read_timeout = '5s'
heartbeat_interval = '6s'

[limits]
connections = 0
unix_mode = '0600'

[lgo]
level = 'info'
";

/// Where each fault stands, and words of what is said of it.
const FAULTS: [(usize, &str, &[&str]); 7] = [
    (2, "server.grace", &["ms"]),
    (5, "gotalk.lissten", &["unknown key", "listen"]),
    (6, "gotalk.payload_max", &["unknown unit", "MiB"]),
    (8, "gotalk.heartbeat_interval", &["shorter than read_timeout"]),
    (11, "limits.connections", &[]),
    (12, "limits.unix_mode", &["belongs into [gotalk]"]),
    (14, "lgo", &["unknown section"]),
];

#[test]
fn every_fault_of_a_file_is_told_with_its_line_and_nothing_is_started() {
    let launch = Launch::new().config(WRONG);
    let mut check = switchboard(launch.folder(), ["config", "check", "written.toml"]);
    for ran in [launch.run(), run(&mut check, b"")] {
        assert_eq!((ran.status, ran.text()), (64, ""), "{ran:?}");
        let lines: Vec<_> = ran.stderr.lines().collect();
        for (line, key, words) in FAULTS {
            let place = format!("written.toml:{line}:");
            let found = lines.iter().find(|text| text.starts_with(&place));
            let text = found.unwrap_or_else(|| panic!("nothing of line {line}: {}", ran.stderr));
            assert!(text.contains(&format!(": {key}: ")), "{text}");
            for word in words {
                assert!(text.contains(word), "{word:?} is missing: {text}");
            }
        }
        assert_eq!(lines.len(), FAULTS.len(), "{}", ran.stderr);
    }
    assert!(!launch.folder().join("data").exists(), "nothing is made");
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_line() {
    let ran = Launch::new().config("[gotalk]\nlisten = [\n").run();
    ran.fails(64, &["written.toml:"]);
    let missing = Launch::new().arguments(&["--config", "nowhere.toml"]).run();
    missing.fails(64, &["nowhere.toml", "cannot read"]);
}

#[test]
fn the_environment_is_stronger_than_the_file_and_flags_are_stronger_than_both() {
    let file = "[gotalk]\nlisten = 'unix://by-file'\npayload_max = '1KiB'\n[hub]\ncall_timeout = '5s'\n";
    let launch = || {
        Launch::new()
            .config(file)
            .set("gotalk", "listen", "['unix://by-environment']")
            .set("gotalk", "payload_max", "2KiB")
    };
    assert_eq!(launch().start().url(), "unix://by-environment");
    let daemon = launch().listen("unix://by-flag").start();
    assert_eq!(daemon.doors, ["unix://by-flag"]);
    let mut peer = switchboard_tests::Peer::unix(&daemon.folder().join("by-flag"));
    assert_eq!(
        peer.call("nope", [b'x'; 2048]).kind,
        'E',
        "the environment's bound holds"
    );
    peer.send(switchboard_tests::single(b"0001", "nope", [b'x'; 2049]));
    assert_eq!(peer.last_words(), "f00000002");

    let mut show = switchboard(daemon.folder(), ["config", "show", "written.toml"]);
    let shown = run(show.env("SWITCHBOARD_GOTALK_PAYLOAD_MAX", "2KiB"), b"");
    for words in ["SWITCHBOARD_GOTALK_PAYLOAD_MAX", "written.toml:5", "2KiB", "5s"] {
        assert!(
            shown.text().contains(words),
            "{words} is missing: {}",
            shown.text()
        );
    }

    let wrong = launch().set("hub", "call_timeout", "soon");
    wrong
        .run()
        .fails(64, &["SWITCHBOARD_HUB_CALL_TIMEOUT", "hub.call_timeout"]);
    let misspelt = launch().set("hub", "call_timeouts", "1s");
    misspelt
        .run()
        .fails(64, &["SWITCHBOARD_HUB_CALL_TIMEOUTS", "call_timeout"]);
}

#[test]
fn the_default_file_serves_as_it_is_printed() {
    let launch = Launch::new();
    let printed = run(&mut switchboard(launch.folder(), ["config", "default"]), b"");
    assert_eq!((printed.status, printed.stderr.as_str()), (0, ""));
    let daemon = launch
        .config(printed.text())
        // Its own port may be taken on this machine.
        .set("gotalk", "listen", "unix://{data}/switchboard.sock")
        .start();
    let folder = daemon.folder().to_owned();
    run(&mut switchboard(&folder, ["publish", "t", "x"]), b"").is(0, "");

    // What is in effect is what would be in effect without any file.
    let show = |arguments: &[&str]| {
        let shown = run(&mut switchboard(&folder, arguments), b"");
        assert_eq!(shown.status, 0, "{shown:?}");
        let values = |line: &str| {
            line.split_once(" #")
                .map_or(line, |(value, _)| value)
                .trim_end()
                .to_owned()
        };
        shown
            .text()
            .lines()
            .map(values)
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
    };
    let with_file = show(&["config", "show", "written.toml"]);
    fs::remove_file(folder.join("written.toml")).expect("it is there");
    assert_eq!(with_file, show(&["config", "show"]));
}
