//! The command line. Its help texts are the manual: `--help`, the man pages and the completions all come from here.
//!
//! One file a family of commands, each holding its arguments and what they mean to the rest of the program.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};

pub mod bench;
pub mod calls;
pub mod inspect;
pub mod keys;
pub mod serve;
pub mod state;
#[cfg(test)]
mod tests;
pub mod tools;
pub mod topics;

/// Shown below the long help.
const AFTER_HELP: &str = "\
Examples:
  switchboard serve                                  run the hub on this machine
  switchboard handle upper -- tr a-z A-Z             any program becomes an operation
  switchboard call upper hello                       prints HELLO
  switchboard subscribe 'home/#'                     print what is published below home/
  switchboard publish home/lamp on                   tell everybody who subscribes
  switchboard put greeting hi                        keep a value under a key
  switchboard get greeting                           prints hi, also after a restart

Exit status:
  0   done
  1   Error: the caller's fault, or the responder failed; the same call would fail again
  64  wrong arguments or configuration
  69  no hub answers
  75  Retry: it may work later
  130, 143  ended by Ctrl-C, by SIGTERM

Environment:
  SWITCHBOARD_HUB          where the hub is, as --hub
  SWITCHBOARD_CA           certificates to trust, as --ca
  SWITCHBOARD_CONFIG       the configuration file, as --config
  SWITCHBOARD_SECTION_KEY  overrides `key` of [section] in the file: SWITCHBOARD_LOG_LEVEL=debug
  NO_COLOR                 no colour in the log";

/// One daemon through which programs talk, whatever they speak.
///
/// `switchboard serve` runs the hub. Programs connect to it, offer operations that others call, and publish messages
/// that others subscribe to. The other commands are such programs themselves, for scripts and for people.
#[derive(Debug, Parser)]
#[command(name = "switchboard", version, after_long_help = AFTER_HELP, max_term_width = 110)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Where the hub is: tcp://HOST:PORT, tls://HOST:PORT, unix://PATH, ws://HOST:PORT or wss://HOST:PORT
    ///
    /// ws:// and wss:// lead to its HTTP door, also through proxies that only let HTTP pass.
    ///
    /// Without it, the Unix socket `switchboard.sock` in the data directory if it is there, else
    /// tcp://127.0.0.1:4700.
    #[arg(
        long,
        value_name = "URL",
        env = "SWITCHBOARD_HUB",
        hide_env_values = true,
        global = true,
        display_order = 900
    )]
    pub hub: Option<String>,
    /// PEM file of the certificates to trust at a tls:// or wss:// hub, instead of those that the system trusts
    ///
    /// For a hub that runs with --tls-self-signed: the file self-signed.crt in its data directory.
    #[arg(
        long,
        value_name = "FILE",
        env = "SWITCHBOARD_CA",
        hide_env_values = true,
        value_hint = ValueHint::FilePath,
        global = true,
        display_order = 901
    )]
    pub ca: Option<PathBuf>,
}

/// All commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the hub
    Serve(serve::ServeArgs),
    /// Commands that talk to a hub.
    #[command(flatten)]
    Hub(HubCommand),
    /// Commands that need no hub.
    #[command(flatten)]
    Tool(ToolCommand),
}

/// Commands that talk to a hub.
#[derive(Debug, Subcommand)]
pub enum HubCommand {
    /// Call an operation and print its result
    Call(calls::CallArgs),
    /// Make any program an operation that others can call
    Handle(calls::HandleArgs),
    /// Publish a message to a topic
    Publish(topics::PublishArgs),
    /// Print the messages of topics as they are published
    Subscribe(topics::SubscribeArgs),
    /// Keep a value under a key
    Put(keys::PutArgs),
    /// Print the value of a key
    Get(keys::GetArgs),
    /// Delete keys
    Delete(keys::DeleteArgs),
    /// Add to a number that is kept under a key
    Incr(keys::IncrArgs),
    /// List keys
    Keys(keys::KeysArgs),
    /// Print changes of keys as they happen
    Watch(keys::WatchArgs),
    /// List the operations that can be called
    Ops(inspect::ListArgs),
    /// List who is connected
    Sessions(inspect::ListArgs),
    /// Copy the state of a running hub into a new data folder
    Backup(state::BackupArgs),
    /// Measure how many calls, messages or bytes a second go through a hub
    Bench(bench::BenchArgs),
}

/// Commands that need no hub.
#[derive(Debug, Subcommand)]
pub enum ToolCommand {
    /// Write the whole state into a file
    Export(state::ExportArgs),
    /// Take a whole state in from a file
    Import(state::ImportArgs),
    /// Print the default configuration, check one, or show what is in effect
    Config(tools::ConfigArgs),
    /// Print a completion script for a shell
    Completions(tools::CompletionsArgs),
    /// Print the manual page, or write the pages of all commands
    Man(tools::ManArgs),
}
