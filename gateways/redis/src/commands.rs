//! The commands, a file for each group.

pub(crate) mod bitmaps;
pub(crate) mod clients;
pub(crate) mod connection;
pub(crate) mod expiry;
pub(crate) mod generic;
pub(crate) mod hashes;
pub(crate) mod hub;
pub(crate) mod lists;
pub(crate) mod memento;
pub(crate) mod pubsub;
pub(crate) mod scripting;
pub(crate) mod server;
pub(crate) mod sets;
pub(crate) mod sorted_sets;
pub(crate) mod strings;
pub(crate) mod transactions;

use crate::args::Args;
use crate::command::Run;
use crate::conversation::{Conversation, Step};
use crate::refusal::Refusal;
use crate::table;

/// Lists the subcommands of a command: `CLIENT HELP`.
pub(crate) fn help(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    let Some(Run::Container(subcommands)) = table::find(args.at(0)).map(|command| command.run) else {
        return Err(Refusal::SYNTAX);
    };
    talk.reply.array(1 + subcommands.len() * 2);
    let name = String::from_utf8_lossy(args.at(0)).to_uppercase();
    talk.reply.simple(&format!(
        "{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    ));
    for sub in subcommands {
        let name = sub.name.split_once('|').map_or(sub.name, |(_, name)| name);
        talk.reply
            .simple(format!("{} {}", name.to_uppercase(), sub.syntax).trim_end());
        talk.reply.simple(&format!("    {}", sub.summary));
    }
    Ok(Step::Done)
}
