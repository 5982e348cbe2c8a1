//! `config`, `completions`, `man`: commands that need no hub and no runtime.

use anyhow::Context;
use clap::CommandFactory;

use crate::{
    cli::{
        Cli,
        tools::{CompletionsArgs, ConfigArgs, ConfigCommand, ManArgs},
    },
    config::{self, Sources},
    output,
};

/// The command's name, as completions and manual pages know it.
const NAME: &str = "switchboard";

/// `switchboard config …`
pub(super) fn config(args: &ConfigArgs) -> anyhow::Result<()> {
    match &args.command {
        ConfigCommand::Default => output::print(config::DEFAULT_FILE.as_bytes())?,
        ConfigCommand::Check(which) => {
            let sources = Sources::of_process(which.file.clone());
            config::load(&sources)?;
            let name = sources
                .file
                .map_or_else(|| "no file".to_owned(), |file| file.display().to_string());
            output::print(format!("{name}: good\n").as_bytes())?;
        }
        ConfigCommand::Show(which) => {
            let loaded = config::load(&Sources::of_process(which.file.clone()))?;
            output::print(loaded.to_toml().as_bytes())?;
        }
    }
    Ok(())
}

/// `switchboard completions SHELL`
pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), NAME, &mut script);
    Ok(output::print(&script)?)
}

/// `switchboard man`
pub(super) fn man(args: &ManArgs) -> anyhow::Result<()> {
    let command = Cli::command();
    if let Some(dir) = &args.dir {
        let failed = || format!("cannot write manual pages into {}", dir.display());
        std::fs::create_dir_all(dir).with_context(failed)?;
        return clap_mangen::generate_to(command, dir).with_context(failed);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(output::print(&page)?)
}
