//! The `switchboard` binary: parse, do, exit.

use std::process::ExitCode;

use clap::Parser;
use switchboard_server::{cli::Cli, commands, exit::Exit};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help on stdout, faults on stderr; if nobody reads it, nobody misses it.
            let _ = error.print();
            return Exit::of_arguments(&error).into();
        }
    };
    match commands::run(cli) {
        Ok(()) => Exit::Ok.into(),
        Err(error) => {
            let exit = Exit::of(&error);
            if exit != Exit::Ok {
                eprintln!("{error:#}");
            }
            exit.into()
        }
    }
}
