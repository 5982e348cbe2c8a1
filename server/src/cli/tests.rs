use std::time::Duration;

use clap::{CommandFactory, Parser, error::ErrorKind};

use super::{Cli, Command, HubCommand, bench::BenchCommand, topics::Policy};
use crate::{
    config::{self, Sources},
    exit::Exit,
    report::progress::Goal,
    units::Span,
};

fn parse(line: &str) -> Result<Command, clap::Error> {
    let words = std::iter::once("switchboard").chain(line.split_whitespace());
    Cli::try_parse_from(words).map(|cli| cli.command)
}

fn refused(line: &str) -> ErrorKind {
    parse(line).expect_err(line).kind()
}

/// Every command below this one, itself included.
fn all_commands(command: &clap::Command) -> Vec<clap::Command> {
    let mut all: Vec<_> = command.get_subcommands().flat_map(all_commands).collect();
    all.push(command.clone());
    all
}

#[test]
fn the_definitions_hold_together() {
    Cli::command().debug_assert();
}

#[test]
fn everything_has_a_help_text() {
    for command in all_commands(&Cli::command()) {
        assert!(
            command.get_about().is_some(),
            "{} has no help",
            command.get_name()
        );
        for argument in command.get_arguments() {
            let name = argument.get_id();
            assert!(
                argument.get_help().is_some(),
                "{} {name} has no help",
                command.get_name()
            );
        }
    }
}

#[test]
fn examples_in_the_help_are_accepted() {
    let mut seen = 0;
    for command in all_commands(&Cli::command()) {
        let help = command
            .get_after_long_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let (_, examples) = help.split_once("Examples:\n").unwrap_or_default();
        for example in examples.lines().take_while(|line| !line.is_empty()) {
            let (_, line) = example.split_once("switchboard ").expect(example);
            let line = line.split("  ").next().unwrap_or_default();
            let words = shell_words(line);
            let full = Cli::command();
            let parsed = full.try_get_matches_from(std::iter::once("switchboard".to_owned()).chain(words));
            assert!(
                parsed.is_ok(),
                "{example}: {}",
                parsed.err().map(|e| e.to_string()).unwrap_or_default()
            );
            seen += 1;
        }
    }
    assert!(seen > 25, "only {seen} examples were found");
}

/// Words of a command up to a redirection or a pipe; quotes keep a word together.
fn shell_words(line: &str) -> Vec<String> {
    let mut words = vec![];
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if open == c => quote = None,
            (None, ' ') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    let end = words
        .iter()
        .position(|word| matches!(word.as_str(), "|" | ">" | "<"));
    words.truncate(end.unwrap_or(words.len()));
    words
}

#[test]
fn usage_errors_exit_64_and_help_0() {
    let status = |line: &str| Exit::of_arguments(&parse(line).expect_err(line));
    assert_eq!(status("call"), Exit::Usage);
    assert_eq!(status("nonsense"), Exit::Usage);
    assert_eq!(status("call --timeout 10 op"), Exit::Usage);
    assert_eq!(status("--help"), Exit::Ok);
    assert_eq!(status("call --help"), Exit::Ok);
}

#[test]
fn serve_flags_become_settings_that_win() {
    let Ok(Command::Serve(serve)) = parse(
        "serve --listen tls://127.0.0.1:1 --listen unix://{data}/s --data /d --tls-cert c --tls-key k \
         --log-format json --log-level warn --grace 1m30s --workers 3",
    ) else {
        panic!("it parses");
    };
    let environment = vec![("SWITCHBOARD_SERVER_GRACE".to_owned(), "1s".to_owned())];
    let loaded = config::load(&Sources {
        file: None,
        environment,
        flags: serve.settings(),
    })
    .expect("good");
    assert_eq!(loaded.config.server.grace, Duration::from_secs(90));
    assert_eq!(loaded.config.server.workers.get(), 3);
    assert_eq!(loaded.config.log.level, "warn");
    let listen: Vec<_> = loaded
        .config
        .gotalk
        .listen
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(listen, ["tls://127.0.0.1:1", "unix:///d/s"]);
    assert!(loaded.config.tls.is_some());

    let Ok(Command::Serve(open)) = parse("serve --listen tcp://0.0.0.0:1 --tls-self-signed") else {
        panic!("it parses");
    };
    let problems = config::load(&Sources {
        flags: open.settings(),
        ..Sources::default()
    })
    .expect_err("open");
    let text = problems.to_string();
    assert!(
        text.contains("--listen: gotalk.listen: `tcp://0.0.0.0:1` can be reached"),
        "{text}"
    );
    assert!(text.contains("--tls-self-signed: tls.self_signed: "), "{text}");
    assert_eq!(
        refused("serve --tls-self-signed --tls-cert c"),
        ErrorKind::ArgumentConflict
    );
}

#[test]
fn addresses_name_the_doors_that_are_open() {
    let doors = |line: &str| {
        let Ok(Command::Serve(serve)) = parse(line) else {
            panic!("{line} parses");
        };
        let environment = [
            ("SWITCHBOARD_GOTALK_LISTEN", "unix:///g"),
            ("SWITCHBOARD_HTTP_LISTEN", "http://[::1]:1"),
        ];
        let loaded = config::load(&Sources {
            file: None,
            environment: environment
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            flags: serve.settings(),
        });
        let config = loaded.expect("good").config;
        [config.gotalk.listen, config.http.listen].map(|listen| {
            let texts: Vec<_> = listen.iter().map(ToString::to_string).collect();
            texts.join(" ")
        })
    };
    assert_eq!(doors("serve"), ["unix:///g", "tcp://[::1]:1"]);
    assert_eq!(
        doors("serve --listen tcp://127.0.0.1:2"),
        ["tcp://127.0.0.1:2", ""]
    );
    assert_eq!(
        doors("serve --listen http://127.0.0.1:2"),
        ["", "tcp://127.0.0.1:2"]
    );
    assert_eq!(
        doors("serve --listen https://127.0.0.1:2 --listen unix:///x --tls-self-signed --listen fd://0"),
        ["unix:///x fd://0", "tls://127.0.0.1:2"]
    );
}

#[test]
fn serve_without_flags_sets_nothing() {
    let Ok(Command::Serve(serve)) = parse("serve") else {
        panic!("it parses")
    };
    assert_eq!(serve.settings(), []);
}

#[test]
fn call_takes_its_options() {
    let Ok(Command::Hub(HubCommand::Call(call))) = parse("call upper - --timeout 500ms --retry 3 --json")
    else {
        panic!("it parses");
    };
    assert_eq!(
        (call.operation.as_str(), call.payload),
        ("upper", Some("-".into()))
    );
    assert_eq!(call.timeout, Some(Span(Duration::from_millis(500))));
    assert_eq!((call.retry, call.json, call.stream), (3, true, false));
    assert_eq!(refused("call upper --stream --json"), ErrorKind::ArgumentConflict);
}

#[test]
fn handle_keeps_the_programs_own_options() {
    let Ok(Command::Hub(HubCommand::Handle(handle))) =
        parse("handle upper --jobs 3 --single -- tr -d --jobs x")
    else {
        panic!("it parses");
    };
    assert_eq!(handle.command, ["tr", "-d", "--jobs", "x"]);
    assert_eq!(handle.jobs().get(), 3);
    assert!(handle.single && !handle.stream);
    assert_eq!((handle.safe, handle.result_type), (false, None));
    let Ok(Command::Hub(HubCommand::Handle(handle))) =
        parse("handle logo --safe --result-type image/png -- cat --safe")
    else {
        panic!("it parses");
    };
    assert_eq!(handle.command, ["cat", "--safe"]);
    assert_eq!(
        (handle.safe, handle.result_type.as_deref()),
        (true, Some("image/png"))
    );
    assert_eq!(refused("handle upper"), ErrorKind::MissingRequiredArgument);
    assert_eq!(refused("handle upper tr a b"), ErrorKind::UnknownArgument);
    assert_eq!(refused("handle upper --jobs 0 -- tr"), ErrorKind::ValueValidation);
    assert_eq!(
        refused("handle upper --stream --single -- tr"),
        ErrorKind::ArgumentConflict
    );
}

#[test]
fn subscribe_and_publish_take_their_options() {
    let Ok(Command::Hub(HubCommand::Subscribe(subscribe))) =
        parse("subscribe a/# b --count 2 --policy drop-oldest")
    else {
        panic!("it parses");
    };
    assert_eq!(subscribe.filters, ["a/#", "b"]);
    assert_eq!(
        (subscribe.count.map(u64::from), subscribe.policy),
        (Some(2), Policy::DropOldest)
    );
    assert_eq!(subscribe.policy.as_str(), "drop-oldest");
    assert_eq!(refused("subscribe"), ErrorKind::MissingRequiredArgument);
    assert_eq!(refused("subscribe a --policy none"), ErrorKind::InvalidValue);

    let Ok(Command::Hub(HubCommand::Publish(publish))) = parse("publish a on --retain --expires 10s") else {
        panic!("it parses");
    };
    assert_eq!(
        (publish.retain, publish.expires),
        (true, Some(Span::from_secs(10)))
    );
}

#[test]
fn bench_runs_for_a_time_or_a_count() {
    let goal = |line: &str| match parse(line) {
        Ok(Command::Hub(HubCommand::Bench(bench))) => match bench.command {
            BenchCommand::Call { load, .. }
            | BenchCommand::Publish { load, .. }
            | BenchCommand::Stream { load, .. } => load.goal(),
        },
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(goal("bench call"), Goal::Time(Duration::from_secs(5)));
    assert_eq!(
        goal("bench stream --duration 1m"),
        Goal::Time(Duration::from_secs(60))
    );
    assert_eq!(goal("bench publish topic --count 9 --size 1KiB"), Goal::Count(9));
    assert_eq!(
        refused("bench call --count 9 --duration 1s"),
        ErrorKind::ArgumentConflict
    );
    assert_eq!(refused("bench call --size 16"), ErrorKind::ValueValidation);
}

#[test]
fn the_hub_may_be_named_before_and_after_the_command() {
    for line in ["--hub tcp://x:1 config default", "config default --hub tcp://x:1"] {
        let words = std::iter::once("switchboard").chain(line.split_whitespace());
        let cli = Cli::try_parse_from(words).expect(line);
        assert_eq!(cli.global.hub.as_deref(), Some("tcp://x:1"));
    }
}
