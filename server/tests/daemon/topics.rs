//! Publishing and subscribing.

use tokio::io::AsyncBufReadExt;

use super::support::*;

#[tokio::test]
async fn a_subscriber_sees_what_is_published() {
    let daemon = Daemon::start().await;
    let subscriber = daemon.subscribe(&["home/#", "--count", "1"]).await;
    daemon.run(&["publish", "office/lamp", "off"]).await.is(0, "");
    daemon.run(&["publish", "home/lamp", "on"]).await.is(0, "");
    subscriber.end().await.is(0, "home/lamp\ton\n");
}

#[tokio::test]
async fn retained_messages_come_first_and_an_empty_one_removes_them() {
    let daemon = Daemon::start().await;
    daemon
        .run(&["publish", "--retain", "home/temperature", "21.5"])
        .await
        .is(0, "");
    daemon
        .run(&[
            "publish",
            "--retain",
            "--expires",
            "1h",
            "home/visitor",
            "Ann is here",
        ])
        .await
        .is(0, "");
    let mut both = daemon.subscribe(&["home/#", "--count", "2"]).await;
    let mut lines = [both.line().await, both.line().await];
    lines.sort();
    assert_eq!(lines, ["home/temperature\t21.5", "home/visitor\tAnn is here"]);
    both.end().await.is(0, "");

    daemon
        .run(&["publish", "--retain", "home/visitor", ""])
        .await
        .is(0, "");
    let mut one = daemon.subscribe(&["home/#", "--count", "2"]).await;
    assert_eq!(one.line().await, "home/temperature\t21.5");
    daemon.run(&["publish", "home/last", "x"]).await.is(0, "");
    assert_eq!(one.line().await, "home/last\tx");
}

#[tokio::test]
async fn any_bytes_can_be_published() {
    let daemon = Daemon::start().await;
    let text = daemon.subscribe(&["any", "--count", "2"]).await;
    let json = daemon.subscribe(&["any", "--count", "2", "--json"]).await;
    run_with(daemon.command(&["publish", "any"]), b"a\n\x1b[2J")
        .await
        .is(0, "");
    run_with(daemon.command(&["publish", "any", "-"]), b"\xff\0")
        .await
        .is(0, "");
    text.end()
        .await
        .is(0, "any\ta\\n\\u{1b}[2J\nany\t\u{fffd}\\u{0}\n");
    json.end().await.is(
        0,
        "{\"payload\":\"a\\n\\u001b[2J\",\"topic\":\"any\"}\n{\"payload_base64\":\"/wA=\",\"topic\":\"any\"}\n",
    );
}

#[tokio::test]
async fn large_messages_pass_and_too_large_ones_are_told() {
    let daemon = Daemon::start().await;
    let subscriber = daemon.subscribe(&["large", "--count", "1"]).await;
    let most = (8 << 20) - (64 << 10);
    let publish = async |bytes: Vec<u8>| run_with(daemon.command(&["publish", "large"]), &bytes).await;
    publish(vec![b'x'; most + 1]).await.fails(1, &["larger than"]);
    // A quote takes two bytes in JSON.
    publish(vec![b'"'; most]).await.is(0, "");
    assert_eq!(subscriber.end().await.stdout.len(), "large\t\n".len() + most);
}

#[tokio::test]
async fn illegal_topics_are_errors() {
    let daemon = Daemon::start().await;
    daemon
        .run(&["publish", "home/#", "x"])
        .await
        .fails(1, &["home/#"]);
    daemon
        .run(&["subscribe", "home/#/x"])
        .await
        .fails(1, &["home/#/x"]);
    daemon
        .run(&["publish", "--expires", "200y", "t", "x"])
        .await
        .fails(64, &["unit"]);
    daemon
        .run(&["publish", "--expires", "100000d", "t", "x"])
        .await
        .fails(1, &["expires"]);
}

#[tokio::test]
async fn a_reader_who_leaves_ends_a_subscriber_quietly() {
    let daemon = Daemon::start().await;
    let mut command = daemon.command(&["subscribe", "t"]);
    command.env("SWITCHBOARD_LOG_LEVEL", "info");
    let mut child = command.spawn().expect("it starts");
    drop(child.stdout.take());
    let mut stderr = tokio::io::BufReader::new(child.stderr.take().expect("a pipe")).lines();
    within("the subscription", stderr.next_line())
        .await
        .expect("text");
    daemon.run(&["publish", "t", "x"]).await.is(0, "");
    let status = within("the end", child.wait()).await.expect("it ends");
    assert_eq!(status.code(), Some(0));
    assert_eq!(stderr.next_line().await.expect("text"), None);
}

#[tokio::test]
async fn what_the_hub_knows_is_listed() {
    let daemon = Daemon::start().await;
    let _upper = daemon.handle(&["upper", "--", "cat"]).await;
    let _safe = daemon
        .handle(&["safe", "--safe", "--result-type", "text/plain", "--", "cat"])
        .await;
    let _subscriber = daemon.subscribe(&["a", "b"]).await;
    daemon.run(&["call", "upper", "x"]).await.is(0, "x");

    let ops = daemon.run(&["ops"]).await;
    let row = |name: &str| -> Vec<&str> {
        let mut rows = ops.text().lines().map(|line| line.split_whitespace().collect());
        rows.find(|row: &Vec<_>| row.first() == Some(&name))
            .expect("it is listed")
    };
    assert_eq!(row("upper"), ["upper", "1", "1", "0", "no", "-"]);
    assert_eq!(row("safe"), ["safe", "1", "0", "0", "yes", "text/plain"]);
    let json: serde_json::Value =
        serde_json::from_str(daemon.run(&["ops", "--json"]).await.text()).expect("JSON");
    let listed = |name: &str| -> &serde_json::Value {
        let mut all = json.as_array().expect("a list").iter();
        all.find(|entry| entry["op"] == name).expect("it is listed")
    };
    assert_eq!(listed("upper")["calls"], 1);
    assert_eq!(listed("upper")["safe"], false);
    assert!(listed("upper")["result_type"].is_null());
    assert_eq!(listed("safe")["safe"], true);
    assert_eq!(listed("safe")["result_type"], "text/plain");

    let sessions = daemon.run(&["sessions"]).await;
    assert!(sessions.text().starts_with("ID"), "{sessions:?}");
    let json = daemon.run(&["sessions", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(json.text()).expect("JSON");
    let sessions = json.as_array().expect("a list");
    assert_eq!(
        sessions.len(),
        4,
        "two handlers, a subscriber, and who asks: {json}"
    );
    assert!(
        sessions
            .iter()
            .any(|session| session["serves"] == 1 && session["account"] == "guest")
    );
    assert!(
        sessions
            .iter()
            .any(|session| session["subscriptions"] == 2 && session["door"] == "gotalk")
    );
}

#[tokio::test]
async fn lists_follow_all_pages() {
    let daemon = Daemon::start_in(
        folder(),
        &["--listen", "tcp://127.0.0.1:0"],
        &[("SWITCHBOARD_HUB_OPERATIONS_PER_SESSION", "3000")],
    )
    .await;
    let mut raw = super::raw::RawPeer::connect(daemon.url()).await;
    for page in 0..3 {
        let names: Vec<_> = (0..1000).map(|number| format!("op.{page}.{number}")).collect();
        let request = serde_json::json!({ "ops": names }).to_string();
        raw.ask("hub.serve", &request).await;
    }
    let ops = daemon.run(&["ops"]).await;
    let listed = ops.text().lines().filter(|line| line.starts_with("op.")).count();
    assert_eq!(listed, 3000);
}
