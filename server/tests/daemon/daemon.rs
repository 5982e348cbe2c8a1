//! The daemon: starting, refusing, ending.

use std::{
    net::TcpListener,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    process::Stdio,
};

use super::support::*;

#[tokio::test]
async fn out_of_the_box_commands_find_the_daemon_of_their_folder() {
    let daemon = Daemon::start_in(folder(), &["--listen", "unix://{data}/switchboard.sock"], &[]).await;
    let data = daemon.folder().join("data");
    let mode = std::fs::metadata(&data)
        .expect("the data folder")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    let socket = data.join("switchboard.sock");
    let file = std::fs::metadata(&socket).expect("the socket");
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o600);

    let ops = run_with(switchboard(daemon.folder(), ["ops"]), b"").await;
    assert!(ops.text().contains("hub.whoami"), "{ops:?}");
    let (_folder, _) = daemon.stop().await;
    assert!(!socket.exists(), "the socket is removed");
}

#[tokio::test]
async fn every_door_is_announced_where_it_is() {
    let listen = [
        "--listen",
        "tcp://127.0.0.1:0",
        "--listen",
        "tcp://[::1]:0",
        "--listen",
        "unix://s",
    ];
    let daemon = Daemon::start_in(folder(), &listen, &[]).await;
    let [four, six, unix] = &daemon.doors[..] else {
        panic!("{:?}", daemon.doors)
    };
    assert!(
        four.starts_with("tcp://127.0.0.1:") && six.starts_with("tcp://[::1]:"),
        "{four} {six}"
    );
    assert_eq!(unix, "unix://s");
    for url in [four, six, unix] {
        let ran = daemon.run(&["--hub", url, "call", "hub.whoami"]).await;
        assert!(ran.text().contains("\"door\":\"gotalk\""), "{ran:?}");
    }
}

#[tokio::test]
async fn the_configuration_file_counts() {
    let folder = folder();
    let text =
        "[gotalk]\nlisten = 'tcp://127.0.0.1:0'\n[hub]\ncall_timeout = '300ms'\n[log]\nformat = 'json'\n";
    std::fs::write(folder.path().join("switchboard.toml"), text).expect("a file");
    let daemon = Daemon::start_in(folder, &[], &[]).await;
    let _hang = daemon.handle(&["hang", "--", "sleep", "1000"]).await;
    assert_eq!(daemon.run(&["call", "hang", "x"]).await.status, 75);
    let (_folder, ran) = daemon.stop().await;
    for line in ran.stderr.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect(line);
    }
}

#[tokio::test]
async fn what_other_machines_could_reach_is_refused() {
    let folder = folder();
    for address in ["tcp://0.0.0.0:0", "tcp://[::]:0"] {
        let ran = run_with(switchboard(folder.path(), ["serve", "--listen", address]), b"").await;
        ran.fails(
            64,
            &["can be reached from other machines", "guest", "127.0.0.1", "SSH"],
        );
        assert_eq!(ran.text(), "");
    }
}

/// The daemon with this socket as `fd://0`.
async fn with_inherited(socket: TcpListener) -> (tempfile::TempDir, Process) {
    let folder = folder();
    let script = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" serve --listen fd://0";
    let mut command = tokio::process::Command::new("sh");
    command
        .args(["-c", script, env!("CARGO_BIN_EXE_switchboard")])
        .current_dir(folder.path())
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(socket)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    (folder, Process::start(command))
}

#[tokio::test]
async fn an_inherited_socket_is_looked_at_before_it_is_used() {
    let open = TcpListener::bind("0.0.0.0:0").expect("a port");
    let (_folder, daemon) = with_inherited(open).await;
    daemon
        .end()
        .await
        .fails(64, &["refusing to listen on 0.0.0.0:", "guest"]);

    let closed = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("tcp://{}", closed.local_addr().expect("its address"));
    let (folder, mut daemon) = with_inherited(closed).await;
    assert_eq!(daemon.line().await, format!("gotalk  {url}"));
    let ran = run_with(switchboard(folder.path(), ["--hub", &url, "ops"]), b"").await;
    assert_eq!(ran.status, 0, "{ran:?}");
}

#[tokio::test]
async fn an_address_in_use_is_told() {
    let daemon = Daemon::start().await;
    let ran = daemon.run(&["serve", "--listen", daemon.url()]).await;
    ran.fails(1, &["switchboard: gotalk: ", "is in use"]);
    assert_eq!(ran.stderr.matches("in use").count(), 1, "{ran:?}");
}

#[tokio::test]
async fn a_stop_lets_calls_end() {
    let daemon = Daemon::start().await;
    let started = Fifo::new(daemon.folder(), "started");
    let gate = Fifo::new(daemon.folder(), "gate");
    let mut started = started.lines();
    let script = "echo it > started; read line < gate; echo done";
    let _work = daemon.handle(&["work", "--", "sh", "-c", script]).await;
    let call = daemon.spawn(&["call", "work", "x"]);
    within("the start", started.next_line()).await.expect("text");

    let Daemon {
        mut process,
        doors: _,
        folder: _folder,
    } = daemon;
    process.send(Signal::SIGTERM);
    process.says("draining").await;
    let _open = gate.open_gate(1);
    call.end().await.is(0, "done\n");
    let ran = process.end().await;
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.contains("everything had ended"), "{ran:?}");
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let daemon = Daemon::start().await;
    let started = Fifo::new(daemon.folder(), "started");
    let mut started = started.lines();
    let script = "echo it > started; sleep 120";
    let _work = daemon.handle(&["work", "--", "sh", "-c", script]).await;
    let call = daemon.spawn(&["call", "work", "x"]);
    within("the start", started.next_line()).await.expect("text");

    let Daemon {
        mut process,
        doors: _,
        folder: _folder,
    } = daemon;
    process.send(Signal::SIGINT);
    process.says("draining").await;
    process.send(Signal::SIGINT);
    let ran = process.end().await;
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.contains("not everything had ended"), "{ran:?}");
    assert_eq!(call.end().await.status, 75);
}

#[tokio::test]
async fn the_end_of_the_grace_ends_what_runs() {
    let daemon = Daemon::start_in(
        folder(),
        &["--listen", "tcp://127.0.0.1:0", "--grace", "200ms"],
        &[],
    )
    .await;
    let started = Fifo::new(daemon.folder(), "started");
    let mut started = started.lines();
    let _work = daemon
        .handle(&["work", "--", "sh", "-c", "echo it > started; sleep 120"])
        .await;
    let call = daemon.spawn(&["call", "work", "x"]);
    within("the start", started.next_line()).await.expect("text");
    let (_folder, _) = daemon.stop().await;
    assert_eq!(call.end().await.status, 75);
}

#[tokio::test]
async fn a_killed_daemon_costs_its_callers_a_retry() {
    let daemon = Daemon::start().await;
    let started = Fifo::new(daemon.folder(), "started");
    let mut started = started.lines();
    let _work = daemon
        .handle(&["work", "--", "sh", "-c", "echo it > started; sleep 120"])
        .await;
    let call = daemon.spawn(&["call", "work", "x"]);
    within("the start", started.next_line()).await.expect("text");
    daemon.process.send(Signal::SIGKILL);
    call.end().await.fails(75, &["lost"]);
}

#[tokio::test]
async fn root_becomes_somebody_else_in_a_folder_of_its_own() {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let folder = folder();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("mine");
    let path = folder.path().to_str().expect("UTF-8").to_owned();
    let data = format!("{path}/data");
    let environment = [
        ("SWITCHBOARD_SERVER_USER", "65534"),
        ("SWITCHBOARD_SERVER_GROUP", "65534"),
        ("SWITCHBOARD_SERVER_CHROOT", &*path),
        ("SWITCHBOARD_SERVER_DATA", &*data),
    ];
    let daemon = Daemon::start_in(folder, &["--listen", "unix://{data}/s"], &environment).await;
    assert_eq!(daemon.url(), "unix://./data/s");
    let process = format!("/proc/{}", daemon.process.id());
    let status = std::fs::read_to_string(format!("{process}/status")).expect("it runs");
    assert!(status.contains("Uid:\t65534\t65534\t65534\t65534"), "{status}");
    let root = std::fs::read_link(format!("{process}/root")).expect("it runs");
    assert_eq!(root, daemon.folder());
    daemon.run(&["publish", "t", "x"]).await.is(0, "");

    let (folder, _) = daemon.stop().await;
    assert!(
        !folder.path().join("data/s").exists(),
        "the socket is removed from within"
    );

    let mut outside = switchboard(folder.path(), ["serve", "--data", "/elsewhere"]);
    outside.envs(
        environment
            .iter()
            .copied()
            .filter(|(name, _)| !name.ends_with("DATA")),
    );
    run_with(outside, b"")
        .await
        .fails(64, &["server.data: /elsewhere is outside of `server.chroot`"]);
}
