//! Handling: sharing, bounds, ends.

use std::time::{Duration, Instant};

use super::support::*;

/// Tells that it runs and waits at the gate; then says its name.
fn waiting(name: &str) -> String {
    format!("echo {name} > started; read line < gate; echo {name}")
}

/// The pipes of `waiting` programs.
fn pipes(daemon: &Daemon) -> (Fifo, Fifo) {
    (
        Fifo::new(daemon.folder(), "started"),
        Fifo::new(daemon.folder(), "gate"),
    )
}

#[tokio::test]
async fn two_handlers_share_calls_and_a_killed_one_costs_a_retry() {
    let daemon = Daemon::start().await;
    let (started, gate) = pipes(&daemon);
    let mut started = started.lines();
    let one = daemon
        .handle(&["work", "--jobs", "1", "--", "sh", "-c", &waiting("one")])
        .await;
    let two = daemon
        .handle(&["work", "--jobs", "1", "--", "sh", "-c", &waiting("two")])
        .await;

    let calls = [
        daemon.spawn(&["call", "work", "x"]),
        daemon.spawn(&["call", "work", "x"]),
    ];
    let mut names = Vec::new();
    for _ in 0..2 {
        names.push(
            within("a start", started.next_line())
                .await
                .expect("text")
                .expect("a name"),
        );
    }
    names.sort();
    assert_eq!(names, ["one", "two"], "each has one of the calls");

    one.send(Signal::SIGKILL);
    let killed = Instant::now();
    let [first, second] = calls;
    // The caller of the one that was killed ends; then the other's is let through.
    let (first, second) = (first.end(), second.end());
    tokio::pin!(first, second);
    let lost = tokio::select! { ran = &mut first => (ran, true), ran = &mut second => (ran, false) };
    lost.0.fails(75, &["the connection to the responder is lost"]);
    assert!(
        killed.elapsed() < Duration::from_secs(20),
        "it takes {:?}",
        killed.elapsed()
    );
    // The orphan of the killed handler reads a line as well.
    let _open = gate.open_gate(2);
    let kept = if lost.1 { second.await } else { first.await };
    kept.is(0, "two\n");
    drop(two);
}

#[tokio::test]
async fn above_its_jobs_a_handler_says_retry() {
    let daemon = Daemon::start().await;
    let (started, gate) = pipes(&daemon);
    let mut started = started.lines();
    let _work = daemon
        .handle(&["work", "--jobs", "1", "--", "sh", "-c", &waiting("it")])
        .await;
    let first = daemon.spawn(&["call", "work", "x"]);
    within("the start", started.next_line()).await.expect("text");

    let refused = daemon.run(&["call", "work", "x"]).await;
    refused.fails(75, &["all jobs of this handler are taken (try again in 500 ms)"]);
    let patient = daemon.spawn(&["call", "--retry", "20", "work", "x"]);
    let _open = gate.open_gate(2);
    first.end().await.is(0, "it\n");
    patient.end().await.is(0, "it\n");
}

#[tokio::test]
async fn a_handler_asked_to_stop_finishes_what_runs() {
    let daemon = Daemon::start().await;
    let (started, gate) = pipes(&daemon);
    let mut started = started.lines();
    let mut work = daemon.handle(&["work", "--", "sh", "-c", &waiting("it")]).await;
    let call = daemon.spawn(&["call", "work", "x"]);
    within("the start", started.next_line()).await.expect("text");

    work.send(Signal::SIGTERM);
    work.says("finishing what runs").await;
    let _open = gate.open_gate(1);
    call.end().await.is(0, "it\n");
    work.end().await.is(0, "");
    daemon
        .run(&["call", "work", "x"])
        .await
        .fails(1, &["unknown operation"]);
}

#[tokio::test]
async fn a_second_signal_kills_what_runs() {
    let daemon = Daemon::start().await;
    let alive = Fifo::new(daemon.folder(), "alive");
    let gone = alive.until_all_are_gone();
    let script = "exec 3> alive; sleep 120 & echo go; wait";
    let mut work = daemon.handle(&["work", "--", "sh", "-c", script]).await;
    let mut call = daemon.spawn(&["call", "--stream", "work", "x"]);
    assert_eq!(call.line().await, "go");

    work.send(Signal::SIGTERM);
    work.says("finishing what runs").await;
    work.send(Signal::SIGTERM);
    assert_eq!(work.end().await.status, 143);
    within("the end of the program and its child", gone)
        .await
        .expect("read");
    assert_eq!(call.end().await.status, 75);
}

#[tokio::test]
async fn its_own_time_limit_kills_the_program() {
    let daemon = Daemon::start().await;
    let alive = Fifo::new(daemon.folder(), "alive");
    let gone = alive.until_all_are_gone();
    let script = "exec 3> alive; sleep 120 & wait";
    let _hang = daemon
        .handle(&["hang", "--timeout", "300ms", "--", "sh", "-c", script])
        .await;
    daemon
        .run(&["call", "hang", "x"])
        .await
        .fails(75, &["did not end in time"]);
    within("the end of the program and its child", gone)
        .await
        .expect("read");
}

#[tokio::test]
async fn single_and_stream_can_be_forced() {
    let daemon = Daemon::start().await;
    let _single = daemon.handle(&["single", "--single", "--", "cat"]).await;
    let _stream = daemon.handle(&["stream", "--stream", "--", "cat"]).await;
    for operation in ["single", "stream"] {
        daemon.run(&["call", operation, "x"]).await.is(0, "x");
        daemon.run(&["call", "--stream", operation, "x"]).await.is(0, "x");
    }
}

#[tokio::test]
async fn a_handler_and_a_subscriber_survive_a_restart_of_the_daemon() {
    let address = "unix://{data}/s";
    let daemon = Daemon::start_in(folder(), &["--listen", address], &[]).await;
    let mut upper = daemon.handle(&["upper", "--", "tr", "a-z", "A-Z"]).await;
    let mut subscriber = daemon.subscribe(&["news/#"]).await;
    daemon.run(&["call", "upper", "before"]).await.is(0, "BEFORE");

    let (folder, _) = daemon.stop().await;
    upper.says("reconnecting").await;
    subscriber.says("reconnecting").await;
    let daemon = Daemon::start_in(folder, &["--listen", address], &[]).await;
    upper.says("connected again").await;
    subscriber.says("connected again").await;
    daemon.run(&["call", "upper", "after"]).await.is(0, "AFTER");
    daemon.run(&["publish", "news/today", "good"]).await.is(0, "");
    assert_eq!(subscriber.line().await, "news/today\tgood");
}

#[tokio::test]
async fn without_a_hub_a_handler_says_so() {
    let folder = folder();
    let mut command = switchboard(folder.path(), ["handle", "upper", "--", "tr", "a-z", "A-Z"]);
    command.env("SWITCHBOARD_HUB", "unix://nobody");
    run_with(command, b"")
        .await
        .fails(69, &["unix://nobody", "is `switchboard serve` running?"]);
}

#[tokio::test]
async fn the_hubs_own_names_cannot_be_served() {
    let daemon = Daemon::start().await;
    daemon
        .run(&["handle", "hub.ops", "--", "cat"])
        .await
        .fails(1, &["hub."]);
}
