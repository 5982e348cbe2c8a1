//! Calling: results, statuses, streams.

use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::*;

#[tokio::test]
async fn a_program_becomes_an_operation() {
    let daemon = Daemon::start().await;
    let _upper = daemon.handle(&["upper", "--", "tr", "a-z", "A-Z"]).await;
    daemon.run(&["call", "upper", "hello"]).await.is(0, "HELLO");
    run_with(daemon.command(&["call", "upper"]), b"from stdin\n")
        .await
        .is(0, "FROM STDIN\n");
    run_with(daemon.command(&["call", "upper", "-"]), b"so")
        .await
        .is(0, "SO");
    daemon
        .run(&["call", "--stream", "upper", "streamed"])
        .await
        .is(0, "STREAMED");
}

#[tokio::test]
async fn every_fault_has_its_status_and_says_what_to_do() {
    let daemon = Daemon::start().await;
    let script = "case $(cat) in again) echo later >&2; exit 75;; mute) exit 3;; *) echo 'no such thing' >&2; exit 1;; esac";
    let _moody = daemon.handle(&["moody", "--", "sh", "-c", script]).await;
    let call = async |arguments: &[&str]| daemon.run(&[&["call"], arguments].concat()).await;

    call(&["moody", "x"])
        .await
        .fails(1, &["switchboard: no such thing\n"]);
    call(&["--stream", "moody", "x"])
        .await
        .fails(1, &["switchboard: no such thing\n"]);
    call(&["moody", "mute"]).await.fails(1, &["exit status 3"]);
    call(&["moody", "again"])
        .await
        .fails(75, &["switchboard: later (try again in 1000 ms)"]);
    call(&["--stream", "moody", "again"]).await.fails(75, &["later"]);
    call(&["nobody", "x"])
        .await
        .fails(1, &["switchboard: unknown operation \"nobody\"\n"]);
    call(&["", "x"]).await.fails(1, &["operation"]);
    call(&["--json", "moody", "{"]).await.fails(64, &["is no JSON"]);
    call(&["--hub", "nonsense", "moody"])
        .await
        .fails(64, &["tcp://HOST:PORT"]);
    let nowhere = format!("unix://{}/nobody", daemon.folder().display());
    call(&["--hub", &nowhere, "moody"])
        .await
        .fails(69, &[&nowhere, "is `switchboard serve` running?"]);
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_an_error() {
    let daemon = Daemon::start().await;
    let _none = daemon.handle(&["none", "--", "/no/such/program"]).await;
    daemon
        .run(&["call", "none", "x"])
        .await
        .fails(1, &["cannot start `/no/such/program`"]);
}

#[tokio::test]
async fn results_are_printed_byte_for_byte() {
    let daemon = Daemon::start().await;
    let _cat = daemon.handle(&["grüße/日本", "--", "cat"]).await;
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for arguments in [&["call", "grüße/日本"][..], &["call", "--stream", "grüße/日本"]] {
        let ran = run_with(daemon.command(arguments), &bytes).await;
        assert_eq!((ran.status, ran.stdout == bytes), (0, true), "{}", ran.stderr);
    }
    daemon.run(&["call", "grüße/日本", ""]).await.is(0, "");
}

#[tokio::test]
async fn json_is_laid_out_and_keeps_its_digits() {
    let daemon = Daemon::start().await;
    let _cat = daemon.handle(&["cat", "--", "cat"]).await;
    let call = daemon.run(&[
        "call",
        "--json",
        "cat",
        r#"{"b":[12345678901234567890.5],"a":{}}"#,
    ]);
    call.await.is(
        0,
        "{\n  \"b\": [\n    12345678901234567890.5\n  ],\n  \"a\": {}\n}\n",
    );
    let whoami = daemon.run(&["call", "--json", "hub.whoami", "{}"]).await;
    assert!(whoami.text().contains("\"account\": \"guest\""), "{whoami:?}");
}

#[tokio::test]
async fn a_program_learns_who_calls() {
    let daemon = Daemon::start().await;
    let script = "echo $SWITCHBOARD_OPERATION $SWITCHBOARD_ACCOUNT $SWITCHBOARD_DOOR; test $SWITCHBOARD_DEADLINE_MS -le 60000";
    let _who = daemon.handle(&["who", "--", "sh", "-c", script]).await;
    daemon.run(&["call", "who", ""]).await.is(0, "who guest gotalk\n");
}

#[tokio::test]
async fn ten_megabytes_stream_through_a_program() {
    let daemon = Daemon::start().await;
    let _cat = daemon.handle(&["cat", "--", "cat"]).await;
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let bytes: Vec<u8> = std::iter::repeat_with(&mut next).take(10_000_000).collect();
    let ran = run_with(daemon.command(&["call", "--stream", "cat"]), &bytes).await;
    assert_eq!(
        (ran.status, ran.stdout.len(), ran.stdout == bytes),
        (0, bytes.len(), true),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn a_stream_flows_before_it_has_ended() {
    let daemon = Daemon::start().await;
    let _cat = daemon.handle(&["cat", "--", "cat"]).await;
    let mut call = daemon.spawn(&["call", "--stream", "cat"]);
    let mut stdin = call.stdin.take().expect("a pipe");
    for line in ["one", "two"] {
        stdin
            .write_all(format!("{line}\n").as_bytes())
            .await
            .expect("it reads");
        assert_eq!(call.line().await, line);
    }
    drop(stdin);
    call.end().await.is(0, "");
}

#[tokio::test]
async fn a_streamed_result_is_printed_as_it_comes_without_being_asked_for() {
    let daemon = Daemon::start().await;
    let gate = Fifo::new(daemon.folder(), "gate");
    let _slow = daemon
        .handle(&[
            "slow",
            "--stream",
            "--",
            "sh",
            "-c",
            "echo first; read line < gate; echo second",
        ])
        .await;
    let mut call = daemon.spawn(&["call", "slow", "x"]);
    assert_eq!(call.line().await, "first");
    let _open = gate.open_gate(1);
    call.end().await.is(0, "second\n");
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_given_up_and_its_program_killed() {
    let daemon = Daemon::start().await;
    let alive = Fifo::new(daemon.folder(), "alive");
    let gone = alive.until_all_are_gone();
    let _hang = daemon
        .handle(&["hang", "--", "sh", "-c", "exec 3> alive; sleep 120 & sleep 120"])
        .await;
    let ran = daemon.run(&["call", "--timeout", "500ms", "hang", "x"]).await;
    assert_eq!(ran.status, 75, "{ran:?}");
    within("the end of the program and its child", gone)
        .await
        .expect("read");
}

#[tokio::test]
async fn ctrl_c_in_the_middle_of_a_stream_kills_the_program_and_its_children() {
    let daemon = Daemon::start().await;
    let alive = Fifo::new(daemon.folder(), "alive");
    let gone = alive.until_all_are_gone();
    let _follow = daemon
        .handle(&[
            "follow",
            "--",
            "sh",
            "-c",
            "exec 3> alive; sleep 120 & echo go; wait",
        ])
        .await;
    // Its stdin stays open: a read that blocks must not hold up the end.
    let mut call = daemon.spawn(&["call", "--stream", "follow"]);
    assert_eq!(call.line().await, "go");
    call.send(Signal::SIGINT);
    let stdin = call.stdin.take();
    let ran = call.end().await;
    drop(stdin);
    assert_eq!((ran.status, ran.stderr.as_str()), (130, ""));
    within("the end of the program and its child", gone)
        .await
        .expect("read");
}

#[tokio::test]
async fn payloads_that_are_too_large_are_told_clearly() {
    let daemon = Daemon::start_in(
        folder(),
        &["--listen", "tcp://127.0.0.1:0"],
        &[("SWITCHBOARD_GOTALK_PAYLOAD_MAX", "1MiB")],
    )
    .await;
    let _size = daemon.handle(&["size", "--", "wc", "-c"]).await;
    let call = async |arguments: &[&str], bytes: usize| {
        run_with(
            daemon.command(&[&["call"], arguments].concat()),
            &vec![b'x'; bytes],
        )
        .await
    };
    // Larger than any hub takes by default, larger than this one takes, and in parts.
    call(&["size"], (16 << 20) + 1)
        .await
        .fails(1, &["larger than 16777216 bytes", "--stream"]);
    call(&["size"], 2 << 20)
        .await
        .fails(1, &["gotalk.payload_max", "--stream"]);
    call(&["--stream", "size"], 2 << 20).await.is(0, "2097152\n");
    call(&["size"], 1 << 19).await.is(0, "524288\n");
}

#[tokio::test]
async fn a_payload_that_cannot_be_read_is_an_error() {
    let daemon = Daemon::start().await;
    let _cat = daemon.handle(&["cat", "--", "cat"]).await;
    for arguments in [
        &["call", "cat"][..],
        &["call", "--stream", "cat"],
        &["publish", "topic"],
    ] {
        let directory = std::fs::File::open(daemon.folder()).expect("a folder");
        let mut command = daemon.command(arguments);
        let ran = Process::start({
            command.stdin(Stdio::from(directory));
            command
        });
        ran.end().await.fails(1, &["cannot read the", "directory"]);
    }
}

#[tokio::test]
async fn a_reader_who_leaves_ends_a_call_quietly() {
    let daemon = Daemon::start().await;
    let _yes = daemon.handle(&["yes", "--", "yes"]).await;
    let mut child = daemon
        .command(&["call", "--stream", "yes", "x"])
        .spawn()
        .expect("it starts");
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut some = [0; 4];
    stdout.read_exact(&mut some).await.expect("output");
    drop(stdout);
    let output = within("the end", child.wait_with_output())
        .await
        .expect("it ends");
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[tokio::test]
async fn on_a_terminal_the_prompt_gets_a_line_of_its_own() {
    let daemon = Daemon::start().await;
    let _cat = daemon.handle(&["cat", "--", "cat"]).await;
    for (arguments, printed) in [
        (&["call", "cat", "hello"][..], "hello\r\n"),
        (&["call", "cat", "hello\n"], "hello\r\n"),
        (&["call", "--stream", "cat", "hello"], "hello\r\n"),
        (&["call", "cat", ""], ""),
    ] {
        let terminal = Terminal::open();
        let mut command = daemon.command(arguments);
        command.stdout(terminal.end());
        assert_eq!(terminal.shown_by(command).await, printed, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_patient_call_survives_a_restart_of_the_daemon() {
    let address = "unix://{data}/s";
    let daemon = Daemon::start_in(folder(), &["--listen", address], &[]).await;
    let started = Fifo::new(daemon.folder(), "started");
    let gate = Fifo::new(daemon.folder(), "gate");
    let mut started = started.lines();
    let script = "echo it > started; read line < gate; echo done";
    let mut work = daemon.handle(&["work", "--", "sh", "-c", script]).await;
    let mut call = daemon.spawn(&["call", "--retry", "50", "work", "x"]);
    within("the start", started.next_line()).await.expect("text");
    daemon.process.send(Signal::SIGKILL);
    let Daemon {
        process,
        doors: _,
        folder,
    } = daemon;
    process.end().await;
    call.says("reconnecting").await;
    // So that the operation is there before it is called again.
    call.send(Signal::SIGSTOP);
    let _daemon = Daemon::start_in(folder, &["--listen", address], &[]).await;
    work.says("connected again").await;
    call.send(Signal::SIGCONT);
    let _open = gate.open_gate(2);
    call.end().await.is(0, "done\n");
}

#[tokio::test]
async fn a_patient_call_gives_a_hub_up_that_does_not_come_back() {
    let daemon = Daemon::start().await;
    let started = Fifo::new(daemon.folder(), "started");
    let mut started = started.lines();
    let _work = daemon
        .handle(&["work", "--", "sh", "-c", "echo it > started; sleep 120"])
        .await;
    let call = daemon.spawn(&["call", "--retry", "1", "work", "x"]);
    within("the start", started.next_line()).await.expect("text");
    daemon.process.send(Signal::SIGKILL);
    assert_eq!(call.end().await.status, 69);
}
