//! The example that needs a hub.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use switchboard_gateway_gotalk::{GatewayOptions, GotalkGateway};
use switchboard_hub::Hub;
use switchboard_net::{Ending, Limits, Listener, ListenerConfig, Network, Shutdown};
use tokio::runtime::Runtime;

use crate::support::{documented, program, run};

/// How long connections may take to end with their hub.
const GRACE: Duration = Duration::from_secs(10);

#[test]
fn a_worker_greets_those_who_call_at_the_hub() {
    let hub = RunningHub::start("tcp://127.0.0.1:0");
    let mut worker = Worker::start(&hub);
    let mut printed = worker.line();
    assert_eq!(call(&hub, "Ann"), documented("hub-worker", &["call", "Ann"]));
    printed += &worker.interrupted();
    assert_eq!(printed, documented("hub-worker", &["work"]));
    hub.end();
}

#[test]
fn a_worker_survives_its_hub() {
    let hub = RunningHub::start("tcp://127.0.0.1:0");
    let mut worker = Worker::start(&hub);
    let arrived = worker.line();
    let address = hub.address;
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
        .env("SWITCHBOARD_HUB", format!("tcp://{}", hub.address));
    command
}

fn call(hub: &RunningHub, name: &str) -> String {
    run(hub_worker(hub, &["call", name]))
}

/// A hub behind a gotalk door.
struct RunningHub {
    runtime: Runtime,
    shutdown: Shutdown,
    address: SocketAddr,
}

impl RunningHub {
    fn start(address: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let shutdown = Shutdown::new();
        let gateway = GotalkGateway::new(Hub::default(), GatewayOptions::default(), shutdown.clone());
        let config = ListenerConfig::new(address.parse().expect("an address"));
        let network = Network::new(Limits::default());
        let listener = runtime
            .block_on(Listener::bind(config, &network))
            .expect("a port");
        let address = listener.local_address().ip().expect("on the network");
        runtime.spawn(listener.run(gateway, shutdown.clone()));
        Self {
            runtime,
            shutdown,
            address,
        }
    }

    fn end(self) {
        let ending = self.runtime.block_on(self.shutdown.drain(GRACE));
        assert_eq!(ending, Ending::Graceful);
    }
}

/// A worker in a process of its own, killed when the test is over.
struct Worker {
    process: Child,
    printed: BufReader<ChildStdout>,
}

impl Worker {
    fn start(hub: &RunningHub) -> Self {
        let mut process = hub_worker(hub, &["work"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let printed = BufReader::new(process.stdout.take().expect("piped"));
        Self { process, printed }
    }

    /// The next line it prints.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.printed.read_line(&mut line).expect("text");
        line
    }

    /// Stops it as Ctrl-C does. Returns the rest of what it printed.
    fn interrupted(mut self) -> String {
        let id = i32::try_from(self.process.id()).expect("a process id");
        signal::kill(Pid::from_raw(id), Signal::SIGINT).expect("it runs");
        let mut rest = String::new();
        self.printed.read_to_string(&mut rest).expect("text");
        assert!(self.process.wait().expect("ended").success());
        rest
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // If it has ended already there is nothing left to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
