use super::{load_text, only_problem, problems};
use crate::config::engine::{Embedded, Engine, Nats};
use switchboard_engine::Durability;

fn engine(text: &str) -> Engine {
    load_text(text).expect("good").config.engine
}

#[test]
fn state_is_kept_in_the_data_folder_unless_there_is_none() {
    assert_eq!(
        engine("[server]\ndata = '/d'\n[engine]\ndurability = 'always'\nmemory = '1MiB'"),
        Engine::Embedded(Embedded {
            folder: "/d/engine".into(),
            durability: Durability::Always,
            memory: 1 << 20,
        })
    );
    let loaded = load_text("[server]\ndata = ':memory:'").expect("good").config;
    assert_eq!((loaded.engine, loaded.server.data), (Engine::Memory, None));
    let listen: Vec<_> = loaded.gotalk.listen.iter().map(ToString::to_string).collect();
    assert_eq!(
        listen,
        ["tcp://127.0.0.1:4700"],
        "there is no folder for a socket"
    );
}

#[test]
fn without_a_folder_nothing_can_be_in_it() {
    let socket = "[server]\ndata = ':memory:'\n[gotalk]\nlisten = ['unix://{data}/x.sock']";
    assert!(
        problems(socket)[0].contains("name another path"),
        "{:?}",
        problems(socket)
    );
    let log = "[server]\ndata = ':memory:'\n[http]\naccess_log = '{data}/x.log'";
    assert!(only_problem(log).contains("is no path"));
}

#[test]
fn a_cluster_is_its_servers() {
    let text = "[engine]\nengine = 'nats://a:1, tls://user:word@b'\n[nats]\nreplicas = 3\ncredentials = '/c'\n\
                prefix = 'x-1'";
    let expected = Nats {
        servers: vec!["nats://a:1".to_owned(), "tls://user:word@b".to_owned()],
        credentials: Some("/c".into()),
        ca: None,
        certificate: None,
        key: None,
        replicas: 3,
        prefix: "x-1".to_owned(),
    };
    let loaded = load_text(text).expect("good");
    let shown = loaded.to_toml();
    assert!(shown.contains("engine = \"nats://a:1, tls://***@b\""), "{shown}");
    assert!(!shown.contains("word") && !format!("{:?}", loaded.config.engine).contains("word"));
    assert_eq!(loaded.config.engine, Engine::Nats(expected));
}

#[test]
fn what_is_no_engine_is_told() {
    for (text, words) in [
        (
            "[engine]\nengine = 'redis://x'",
            "engine.engine: `redis://x` is no engine",
        ),
        ("[engine]\nengine = 'u:word@x'", "`***@x` is no engine"),
        ("[engine]\nengine = 'nats://'", "is no engine"),
        ("[engine]\nengine = ''", "is no engine"),
        (
            "[engine]\ndurability = 'sometimes'",
            "one of `always`, `second` and `never`",
        ),
        ("[engine]\nmemory = '0B'", "larger than zero"),
        (
            "[engine]\nengine = 'nats://x'\n[nats]\nreplicas = 6",
            "nats.replicas: must be 1 to 5",
        ),
        (
            "[engine]\nengine = 'nats://x'\n[nats]\nprefix = 'a.b'",
            "nats.prefix: must be 1 to 32",
        ),
        (
            "[engine]\nengine = 'nats://x'\n[nats]\nkey = '/k'",
            "nats.key: certificate and key go together",
        ),
    ] {
        let problem = only_problem(text);
        assert!(problem.contains(words) && !problem.contains("word@"), "{problem}");
    }
}
