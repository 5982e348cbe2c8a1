//! The cluster goes, in part or as a whole, and comes back.

use std::{
    collections::BTreeSet,
    process::Command,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use switchboard_tests::{Daemon, Ran, run, until};

use super::{
    Client,
    nats::{Nats, launch},
    serves,
};

/// The engine answers within 5 s whatever happens; the rest is for a busy machine.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

fn health(hub: &Daemon) -> Ran {
    let url = format!("http://{}/healthz", hub.http_address());
    run(
        Command::new("curl").args(["-sS", "-w", "\n%{http_code}", &url]),
        b"",
    )
}

#[track_caller]
fn becomes_healthy(hub: &Daemon) {
    until("it is well", || {
        health(hub).text().ends_with("\n200").then_some(())
    });
}

/// Runs a command that has to say Retry before long.
#[track_caller]
fn is_told_to_retry(hub: &Daemon, arguments: &[&str]) {
    let begin = Instant::now();
    let ran = hub.run(arguments);
    assert_eq!(ran.status, 75, "{arguments:?}: {ran:?}");
    assert!(
        begin.elapsed() < ANSWER_TIME_MAX,
        "{arguments:?}: {:?}",
        begin.elapsed()
    );
}

#[test]
fn without_the_cluster_all_is_retry_but_what_is_at_hand_and_all_comes_back() {
    let mut nats = Nats::start();
    let (one, other) = (nats.hub(), nats.hub());
    let _upper = one.handle(&["upper", "--", "tr", "a-z", "A-Z"]);
    let mut responder = one.peer().serve("work");
    serves(&other, "upper");
    serves(&other, "work");
    one.run(&["put", "greeting", "hi"]).is(0, "");
    let in_flight = other.spawn(&["call", "work", "x"]);
    assert_eq!(responder.message().name, "work");

    nats.kill();
    in_flight.end().fails(75, &["try again in"]);
    until("it knows", || {
        health(&one).text().ends_with("\n503").then_some(())
    });
    let told = health(&one);
    assert!(told.text().contains("NATS"), "{told:?}");
    is_told_to_retry(&one, &["put", "greeting", "ho"]);
    is_told_to_retry(&one, &["get", "greeting"]);
    is_told_to_retry(&one, &["publish", "home/lamp", "on"]);
    is_told_to_retry(&other, &["call", "upper", "hello"]);
    one.run(&["call", "upper", "hello"]).is(0, "HELLO");
    // A hub that is started now says why it cannot, and that it may later.
    nats.launch().run().fails(75, &["NATS"]);

    nats.back();
    becomes_healthy(&one);
    becomes_healthy(&other);
    until("what was kept is there", || {
        (other.run(&["get", "greeting"]).stdout == b"hi").then_some(())
    });
    until("it can be written", || {
        (one.run(&["put", "greeting", "ho"]).status == 0).then_some(())
    });
    serves(&other, "upper");
    other.run(&["call", "upper", "hello"]).is(0, "HELLO");
    let mut news = other.subscribe(&["--count", "1", "home/lamp"]);
    one.run(&["publish", "home/lamp", "on"]).is(0, "");
    assert_eq!(news.line(), "home/lamp\ton");
}

/// What parties do while servers come and go.
#[derive(Default)]
struct Load {
    over: AtomicBool,
    puts: AtomicUsize,
    calls: AtomicUsize,
}

impl Load {
    /// Puts one key after the other; returns those that were acknowledged.
    fn put(&self, hub: &Client, name: &str) -> BTreeSet<String> {
        let mut acknowledged = BTreeSet::new();
        for number in 0.. {
            if self.over.load(Ordering::Relaxed) {
                break;
            }
            let key = format!("{name}/{number}");
            let ran = hub.run(&["put", &key, &key]);
            match ran.status {
                0 => {
                    acknowledged.insert(key);
                    self.puts.fetch_add(1, Ordering::Relaxed);
                }
                75 => {}
                _ => panic!("{ran:?}"),
            }
        }
        acknowledged
    }

    fn call(&self, hub: &Client) {
        while !self.over.load(Ordering::Relaxed) {
            let ran = hub.run(&["call", "upper", "hello"]);
            match (ran.status, &*ran.stdout) {
                (0, b"HELLO") => drop(self.calls.fetch_add(1, Ordering::Relaxed)),
                (75, b"") => {}
                _ => panic!("{ran:?}"),
            }
        }
    }

    /// Waits until more was done of everything.
    #[track_caller]
    fn goes_on(&self, what: &str) {
        let counts = || [&self.puts, &self.calls].map(|count| count.load(Ordering::Relaxed));
        let before = counts();
        until(what, || {
            let both = counts()
                .iter()
                .zip(before)
                .all(|(now, before)| *now >= before + 10);
            both.then_some(())
        });
    }
}

/// Ends the load also when a test fails, which waits for its threads.
struct Over<'a>(&'a Load);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

#[test]
fn of_three_servers_each_may_be_killed_under_load_and_nothing_acknowledged_is_lost() {
    let mut servers = Nats::three();
    let engine = servers.each_ref().map(Nats::url).join(",");
    let hub = || launch(&engine).set("nats", "replicas", "3").start();
    let (one, other) = (hub(), hub());
    let _upper = one.handle(&["upper", "--", "tr", "a-z", "A-Z"]);
    serves(&other, "upper");
    let load = &Load::default();
    let acknowledged: Vec<String> = std::thread::scope(|scope| {
        let writers = [(&one, "one"), (&other, "other")].map(|(hub, name)| {
            let hub = Client::of(hub);
            scope.spawn(move || load.put(&hub, name))
        });
        let caller = Client::of(&other);
        let _caller = scope.spawn(move || load.call(&caller));
        let over = Over(load);
        load.goes_on("the load has begun");
        // One of them leads, and one of them a hub is connected to.
        for server in &mut servers {
            server.kill();
            load.goes_on("two are enough");
            server.back();
            load.goes_on("it is back");
        }
        drop(over);
        writers
            .into_iter()
            .flat_map(|writer| writer.join().expect("puts"))
            .collect()
    });
    for hub in [&one, &other] {
        becomes_healthy(hub);
        let kept = hub.run(&["keys", "--values"]);
        let kept: BTreeSet<&str> = kept.text().lines().collect();
        for key in &acknowledged {
            assert!(kept.contains(&*format!("{key}\t{key}")), "{key} is lost");
        }
    }
}
