//! The load generator, with small loads.

use serde_json::Value;

use super::support::*;

async fn bench(daemon: &Daemon, arguments: &[&str]) -> Value {
    let ran = daemon.run(&[&["bench"], arguments, &["--json"]].concat()).await;
    assert_eq!(ran.status, 0, "{ran:?}");
    serde_json::from_str(ran.text()).expect("JSON")
}

#[tokio::test]
async fn each_kind_counts_what_it_was_asked_for() {
    let daemon = Daemon::start().await;
    for kind in ["call", "publish", "stream"] {
        let load = [
            "--count",
            "300",
            "--connections",
            "2",
            "--in-flight",
            "3",
            "--size",
            "100B",
        ];
        let report = bench(&daemon, &[&[kind], &load[..]].concat()).await;
        assert_eq!(
            (
                &report["bench"],
                &report["successes"],
                &report["errors"],
                &report["retries"]
            ),
            (&kind.into(), &300.into(), &0.into(), &0.into()),
            "{report}"
        );
        assert!(
            report["latency_us"]["p50"].as_f64().expect("a number") > 0.0,
            "{report}"
        );
    }
}

#[tokio::test]
async fn each_kind_runs_for_a_time() {
    let daemon = Daemon::start().await;
    for kind in ["call", "publish", "stream"] {
        let report = bench(&daemon, &[kind, "--duration", "200ms"]).await;
        assert!(report["successes"].as_u64().expect("a count") > 0, "{report}");
        assert!(report["elapsed_s"].as_f64().expect("seconds") >= 0.2, "{report}");
    }
}

#[tokio::test]
async fn what_others_serve_can_be_measured() {
    let daemon = Daemon::start().await;
    let _cat = daemon.handle(&["cat", "--jobs", "50", "--", "cat"]).await;
    assert_eq!(
        bench(&daemon, &["call", "cat", "--count", "20"]).await["successes"],
        20
    );
    assert_eq!(
        bench(&daemon, &["stream", "cat", "--count", "20"]).await["successes"],
        20
    );
    let subscriber = daemon.subscribe(&["load", "--count", "5"]).await;
    assert_eq!(
        bench(&daemon, &["publish", "load", "--count", "5"]).await["successes"],
        5
    );
    assert_eq!(subscriber.end().await.text().lines().count(), 5);
}

#[tokio::test]
async fn what_cannot_be_measured_is_told() {
    let daemon = Daemon::start().await;
    daemon
        .run(&["bench", "call", "nobody"])
        .await
        .fails(1, &["unknown operation \"nobody\""]);
    daemon
        .run(&["bench", "call", "--size", "17MiB"])
        .await
        .fails(64, &["16 MiB"]);
    daemon
        .run(&["bench", "stream", "--size", "0B"])
        .await
        .fails(64, &["at least one byte"]);
}

#[tokio::test]
async fn for_people_it_is_a_table() {
    let daemon = Daemon::start().await;
    let ran = daemon.run(&["bench", "call", "--count", "50"]).await;
    for words in [
        "call: connections 1, in flight 16, payload 16 B",
        "successes           50",
        "p99.9",
        "distribution",
    ] {
        assert!(ran.text().contains(words), "{words}: {}", ran.text());
    }
    assert_eq!(ran.stderr, "");
}

#[tokio::test]
async fn on_a_terminal_a_bar_shows_how_far_it_is() {
    let daemon = Daemon::start().await;
    let terminal = Terminal::open();
    let mut command = daemon.command(&["bench", "call", "--duration", "500ms"]);
    command.stderr(terminal.end()).env("TERM", "xterm");
    let shown = terminal.shown_by(command).await;
    assert!(shown.contains('█') && shown.contains(" %"), "{shown:?}");
}
