//! Arguments of `config`, `completions` and `man`: no hub needed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use clap_complete::Shell;

const CONFIG_AFTER_HELP: &str = "\
Examples:
  switchboard config default > switchboard.toml
  switchboard config check switchboard.toml
  SWITCHBOARD_LOG_LEVEL=debug switchboard config show";

/// `switchboard config`
#[derive(Debug, Clone, Args)]
#[command(after_long_help = CONFIG_AFTER_HELP)]
pub struct ConfigArgs {
    /// What about it.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What about the configuration.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Print the default configuration file, with every setting explained
    Default,
    /// Tell everything that is wrong with a configuration; exit status 0 if it is good, 64 if not
    Check(ConfigFile),
    /// Print the configuration that is in effect, and where each setting comes from
    Show(ConfigFile),
}

/// Which file to read.
#[derive(Debug, Clone, Args)]
pub struct ConfigFile {
    /// Configuration file
    ///
    /// Without it, ./switchboard.toml, else /etc/switchboard/switchboard.toml, else none. Environment variables
    /// SWITCHBOARD_SECTION_KEY count, as they do for `serve`.
    #[arg(value_name = "FILE", env = "SWITCHBOARD_CONFIG", hide_env_values = true, value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
}

const COMPLETIONS_AFTER_HELP: &str = "\
Examples:
  switchboard completions bash > /etc/bash_completion.d/switchboard
  switchboard completions zsh > \"${fpath[1]}/_switchboard\"
  switchboard completions fish > ~/.config/fish/completions/switchboard.fish";

/// `switchboard completions`
#[derive(Debug, Clone, Args)]
#[command(after_long_help = COMPLETIONS_AFTER_HELP)]
pub struct CompletionsArgs {
    /// Shell to write it for
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

const MAN_AFTER_HELP: &str = "\
Examples:
  switchboard man | man -l -
  switchboard man --dir /usr/local/share/man/man1";

/// `switchboard man`
#[derive(Debug, Clone, Args)]
#[command(after_long_help = MAN_AFTER_HELP)]
pub struct ManArgs {
    /// Write the pages of all commands into this folder, made if it is not there
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}
