//! Keys from the command line, and what of them outlasts the daemon.

use super::support::*;

#[tokio::test]
async fn values_are_put_read_and_deleted() {
    let daemon = Daemon::start().await;
    daemon.run(&["put", "greeting", "hi"]).await.is(0, "");
    daemon.run(&["get", "greeting"]).await.is(0, "hi");
    daemon.run(&["put", "empty", ""]).await.is(0, "");
    daemon.run(&["get", "empty"]).await.is(0, "");
    daemon
        .run(&["put", "--bucket", "b", "greeting", "hello"])
        .await
        .is(0, "");
    daemon
        .run(&["get", "--bucket", "b", "greeting"])
        .await
        .is(0, "hello");
    daemon.run(&["delete", "greeting", "never there"]).await.is(0, "");
    daemon
        .run(&["get", "greeting"])
        .await
        .fails(1, &["no key \"greeting\" in the bucket default"]);
    let entry = daemon.run(&["get", "--json", "empty"]).await;
    let entry: serde_json::Value = serde_json::from_str(entry.text()).expect("JSON");
    assert_eq!((&entry["value"], &entry["revision"]), (&"".into(), &2.into()));
}

#[tokio::test]
async fn any_bytes_of_any_size_come_back() {
    let daemon = Daemon::start().await;
    let large: Vec<u8> = (0..3_000_000_u32).map(|number| (number * 31) as u8).collect();
    for value in [&b"\0\xff\n"[..], &large] {
        run_with(daemon.command(&["put", "any", "-"]), value)
            .await
            .is(0, "");
        let got = daemon.run(&["get", "any"]).await;
        assert!(
            got.status == 0 && got.stdout == value,
            "{} bytes",
            got.stdout.len()
        );
    }
    run_with(daemon.command(&["put", "piped"]), b"from stdin")
        .await
        .is(0, "");
    daemon.run(&["get", "piped"]).await.is(0, "from stdin");
}

#[tokio::test]
async fn conditions_and_expiry_hold() {
    let daemon = Daemon::start().await;
    daemon.run(&["put", "--if-absent", "lock", "me"]).await.is(0, "");
    let refused = daemon.run(&["put", "--if-absent", "lock", "you"]).await;
    refused.fails(1, &["has a value, of the revision 1", "nothing was changed"]);
    daemon
        .run(&["put", "--revision", "7", "lock", "you"])
        .await
        .fails(1, &["nothing was changed"]);
    daemon
        .run(&["put", "--revision", "1", "--expires", "1h", "lock", "me again"])
        .await
        .is(0, "");
    daemon.run(&["get", "lock"]).await.is(0, "me again");
    let entry = daemon.run(&["get", "--json", "lock"]).await;
    assert!(entry.text().contains("expires_unix_ms"), "{}", entry.text());
    daemon
        .run(&["put", "--expires", "10", "lock", "x"])
        .await
        .fails(64, &["has no unit"]);
    let both = ["put", "--if-absent", "--revision", "1", "a", "b"];
    daemon.run(&both).await.fails(64, &["cannot be used with"]);
    daemon
        .run(&["put", "topic:x", "y"])
        .await
        .fails(1, &["nobody may write", "publish"]);
}

#[tokio::test]
async fn numbers_are_added_to() {
    let daemon = Daemon::start().await;
    daemon.run(&["incr", "n"]).await.is(0, "1\n");
    daemon.run(&["incr", "n", "-5"]).await.is(0, "-4\n");
    daemon.run(&["incr", "total", "0.5"]).await.is(0, "0.5\n");
    daemon.run(&["put", "word", "x"]).await.is(0, "");
    daemon.run(&["incr", "word"]).await.fails(1, &["not an integer"]);
    daemon.run(&["incr", "n", "much"]).await.fails(64, &["much"]);
}

#[tokio::test]
async fn keys_are_listed_in_order_however_many() {
    let daemon = Daemon::start().await;
    daemon.run(&["keys"]).await.is(0, "");
    // More than a page.
    let writes: Vec<_> = (0..2500)
        .map(|number| format!(r#"{{"op":"put","key":"k{number:04}","value":"v"}}"#))
        .collect();
    for writes in writes.chunks(1000) {
        let batch = format!(r#"{{"writes":[{}]}}"#, writes.join(","));
        let done = run_with(daemon.command(&["call", "keys.batch", "-"]), batch.as_bytes()).await;
        assert_eq!(done.status, 0, "{}", done.stderr);
    }
    let listed = daemon.run(&["keys", "k"]).await;
    let names: Vec<_> = listed.text().lines().collect();
    assert_eq!((names.len(), names[0], names[2499]), (2500, "k0000", "k2499"));
    assert!(names.is_sorted());
    daemon.run(&["put", "odd\n", "a\tb"]).await.is(0, "");
    daemon
        .run(&["keys", "--values", "odd"])
        .await
        .is(0, "odd\\n\ta\\tb\n");
    let json = daemon.run(&["keys", "--json", "--values", "odd"]).await;
    let entry: serde_json::Value = serde_json::from_str(json.text()).expect("one object");
    assert_eq!(
        (&entry["key"], &entry["value"]),
        (&"odd\n".into(), &"a\tb".into())
    );
}

#[tokio::test]
async fn last_values_are_keys_too() {
    let daemon = Daemon::start().await;
    daemon
        .run(&["publish", "--retain", "home/lamp", "on"])
        .await
        .is(0, "");
    daemon.run(&["get", "topic:home/lamp"]).await.is(0, "on");
    daemon.run(&["keys", "topic:"]).await.is(0, "topic:home/lamp\n");
    daemon.run(&["keys"]).await.is(0, "");
}

#[tokio::test]
async fn a_watch_tells_what_there_is_and_what_changes() {
    let daemon = Daemon::start().await;
    daemon.run(&["put", "a/1", "x"]).await.is(0, "");
    let mut watch = daemon.spawn(&["watch", "a/"]);
    assert_eq!(watch.line().await, "put\ta/1\tx");
    let mut news = daemon.spawn(&["watch", "--news", "--count", "2", "--json", "a/"]);
    news.says("watching").await;
    daemon.run(&["put", "b", "elsewhere"]).await.is(0, "");
    daemon.run(&["put", "a/2", "y"]).await.is(0, "");
    daemon.run(&["delete", "a/1"]).await.is(0, "");
    assert_eq!(watch.line().await, "put\ta/2\ty");
    assert_eq!(watch.line().await, "delete\ta/1");
    let ran = news.end().await;
    let events: Vec<serde_json::Value> = ran
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert!(
        events
            .iter()
            .any(|event| event["event"] == "put" && event["key"] == "a/2"),
        "{events:?}"
    );
    watch.send(Signal::SIGTERM);
    assert_eq!(watch.end().await.status, 143);
}

#[tokio::test]
async fn a_watch_goes_on_where_it_was_when_the_daemon_comes_back() {
    let folder = folder();
    let address = ["--listen", "unix://{data}/s.sock"];
    let daemon = Daemon::start_in(folder, &address, &[]).await;
    daemon.run(&["put", "a", "1"]).await.is(0, "");
    let mut watch = daemon.spawn(&["watch"]);
    assert_eq!(watch.line().await, "put\ta\t1");
    watch.says("watching").await;
    daemon.run(&["put", "b", "2"]).await.is(0, "");
    assert_eq!(watch.line().await, "put\tb\t2");
    let (folder, _) = daemon.stop().await;
    let daemon = Daemon::start_in(folder, &address, &[]).await;
    // What changes before it is back the daemon may not know any more: then all would be told anew.
    watch.says("watching").await;
    daemon.run(&["put", "c", "3"]).await.is(0, "");
    assert_eq!(watch.line().await, "put\tc\t3", "and neither a nor b again");
}

#[tokio::test]
async fn a_watch_does_not_hold_up_the_end_of_the_daemon() {
    let daemon = Daemon::start().await;
    let mut watch = daemon.spawn(&["watch", "--json"]);
    assert!(watch.line().await.contains("current"));
    let (_, ran) = daemon.stop().await;
    assert!(
        ran.stderr.contains("stopped: everything had ended"),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn keys_and_last_values_outlast_a_daemon_that_stops_and_one_that_is_killed() {
    let arguments = ["--listen", "tcp://127.0.0.1:0", "--durability", "always"];
    let daemon = Daemon::start_in(folder(), &arguments, &[]).await;
    daemon.run(&["put", "greeting", "hi"]).await.is(0, "");
    daemon
        .run(&["publish", "--retain", "home/lamp", "on"])
        .await
        .is(0, "");
    let (folder, _) = daemon.stop().await;
    let mut daemon = Daemon::start_in(folder, &arguments, &[]).await;
    daemon.run(&["get", "greeting"]).await.is(0, "hi");
    daemon.run(&["put", "after", "1"]).await.is(0, "");
    daemon
        .run(&["publish", "--retain", "home/lamp", "off"])
        .await
        .is(0, "");
    daemon.process.send(Signal::SIGKILL);
    assert_eq!(daemon.process.line_or_end().await, None);
    let daemon = Daemon::start_in(daemon.folder, &arguments, &[]).await;
    daemon
        .run(&["keys", "--values"])
        .await
        .is(0, "after\t1\ngreeting\thi\n");
    let mut last = daemon.subscribe(&["home/#", "--count", "1"]).await;
    assert_eq!(last.line().await, "home/lamp\toff");
}

#[tokio::test]
async fn in_memory_nothing_outlasts_the_daemon_and_no_folder_is_made() {
    let arguments = ["--listen", "tcp://127.0.0.1:0", "--data", ":memory:"];
    let daemon = Daemon::start_in(folder(), &arguments, &[]).await;
    daemon.run(&["put", "a", "1"]).await.is(0, "");
    daemon.run(&["get", "a"]).await.is(0, "1");
    let (folder, _) = daemon.stop().await;
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    let daemon = Daemon::start_in(folder, &arguments, &[]).await;
    daemon.run(&["keys"]).await.is(0, "");
}
