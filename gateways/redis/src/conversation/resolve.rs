//! Which command is meant.

use crate::args::Args;
use crate::command::{Command, Run};
use crate::refusal::Refusal;

/// Which command is meant, when its subcommands are looked at too, with the right number of arguments.
pub(crate) fn resolve(command: &'static Command, args: &Args) -> Result<&'static Command, Refusal> {
    let command = match command.run {
        Run::Container(subcommands) if args.len() > 1 => {
            let is_meant = |sub: &&Command| {
                let name = sub.name.split_once('|').map_or(sub.name, |(_, name)| name);
                args.is(1, name)
            };
            subcommands.iter().find(is_meant).ok_or_else(|| {
                Refusal::of(format!(
                    "ERR unknown subcommand '{}'. Try {} HELP.",
                    shown(args.at(1)),
                    command.name.to_uppercase()
                ))
            })?
        }
        Run::Container(_) => return Err(wrong_arity(command)),
        _ => command,
    };
    let count = i32::try_from(args.len()).unwrap_or(i32::MAX);
    if (command.arity >= 0 && count != command.arity) || count < -command.arity {
        return Err(wrong_arity(command));
    }
    Ok(command)
}

fn wrong_arity(command: &Command) -> Refusal {
    Refusal::of(format!(
        "ERR wrong number of arguments for '{}' command",
        command.name
    ))
}

/// The beginning of what was sent, as errors show it.
fn shown(arg: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 128;
    String::from_utf8_lossy(arg.get(..SHOWN_BYTES_MAX).unwrap_or(arg)).into_owned()
}

/// There is no such command.
pub(super) fn unknown(args: &Args) -> Refusal {
    const SHOWN_BYTES_MAX: usize = 128;
    let mut beginning = String::new();
    for arg in args.from(1).iter() {
        let Some(room) = SHOWN_BYTES_MAX
            .checked_sub(beginning.len())
            .filter(|room| *room > 0)
        else {
            break;
        };
        let text = String::from_utf8_lossy(arg.get(..room).unwrap_or(arg));
        beginning.push_str(&format!("'{text}' "));
    }
    Refusal::of(format!(
        "ERR unknown command '{}', with args beginning with: {beginning}",
        shown(args.at(0))
    ))
}
