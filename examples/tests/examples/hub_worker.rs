//! The example that needs a hub.

use std::process::Command;

use crate::hub::RunningHub;
use crate::support::{Running, documented, program, run};

#[test]
fn a_worker_greets_those_who_call_at_the_hub() {
    let hub = RunningHub::start("tcp://127.0.0.1:0");
    let mut worker = Running::start(hub_worker(&hub, &["work"]));
    let mut printed = worker.line();
    assert_eq!(call(&hub, "Ann"), documented("hub-worker", &["call", "Ann"]));
    printed += &worker.interrupted();
    assert_eq!(printed, documented("hub-worker", &["work"]));
    hub.end();
}

#[test]
fn a_worker_survives_its_hub() {
    let hub = RunningHub::start("tcp://127.0.0.1:0");
    let mut worker = Running::start(hub_worker(&hub, &["work"]));
    let arrived = worker.line();
    let address = hub.gotalk;
    hub.end();
    let hub = RunningHub::start(&format!("tcp://{address}"));
    assert_eq!(worker.line(), arrived);
    assert_eq!(call(&hub, "Bob"), "Hello, Bob!\n");
    drop(worker);
    hub.end();
}

fn hub_worker(hub: &RunningHub, arguments: &[&str]) -> Command {
    let mut command = program("hub-worker");
    command
        .args(arguments)
        .env("SWITCHBOARD_HUB", format!("tcp://{}", hub.gotalk));
    command
}

fn call(hub: &RunningHub, name: &str) -> String {
    run(hub_worker(hub, &["call", name]))
}
