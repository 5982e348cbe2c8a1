//! From a parsed command line to the work: one function a command.

use crate::cli::{Cli, Command, ToolCommand};

mod tools;

/// Does what the command line says.
///
/// # Errors
/// Whatever went wrong; [`Exit::of`](crate::exit::Exit::of) finds its exit status.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Tool(ToolCommand::Config(args)) => tools::config(&args),
        Command::Tool(ToolCommand::Completions(args)) => tools::completions(&args),
        Command::Tool(ToolCommand::Man(args)) => tools::man(&args),
    }
}
