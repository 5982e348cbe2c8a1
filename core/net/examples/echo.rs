//! An echo daemon: everything this crate does, around a protocol of no words.
//!
//! ```text
//! cargo run -p switchboard-net --example echo -- tcp://127.0.0.1:4700 unix:///tmp/echo.sock
//! ```
//!
//! It prints `listening ADDRESS` for each door, `reloaded` after SIGHUP, `draining` after SIGTERM or SIGINT, and ends
//! with status 0 if all connections ended within the grace, else 1. `--open-files N` and `--grace SECONDS` stand
//! before the addresses; `tls://` gets a self-signed certificate.

use std::error::Error;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use switchboard_net::{
    Address, Certificate, ClientCertificates, Connection, Ending, InheritedSockets, Limits, Listener,
    ListenerConfig, Network, Shutdown, Tls, TlsSettings, open_files, signals,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Time for connections to end after SIGTERM, unless told otherwise.
const GRACE: Duration = Duration::from_secs(10);

struct Options {
    addresses: Vec<Address>,
    grace: Duration,
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    // Before any thread runs, as it changes the environment.
    let inherited = InheritedSockets::from_env();
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .init();
    open_files::raise()?;
    let options = options()?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(serve(options, inherited))
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options {
        addresses: Vec::new(),
        grace: GRACE,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--grace" => options.grace = Duration::from_secs(value()?.parse()?),
            "--open-files" => {
                let mut limit = getrlimit(Resource::Nofile);
                limit.current = Some(value()?.parse()?);
                setrlimit(Resource::Nofile, limit)?;
            }
            address => options.addresses.push(address.parse()?),
        }
    }
    Ok(options)
}

async fn serve(options: Options, inherited: InheritedSockets) -> Result<ExitCode, Box<dyn Error>> {
    let network = Network::with_inherited(Limits::default(), inherited);
    let shutdown = Shutdown::new();
    let tls = Tls::new(TlsSettings {
        certificate: Certificate::SelfSigned {
            names: Vec::new(),
            directory: None,
        },
        clients: ClientCertificates::Off,
        alpn: Vec::new(),
    })?;
    // Before the first door is announced: whoever reads of it may send a signal.
    signals::watch(shutdown.clone(), {
        let tls = tls.clone();
        move || {
            if tls.reload().is_ok() {
                println!("reloaded");
            }
        }
    })?;
    for address in options.addresses {
        let mut config = ListenerConfig::new(address);
        config.tls = matches!(config.address, Address::Tls(_)).then(|| tls.clone());
        let listener = Listener::bind(config, &network).await?;
        println!("listening {}", listener.local_address());
        tokio::spawn(listener.run(echo, shutdown.clone()));
    }
    shutdown.draining().await;
    println!("draining");
    Ok(match shutdown.drain(options.grace).await {
        Ending::Graceful => ExitCode::SUCCESS,
        Ending::Stopped { .. } => ExitCode::FAILURE,
    })
}

async fn echo(mut connection: Connection) {
    let mut buffer = [0; 1_024];
    while let Ok(count @ 1..) = connection.stream.read(&mut buffer).await {
        let written = match buffer.get(..count) {
            Some(bytes) => connection.stream.write_all(bytes).await,
            None => Ok(()),
        };
        if written.is_err() {
            break;
        }
    }
}
