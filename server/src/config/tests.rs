use std::{fs, num::NonZeroUsize, path::Path, time::Duration};

use switchboard_net::{Address, Certificate, ClientCertificates, ProxyProtocol, privilege::Privileges};

use super::{
    DEFAULT_FILE, Loaded, Origin, Setting, Sources,
    address::{GOTALK, ListenError},
    load, locate,
    raw::RawConfig,
    schema,
};

mod engine;
mod http;

fn listen(text: &str, data: &Path) -> Result<Address, ListenError> {
    super::address::listen(text, Some(data), &GOTALK)
}

/// Loads a file with this text; problems come back as lines, the file's name cut to `FILE`.
fn load_text(text: &str) -> Result<Loaded, Vec<String>> {
    load_all(text, &[], Vec::new())
}

fn load_all(text: &str, environment: &[(&str, &str)], flags: Vec<Setting>) -> Result<Loaded, Vec<String>> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("switchboard.toml");
    fs::write(&file, text).expect("a file");
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
    let shown = file.display().to_string();
    load(&Sources {
        file: Some(file),
        environment,
        flags,
    })
    .map_err(|problems| {
        problems
            .to_string()
            .lines()
            .map(|line| line.replace(&shown, "FILE"))
            .collect()
    })
}

fn problems(text: &str) -> Vec<String> {
    load_text(text).expect_err("a problem")
}

fn only_problem(text: &str) -> String {
    let problems = problems(text);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems.into_iter().next().unwrap_or_default()
}

#[test]
fn no_source_at_all_is_a_good_configuration() {
    let loaded = load(&Sources::default()).expect("defaults hold together");
    assert_eq!(loaded.raw, RawConfig::default());
    let listen: Vec<_> = loaded
        .config
        .gotalk
        .listen
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(listen, ["tcp://127.0.0.1:4700", "unix://./data/switchboard.sock"]);
    assert_eq!(loaded.config.server.grace, Duration::from_secs(10));
    assert_eq!(loaded.config.gotalk.payload_max, 16 << 20);
    assert_eq!(loaded.config.gotalk.unix.mode, 0o600);
    assert!(loaded.config.tls.is_none());
}

#[test]
fn the_default_file_says_the_built_in_defaults() {
    let loaded = load_text(DEFAULT_FILE).expect("it loads");
    assert_eq!(loaded.raw, RawConfig::default());
}

#[test]
fn the_default_file_mentions_every_key_in_its_section_and_once() {
    let mut section = "";
    let mut mentioned = Vec::new();
    for line in DEFAULT_FILE.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        } else if let Some((key, _)) = line.trim_start_matches("# ").split_once(" = ")
            && !key.contains(' ')
        {
            mentioned.push((section, key));
        }
    }
    let mut known = Vec::new();
    for (section, keys) in schema::sections() {
        known.extend(keys.iter().map(|key| (section, *key)));
    }
    mentioned.sort_unstable();
    known.sort_unstable();
    assert_eq!(mentioned, known);
}

#[test]
fn the_commented_examples_of_the_default_file_load_too() {
    let uncommented: String = DEFAULT_FILE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.contains(" = ") => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let uncommented = uncommented
        .replace(
            "client_certificates = \"off\"",
            "client_certificates = \"optional\"",
        )
        .replacen("listen = [", "listen = [\"tls://[::1]:4743\", ", 1);
    let config = load_text(&uncommented).expect("the examples are good").config;
    let whom = config
        .server
        .privileges
        .map(|whom| (whom.user, whom.group, whom.chroot));
    let named = || "switchboard".to_owned();
    assert_eq!(
        whom,
        Some((named(), Some(named()), Some("/var/lib/switchboard".into())))
    );
    assert!(matches!(
        config.tls.map(|tls| tls.clients),
        Some(ClientCertificates::Optional { .. })
    ));
}

#[test]
fn the_schema_lists_every_section() {
    let sections = schema::sections();
    assert_eq!(sections.map(|(name, _)| name), schema::fields_of::<RawConfig>());
    assert!(sections.iter().all(|(_, keys)| !keys.is_empty()));
}

#[test]
fn unknown_names_get_their_place_and_a_suggestion() {
    assert_eq!(
        only_problem("[limits]\n  conections = 5\n"),
        "FILE:2:3: limits.conections: unknown key; did you mean `connections`?"
    );
    assert_eq!(
        only_problem("[gotlk]\n"),
        "FILE:1:2: gotlk: unknown section; did you mean `gotalk`?"
    );
    assert_eq!(only_problem("[zzz]\na = 1"), "FILE:1:2: zzz: unknown section");
    assert_eq!(
        only_problem("[hub]\nlevel = 1\n"),
        "FILE:2:1: hub.level: unknown key; it belongs into [log]"
    );
    assert_eq!(only_problem("[hub]\nqqq = 1\n"), "FILE:2:1: hub.qqq: unknown key");
    assert_eq!(
        only_problem("grace = '1s'"),
        "FILE:1:1: grace: stands outside of a section; it belongs into [server]"
    );
    assert_eq!(
        only_problem("[[gotalk]]\n"),
        "FILE:1:3: gotalk: is a section: write [gotalk] on a line of its own, once"
    );
}

#[test]
fn wrong_values_get_their_place_and_a_reason() {
    assert_eq!(
        only_problem("[server]\ngrace = 10"),
        "FILE:2:9: server.grace: `10` has no unit: write it like `10s` or `500ms`"
    );
    assert_eq!(
        only_problem("[log]\nformat = \"xml\""),
        "FILE:2:10: log.format: unknown variant `xml`, expected `text` or `json`"
    );
    assert!(only_problem("[limits]\nconnections = 0").contains("nonzero"));
    assert!(only_problem("[limits]\nconnections = -1").starts_with("FILE:2:15: limits.connections: "));
    assert_eq!(
        only_problem("[gotalk]\nunix_mode = '0890'"),
        "FILE:2:13: gotalk.unix_mode: `0890` is no octal file mode like \"0660\""
    );
    assert!(only_problem("[gotalk]\nunix_mode = '7777'").contains("no octal file mode"));
    assert!(only_problem("[gotalk]\nunix_mode = '+660'").contains("no octal file mode"));
    assert!(only_problem("[gotalk]\nlisten = [1]").contains("expected a string"));
}

#[test]
fn every_problem_is_told_at_once() {
    let problems =
        problems("[server]\ngrace = 1\nx = 1\n[log]\nlevel = 'loud'\n[hub]\ncall_timeout = '0s'\n");
    assert_eq!(problems.len(), 4, "{problems:#?}");
    assert_eq!(
        problems.iter().filter(|line| line.starts_with("FILE:")).count(),
        4
    );
    assert!(
        problems.contains(&"FILE:7:16: hub.call_timeout: must be longer than zero".to_owned()),
        "{problems:#?}"
    );
}

#[test]
fn syntax_errors_have_a_place() {
    let both = problems("[server]\ngrace = = 1\n[log]\nlevel =\n");
    assert!(
        both.iter().any(|line| line.starts_with("FILE:2:9: ")),
        "{both:#?}"
    );
    assert!(both.iter().any(|line| line.starts_with("FILE:4:")), "{both:#?}");
    let problem = only_problem("[server]\ngrace = '1s'\ngrace = '2s'\n");
    assert!(
        problem.starts_with("FILE:3:1: ") && problem.contains("duplicate key"),
        "{problem}"
    );
}

#[test]
fn columns_count_characters() {
    assert!(only_problem("server = { data = 'ä', nope = 1 }").starts_with("FILE:1:24: server.nope"));
}

#[test]
fn an_unreadable_file_is_a_problem() {
    let missing = Sources {
        file: Some("/nonexistent/x.toml".into()),
        ..Sources::default()
    };
    let text = load(&missing).expect_err("no such file").to_string();
    assert_eq!(
        text,
        "/nonexistent/x.toml: cannot read the configuration: No such file or directory (os error 2)"
    );
    let endless = Sources {
        file: Some("/dev/zero".into()),
        ..Sources::default()
    };
    assert!(
        load(&endless)
            .expect_err("endless")
            .to_string()
            .contains("larger than 1 MiB")
    );
}

#[test]
fn flags_win_over_environment_over_file() {
    let file = "[server]\ngrace = '1s'\n[log]\nlevel = 'warn'\n[hub]\ncall_timeout = '3s'\n";
    let environment = [
        ("SWITCHBOARD_SERVER_GRACE", "2s"),
        ("SWITCHBOARD_LOG_LEVEL", "debug"),
    ];
    let flags = vec![Setting::flag("--grace", "server", "grace", "5s")];
    let loaded = load_all(file, &environment, flags).expect("good");
    assert_eq!(loaded.config.server.grace, Duration::from_secs(5));
    assert_eq!(loaded.config.log.level, "debug");
    assert_eq!(loaded.config.hub.call_timeout, Duration::from_secs(3));
    assert_eq!(loaded.config.gotalk.read_timeout, Duration::from_secs(30));
    assert_eq!(
        loaded.origins.get(&("server", "grace")),
        Some(&Origin::Flag("--grace"))
    );
}

#[test]
fn workers_are_half_of_the_processors_unless_something_is_said() {
    let workers = |text: &str| load_text(text).map(|loaded| loaded.config.server.workers.get());
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    assert_eq!(workers("").expect("a default"), (processors / 2).max(1));
    assert_eq!(workers("[server]\nworkers = 7").expect("a count"), 7);
    assert_eq!(workers("[server]\nworkers = 1024").expect("the most"), 1024);
    assert_eq!(
        only_problem("[server]\nworkers = 1025"),
        "FILE:2:11: server.workers: more than 1024 threads are of no use"
    );
    assert!(workers("[server]\nworkers = 0").is_err());
}

#[test]
fn environment_values_are_written_as_in_the_file_or_plain() {
    let environment = [
        ("SWITCHBOARD_LIMITS_CONNECTIONS", "7"),
        ("SWITCHBOARD_LOG_TARGET", "true"),
        ("SWITCHBOARD_SERVER_USER", "1000"),
        ("SWITCHBOARD_SERVER_GROUP", "\"staff\""),
        ("SWITCHBOARD_GOTALK_UNIX_MODE", "0640"),
        (
            "SWITCHBOARD_GOTALK_LISTEN",
            "[\"tcp://[::1]:1\", \"unix:///run/x\"]",
        ),
        ("SWITCHBOARD_TLS_NAMES", "example.org"),
        ("SWITCHBOARD_GOTALK_READ_TIMEOUT", "1m"),
        ("SWITCHBOARD_HUB", "tcp://127.0.0.1:4700"),
        ("SWITCHBOARD_PORT_4700_TCP", "whatever"),
        ("SWITCHBOARD_SERVICE_HOST", "10.0.0.1"),
        ("PATH", "/bin"),
    ];
    let config = load_all("", &environment, Vec::new()).expect("good");
    assert_eq!(config.config.limits.connections_max.get(), 7);
    assert!(config.config.log.target);
    let whom = Privileges {
        user: "1000".into(),
        group: Some("staff".into()),
        chroot: None,
    };
    assert_eq!(config.config.server.privileges, Some(whom));
    assert_eq!(config.config.gotalk.unix.mode, 0o640);
    assert_eq!(config.config.gotalk.listen.len(), 2);
    assert_eq!(config.raw.tls.names.0, ["example.org"]);
    assert_eq!(config.config.gotalk.read_timeout, Duration::from_secs(60));
}

#[test]
fn wrong_environment_is_told_by_name() {
    let environment = [
        ("SWITCHBOARD_LOG_LEVL", "info"),
        ("SWITCHBOARD_SERVER_GRACE", "10"),
    ];
    let problems = load_all("", &environment, Vec::new()).expect_err("two problems");
    assert_eq!(
        problems,
        [
            "environment SWITCHBOARD_LOG_LEVL: log.levl: unknown key; did you mean `level`?",
            "environment SWITCHBOARD_SERVER_GRACE: server.grace: `10` has no unit: write it like `10s` or `500ms`",
        ]
    );
}

#[test]
fn open_addresses_are_refused_with_a_reason_and_a_way_out() {
    for text in [
        "tcp://0.0.0.0:4700",
        "tcp://192.168.1.2:1",
        "tls://[::]:1",
        "tcp://[::ffff:10.0.0.1]:1",
    ] {
        let problem = problems(&format!("[gotalk]\nlisten = ['{text}']")).join("\n");
        assert!(problem.starts_with("FILE:2:10: gotalk.listen: "), "{problem}");
        for part in [text, "guest", "loopback", "ssh -L"] {
            assert!(problem.contains(part), "{part} missing: {problem}");
        }
    }
    let data = Path::new("/d");
    for text in [
        "tcp://127.0.0.1:1",
        "tcp://127.9.9.9:1",
        "tcp://[::1]:1",
        "tcp://localhost:1",
        "tls://localhost:0",
    ] {
        assert!(listen(text, data).is_ok(), "{text}");
    }
    assert!(listen("tcp://[::ffff:127.0.0.1]:1", data).is_ok());
}

#[test]
fn socket_paths_know_the_data_folder() {
    let path = |text| listen(text, Path::new("/d")).map(|address| address.to_string());
    assert_eq!(path("unix://{data}/a.sock"), Ok("unix:///d/a.sock".into()));
    assert_eq!(path("unix:///run/a.sock"), Ok("unix:///run/a.sock".into()));
    assert_eq!(path("unix://a.sock"), Ok("unix://a.sock".into()));
    for bad in [
        "unix:///",
        "unix://{data}",
        "unix://{data}/",
        "unix://{home}/x",
        "unix://{data}/{x}",
    ] {
        assert_eq!(path(bad), Err(ListenError::Path(bad.into())), "{bad}");
    }
}

#[test]
fn addresses_must_be_complete() {
    for bad in [
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:65536",
        "tcp://::1:1",
        "unix://",
        "",
    ] {
        let read = listen(bad, Path::new("/d"));
        assert!(matches!(read, Err(ListenError::Address(_))), "{bad}: {read:?}");
    }
    assert!(listen("127.0.0.1:4700", Path::new("/d")).is_ok());
    assert!(listen("fd://0", Path::new("/d")).is_ok());
    for foreign in [
        "http://127.0.0.1:80",
        "https://127.0.0.1:80",
        "ftp://127.0.0.1:80",
        "://",
    ] {
        let refused = listen(foreign, Path::new("/d")).expect_err(foreign);
        assert!(matches!(refused, ListenError::Scheme { .. }), "{refused}");
    }
    assert!(
        load_text("[gotalk]\nlisten = []").is_ok(),
        "the HTTP door is open"
    );
    let problem = only_problem("[gotalk]\nlisten = []\n[http]\nlisten = []\n[redis]\nlisten = []");
    assert!(
        problem.starts_with("FILE:2:10: gotalk.listen: is empty"),
        "{problem}"
    );
    assert!(only_problem("[gotalk]\nlisten = ['tcp://127.0.0.1:1', '127.0.0.1:1']").contains("twice"));
    assert!(load_text("[gotalk]\nlisten = ['tcp://127.0.0.1:0', 'tcp://127.0.0.1:0']").is_ok());
    assert!(load_text("[gotalk]\nlisten = 'tcp://127.0.0.1:1'").is_ok());
}

#[test]
fn tls_settings_must_go_together() {
    let tls = |keys: &str| format!("[gotalk]\nlisten = ['tls://127.0.0.1:0']\n[tls]\n{keys}");
    let config = load_text(&tls("certificate = 'a'\nkey = 'b'"))
        .expect("good")
        .config;
    let tls_of = config.tls.expect("TLS settings");
    assert_eq!(
        tls_of.certificate,
        Certificate::Files {
            chain: "a".into(),
            key: "b".into()
        }
    );
    assert_eq!(tls_of.clients, ClientCertificates::Off);
    let config = load_text(&tls("self_signed = true\nnames = 'hub.local'"))
        .expect("good")
        .config;
    let kept = Certificate::SelfSigned {
        names: vec!["hub.local".into()],
        directory: Some("./data".into()),
    };
    assert_eq!(config.tls.map(|tls| tls.certificate), Some(kept));
    assert!(load_text(&tls("self_signed = true")).is_ok());
    assert!(
        load_text(&tls(
            "self_signed = true\nclient_certificates = 'required'\nclient_ca = 'c'"
        ))
        .is_ok()
    );

    assert!(only_problem(&tls("")).contains("needs `certificate` and `key`"));
    assert!(only_problem(&tls("certificate = 'a'")).contains("needs its key"));
    assert!(only_problem(&tls("key = 'a'")).contains("needs its certificate"));
    assert!(only_problem(&tls("self_signed = true\ncertificate = 'a'\nkey = 'b'")).contains("choose one"));
    assert!(only_problem(&tls("self_signed = true\nclient_ca = 'c'")).contains("has no effect"));
    let problem = only_problem(&tls("self_signed = true\nclient_certificates = 'required'"));
    assert!(problem.contains("needs client_ca"), "{problem}");
    assert!(only_problem("[tls]\nself_signed = true").contains("no door that shows it"));
}

#[test]
fn gotalk_settings_must_go_together() {
    let problem = |keys: &str| only_problem(&format!("[gotalk]\n{keys}"));
    assert!(problem("heartbeat_interval = '30s'").contains("must be shorter than read_timeout"));
    assert!(problem("payload_max = '65MiB'").contains("at least one payload"));
    assert!(problem("payload_max = '4GiB'\nbuffered_max = '5GiB'").contains("more than a gotalk message"));
    assert!(problem("stream_buffer = '65MiB'").contains("larger than buffered_max"));
    assert!(problem("stream_buffer = '0B'").contains("larger than zero"));
    assert!(problem("proxy_protocol = true").contains("name the proxies"));
    assert!(problem("proxy_trusted = ['10.0.0.0/33']").contains("is no network"));
    assert!(only_problem("[limits]\nread_bytes_per_second = '0B'").contains("unlimited"));
    assert!(only_problem("[server]\nuser = ''").contains("leave the key out"));
    assert!(only_problem("[server]\ngroup = 'x'").contains("needs `user` too"));
    assert!(only_problem("[server]\nchroot = '/x'").contains("needs `user` too"));
    let config = load_text("[gotalk]\nproxy_protocol = true\nproxy_trusted = ['::1', '10.0.0.0/8']")
        .expect("good")
        .config;
    let trusted = vec![
        "::1/128".parse().expect("a network"),
        "10.0.0.0/8".parse().expect("a network"),
    ];
    assert_eq!(config.gotalk.proxy, ProxyProtocol::Required { trusted });
}

#[test]
fn what_is_shown_can_be_read_again() {
    let environment = [("SWITCHBOARD_HUB_CALL_TIMEOUT", "90s")];
    let loaded = load_all(
        "[limits]\nconnections_per_address = 3\n",
        &environment,
        Vec::new(),
    )
    .expect("good");
    let shown = loaded.to_toml();
    assert!(
        shown.contains("call_timeout = \"90s\"  # environment SWITCHBOARD_HUB_CALL_TIMEOUT\n"),
        "{shown}"
    );
    assert!(shown.contains("connections_per_address = 3  # "), "{shown}");
    assert!(shown.contains("\nstream_buffer = \"256KiB\"\n"), "{shown}");
    assert!(shown.contains("# user is not set\n"), "{shown}");
    assert_eq!(load_text(&shown).expect("it loads").raw, loaded.raw);
}

#[test]
fn the_file_is_found_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path().join("switchboard.toml");
    assert_ne!(locate(None, folder.path()), Some(here.clone()));
    fs::write(&here, "").expect("a file");
    assert_eq!(locate(None, folder.path()), Some(here.clone()));
    assert_eq!(locate(Some("".into()), folder.path()), Some(here));
    assert_eq!(
        locate(Some("other.toml".into()), folder.path()),
        Some("other.toml".into())
    );
}
