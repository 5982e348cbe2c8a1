//! From a parsed command line to the work: one file a command.

use switchboard_net::InheritedSockets;

use crate::{
    cli::{Cli, Command, Global, HubCommand, ToolCommand},
    client::{self, Client},
};

mod bench;
mod call;
mod handle;
mod keys;
mod list;
mod publish;
mod runtime;
mod serve;
mod state;
mod subscribe;
mod tools;

/// Does what the command line says. `inherited` are the sockets that `serve` may listen on.
///
/// # Errors
/// Whatever went wrong; [`Exit::of`](crate::exit::Exit::of) finds its exit status.
pub fn run(cli: Cli, inherited: InheritedSockets) -> anyhow::Result<()> {
    let global = &cli.global;
    match cli.command {
        Command::Serve(args) => serve::serve(&args, inherited),
        Command::Hub(command) => talk(command, global),
        Command::Tool(ToolCommand::Export(args)) => state::export(&args),
        Command::Tool(ToolCommand::Import(args)) => state::import(&args),
        Command::Tool(ToolCommand::Config(args)) => tools::config(&args),
        Command::Tool(ToolCommand::Completions(args)) => tools::completions(&args),
        Command::Tool(ToolCommand::Man(args)) => tools::man(&args),
    }
}

/// What talks to a hub.
fn talk(command: HubCommand, global: &Global) -> anyhow::Result<()> {
    client::start_log()?;
    let client = Client::new(global)?;
    runtime::block_on(async {
        match command {
            HubCommand::Call(args) => call::call(args, client).await,
            HubCommand::Handle(args) => handle::handle(args, client).await,
            HubCommand::Publish(args) => publish::publish(args, client).await,
            HubCommand::Subscribe(args) => subscribe::subscribe(args, client).await,
            HubCommand::Put(args) => keys::put(args, client).await,
            HubCommand::Get(args) => keys::get(args, client).await,
            HubCommand::Delete(args) => keys::delete(args, client).await,
            HubCommand::Incr(args) => keys::incr(args, client).await,
            HubCommand::Keys(args) => keys::keys(args, client).await,
            HubCommand::Watch(args) => keys::watch(args, client).await,
            HubCommand::Backup(args) => state::backup(args, client).await,
            HubCommand::Ops(args) => list::ops(args, client).await,
            HubCommand::Sessions(args) => list::sessions(args, client).await,
            HubCommand::Bench(args) => bench::bench(args, client).await,
        }
    })?
}
