//! The state as a whole: whose it is, how it is moved, and what is said when something is wrong with it.

use std::{fs, path::Path};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::*;

const ADDRESS: [&str; 2] = ["--listen", "tcp://127.0.0.1:0"];

/// A daemon that cannot start: how it ended.
async fn refused(folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = switchboard(folder, ["serve"]);
    command
        .args(ADDRESS)
        .args(arguments)
        .env("SWITCHBOARD_HTTP_LISTEN", "[]")
        .env("SWITCHBOARD_REDIS_LISTEN", "[]");
    run_with(command, b"").await
}

async fn run_in(folder: &Path, arguments: &[&str]) -> Ran {
    run_with(switchboard(folder, arguments), b"").await
}

/// A folder with the state of a daemon that has stopped.
async fn some_state() -> tempfile::TempDir {
    let daemon = Daemon::start().await;
    daemon.run(&["put", "greeting", "hi"]).await.is(0, "");
    daemon
        .run(&["put", "--expires", "1h", "--bucket", "b", "session", "x"])
        .await
        .is(0, "");
    daemon
        .run(&["publish", "--retain", "home/lamp", "on"])
        .await
        .is(0, "");
    daemon.stop().await.0
}

#[tokio::test]
async fn a_second_daemon_on_one_folder_is_told_who_is_there() {
    let daemon = Daemon::start().await;
    let ran = refused(daemon.folder(), &[]).await;
    ran.fails(
        75,
        &["data/engine is in use by another process", "switchboard backup"],
    );
    assert_eq!(ran.text(), "");
    let export = run_in(daemon.folder(), &["export", "state"]).await;
    export.fails(75, &["is in use by another process"]);
    assert!(!daemon.folder().join("state").exists());
    daemon.run(&["put", "a", "1"]).await.is(0, "");
}

#[tokio::test]
async fn a_folder_of_a_newer_format_is_left_alone() {
    let folder = some_state().await;
    let format = folder.path().join("data/engine/format");
    fs::write(&format, "switchboard data 99\n").expect("mine");
    refused(folder.path(), &[])
        .await
        .fails(1, &["has format 99", "export"]);
    assert_eq!(
        fs::read_to_string(&format).expect("there"),
        "switchboard data 99\n"
    );
}

#[tokio::test]
async fn damage_is_told_with_what_to_do_and_accepted_only_when_told_to() {
    let folder = some_state().await;
    fs::remove_file(folder.path().join("data/engine/mark")).expect("there");
    refused(folder.path(), &[])
        .await
        .fails(1, &["is damaged", "--accept-loss"]);
    let arguments = [&ADDRESS[..], &["--accept-loss"]].concat();
    let daemon = Daemon::start_in(folder, &arguments, &[]).await;
    daemon.run(&["get", "greeting"]).await.is(0, "hi");
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_to_is_told() {
    if nix::unistd::Uid::effective().is_root() {
        // Root may write everywhere; a file in the folder's place stops everybody.
        let folder = folder();
        fs::create_dir(folder.path().join("data")).expect("mine");
        fs::write(folder.path().join("data/engine"), "").expect("mine");
        refused(folder.path(), &[]).await.fails(1, &["data/engine"]);
        return;
    }
    let folder = some_state().await;
    let engine = folder.path().join("data/engine");
    let mode = |mode| fs::set_permissions(&engine, std::os::unix::fs::PermissionsExt::from_mode(mode));
    mode(0o500).expect("mine");
    refused(folder.path(), &[]).await.fails(1, &["data/engine"]);
    mode(0o700).expect("mine");
}

#[tokio::test]
async fn a_cluster_that_is_not_there_is_told() {
    let folder = folder();
    // Nobody listens at the port of a listener that is gone.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let url = format!("nats://user:word@127.0.0.1:{}", port.expect("a port").port());
    let ran = refused(folder.path(), &["--engine", &url]).await;
    ran.fails(75, &["the NATS cluster: "]);
    assert!(!ran.stderr.contains("word"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_state_is_exported_and_imported() {
    let folder = some_state().await;
    let exported = run_in(folder.path(), &["export", "state"]).await;
    exported.is(0, "");
    assert!(
        exported.stderr.contains("exported 3 keys, 0 jobs, 0 blobs"),
        "{}",
        exported.stderr
    );
    assert!(!folder.path().join("state.partial").exists());
    let imported = run_in(folder.path(), &["import", "--data", "new", "state"]).await;
    imported.is(0, "");
    assert!(imported.stderr.contains("imported 3 keys"), "{}", imported.stderr);
    let again = run_in(folder.path(), &["import", "--data", "new", "state"]).await;
    again.fails(1, &["not empty", "buckets of keys: 3"]);
    let arguments = [&ADDRESS[..], &["--data", "new"]].concat();
    let daemon = Daemon::start_in(folder, &arguments, &[]).await;
    daemon.run(&["get", "greeting"]).await.is(0, "hi");
    daemon.run(&["get", "topic:home/lamp"]).await.is(0, "on");
    let entry = daemon.run(&["get", "--json", "--bucket", "b", "session"]).await;
    assert!(entry.text().contains("expires_unix_ms"), "{}", entry.text());
}

/// What a daemon answers at its Redis door to these commands, one a line.
async fn answers(daemon: &Daemon, commands: &str) -> String {
    let redis = daemon.doors.iter().find_map(|door| door.strip_prefix("redis://"));
    let stream = tokio::net::TcpStream::connect(redis.expect("a Redis door"));
    let mut stream = within("a connection", stream).await.expect("connected");
    let mut answers = String::new();
    within("the answers", async {
        let commands = format!("{commands}QUIT\r\n");
        stream.write_all(commands.as_bytes()).await.expect("written");
        stream.read_to_string(&mut answers).await.expect("read");
    })
    .await;
    answers
}

#[tokio::test]
async fn structures_are_exported_and_imported() {
    const MAKE: &str = "HSET hash a 1 b 2\r\nEXPIREAT hash 9999999999\r\nRPUSH list x y x\r\nSADD set m\r\n\
                        ZADD scores 1.5 m 2 n\r\nSET text hello\r\n";
    const READ: &str = "HGET hash b\r\nEXPIRETIME hash\r\nLRANGE list 0 -1\r\nSMEMBERS set\r\n\
                        ZRANGE scores 0 -1 WITHSCORES\r\nGET text\r\nDBSIZE\r\n";
    const THERE: &str = "$1\r\n2\r\n:9999999999\r\n*3\r\n$1\r\nx\r\n$1\r\ny\r\n$1\r\nx\r\n*1\r\n$1\r\nm\r\n\
                         *4\r\n$1\r\nm\r\n$3\r\n1.5\r\n$1\r\nn\r\n$1\r\n2\r\n$5\r\nhello\r\n:5\r\n+OK\r\n";
    let doors = [&ADDRESS[..], &["--listen", "redis://127.0.0.1:0"]].concat();
    let daemon = Daemon::start_in(folder(), &doors, &[]).await;
    let made = answers(&daemon, MAKE).await;
    assert_eq!(made, ":2\r\n:1\r\n:3\r\n:1\r\n:2\r\n+OK\r\n+OK\r\n");
    assert_eq!(answers(&daemon, READ).await, THERE);
    let (folder, _) = daemon.stop().await;
    let exported = run_in(folder.path(), &["export", "state"]).await;
    exported.is(0, "");
    assert!(exported.stderr.contains("exported 5 keys"), "{}", exported.stderr);
    run_in(folder.path(), &["import", "--data", "new", "state"])
        .await
        .is(0, "");
    let arguments = [&doors[..], &["--data", "new"]].concat();
    let daemon = Daemon::start_in(folder, &arguments, &[]).await;
    assert_eq!(answers(&daemon, READ).await, THERE);
}

#[tokio::test]
async fn a_state_goes_through_a_pipe() {
    let folder = some_state().await;
    let exported = run_in(folder.path(), &["export", "-"]).await;
    assert_eq!(exported.status, 0, "{}", exported.stderr);
    let import = switchboard(folder.path(), ["import", "--data", "new", "-"]);
    run_with(import, &exported.stdout).await.is(0, "");
    let cut = &exported.stdout[..exported.stdout.len() - 40];
    let import = switchboard(folder.path(), ["import", "--data", "other", "-"]);
    run_with(import, cut)
        .await
        .fails(1, &["only a part was imported", "is damaged at byte", "cut off"]);
}

#[tokio::test]
async fn what_is_no_whole_export_is_not_taken_in() {
    let folder = some_state().await;
    run_in(folder.path(), &["export", "state"]).await.is(0, "");
    let file = folder.path().join("state");
    let good = fs::read(&file).expect("there");
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for (bytes, words) in [
        (&flipped[..], "is damaged at byte"),
        (&good[..good.len() - 1], "cut off"),
        (b"PK", "no export"),
        (&[&good[..18], &[9]].concat(), "no export"),
    ] {
        fs::write(&file, bytes).expect("mine");
        run_in(folder.path(), &["import", "--data", "new", "state"])
            .await
            .fails(1, &["cannot import state", words]);
        assert!(!folder.path().join("new").exists(), "{words}");
    }
    run_in(folder.path(), &["import", "--data", "new", "none"])
        .await
        .fails(1, &["cannot import none"]);
    run_in(folder.path(), &["export", "--data", "none", "state"])
        .await
        .fails(64, &["there is no state in none"]);
    run_in(folder.path(), &["export", "--data", ":memory:", "x"])
        .await
        .fails(64, &[":memory:"]);
}

#[tokio::test]
async fn a_running_daemon_is_copied() {
    let daemon = Daemon::start().await;
    daemon.run(&["put", "greeting", "hi"]).await.is(0, "");
    daemon
        .run(&["publish", "--retain", "home/lamp", "on"])
        .await
        .is(0, "");
    let copied = daemon.run(&["backup", "copy"]).await;
    copied.is(0, "");
    assert!(copied.stderr.contains("copied 2 keys"), "{}", copied.stderr);
    daemon
        .run(&["backup", "copy"])
        .await
        .fails(1, &["copy is there already"]);
    daemon.run(&["put", "greeting", "changed since"]).await.is(0, "");
    let (folder, _) = daemon.stop().await;
    let arguments = [&ADDRESS[..], &["--data", "copy"]].concat();
    let daemon = Daemon::start_in(folder, &arguments, &[]).await;
    daemon.run(&["get", "greeting"]).await.is(0, "hi");
    daemon.run(&["get", "topic:home/lamp"]).await.is(0, "on");
}
