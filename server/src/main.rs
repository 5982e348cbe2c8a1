//! The `switchboard` binary: parse, do, exit.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use switchboard_net::InheritedSockets;
use switchboard_server::{cli::Cli, commands, config::Problems, exit::Exit};

/// Keys, messages and buffers are many small pieces that live long and go from thread to thread.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // First of all: it changes the environment, which only a process of one thread may do.
    let inherited = InheritedSockets::from_env();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help on stdout, faults on stderr; if nobody reads it, nobody misses it.
            let _ = error.print();
            return Exit::of_arguments(&error).into();
        }
    };
    match commands::run(cli, inherited) {
        Ok(()) => Exit::Ok.into(),
        Err(error) => {
            let exit = Exit::of(&error);
            if !exit.is_quiet() {
                eprintln!("{}", message(&error));
            }
            exit.into()
        }
    }
}

/// What to say about an error; faults of a configuration begin with their place, a line each, as editors read them.
fn message(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Problems>() {
        Some(problems) => problems.to_string(),
        None => format!("switchboard: {error:#}"),
    }
}
