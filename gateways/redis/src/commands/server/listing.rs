//! `COMMAND`: all commands, from their table.

use crate::args::Args;
use crate::command::{Command, Flag, Keys, Run};
use crate::conversation::{Conversation, Step};
use crate::glob::Glob;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::table;

use super::keys_of;

pub(super) fn command(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    if args.len() == 1 {
        let all = table::all();
        talk.reply.array(all.len());
        all.iter().for_each(|command| describe(&mut talk.reply, command));
        return Ok(Step::Done);
    }
    let subcommand = String::from_utf8_lossy(args.at(1)).to_lowercase();
    match &*subcommand {
        "count" if args.len() == 2 => talk.reply.count(table::all().len()),
        "docs" => docs(&mut talk.reply, args),
        "info" => infos(&mut talk.reply, args),
        "list" => list(&mut talk.reply, args)?,
        "getkeys" if args.len() > 2 => {
            let command: Args = args.from(2).iter().collect();
            let keys = keys_of(&command)?;
            talk.reply.array(keys.len());
            for index in keys {
                talk.reply.bulk(command.at(index));
            }
        }
        "help" => help(&mut talk.reply),
        "count" | "getkeys" => {
            return Err(Refusal::of(format!(
                "ERR wrong number of arguments for 'command|{subcommand}' command"
            )));
        }
        _ => {
            return Err(Refusal::of(format!(
                "ERR unknown subcommand '{}'. Try COMMAND HELP.",
                String::from_utf8_lossy(args.at(1))
            )));
        }
    }
    Ok(Step::Done)
}

fn help(reply: &mut Reply) {
    let lines = [
        "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "(no subcommand)",
        "    Tells of all commands.",
        "COUNT",
        "    Counts the commands.",
        "DOCS [command-name [command-name ...]]",
        "    Tells what commands do.",
        "GETKEYS command [arg [arg ...]]",
        "    Tells which arguments are keys.",
        "INFO [command-name [command-name ...]]",
        "    Tells of commands.",
        "LIST [FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
        "    Lists the names of commands.",
    ];
    reply.array(lines.len());
    lines.iter().for_each(|line| reply.simple(line));
}

/// The commands that are named; all, if none is.
fn named(args: &Args) -> Vec<Option<&'static Command>> {
    if args.len() == 2 {
        return table::all().into_iter().map(Some).collect();
    }
    args.from(2).iter().map(|name| table::find_whole(name)).collect()
}

fn infos(reply: &mut Reply, args: &Args) {
    let named = named(args);
    reply.array(named.len());
    for command in named {
        match command {
            Some(command) => describe(reply, command),
            None => reply.null_array(),
        }
    }
}

fn docs(reply: &mut Reply, args: &Args) {
    let found: Vec<_> = named(args).into_iter().flatten().collect();
    reply.map(found.len());
    for command in found {
        document(reply, command);
    }
}

fn document(reply: &mut Reply, command: &Command) {
    reply.bulk(command.name.as_bytes());
    let subcommands = subcommands(command);
    reply.map(5 - usize::from(subcommands.is_empty()));
    let group = table::group_of(command.name);
    for (name, value) in [
        ("summary", command.summary),
        ("since", command.since),
        ("group", group),
        ("complexity", command.complexity),
    ] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    if !subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(subcommands.len());
        subcommands.iter().for_each(|sub| document(reply, sub));
    }
}

fn list(reply: &mut Reply, args: &Args) -> Result<(), Refusal> {
    let mut names: Vec<_> = table::all().into_iter().collect();
    if args.len() > 2 {
        if args.len() != 5 || !args.is(2, "FILTERBY") {
            return Err(Refusal::SYNTAX);
        }
        if args.is(3, "PATTERN") {
            let pattern = Glob::new(&args.at(4).to_ascii_lowercase());
            names.retain(|command| pattern.matches(command.name.as_bytes()));
        } else if args.is(3, "ACLCAT") {
            let category = String::from_utf8_lossy(args.at(4)).to_lowercase();
            names.retain(|command| {
                categories(command)
                    .iter()
                    .any(|known| known.get(1..) == Some(&category))
            });
        } else if args.is(3, "MODULE") {
            names.clear();
        } else {
            return Err(Refusal::SYNTAX);
        }
    }
    reply.array(names.len());
    for command in names {
        reply.bulk(command.name.as_bytes());
    }
    Ok(())
}

fn subcommands(command: &Command) -> &'static [Command] {
    match command.run {
        Run::Container(subcommands) => subcommands,
        _ => &[],
    }
}

fn word(flag: Flag) -> Option<&'static str> {
    Some(match flag {
        Flag::Write => "write",
        Flag::ReadOnly => "readonly",
        Flag::DenyOom => "denyoom",
        Flag::Admin => "admin",
        Flag::PubSub => "pubsub",
        Flag::NoScript => "noscript",
        Flag::Blocking => "blocking",
        Flag::Fast => "fast",
        Flag::NoAuth => "no_auth",
        Flag::NoMulti => "no_multi",
        Flag::Feeds | Flag::AnyKey | Flag::KeysByPattern => return None,
    })
}

fn categories(command: &Command) -> Vec<&'static str> {
    let has = |flag| command.flags.contains(&flag);
    let mut categories = Vec::new();
    let mut add = |is_one: bool, category| {
        if is_one {
            categories.push(category);
        }
    };
    add(has(Flag::Write), "@write");
    add(has(Flag::ReadOnly), "@read");
    add(has(Flag::Admin), "@admin");
    add(has(Flag::PubSub), "@pubsub");
    add(has(Flag::Blocking), "@blocking");
    add(has(Flag::Fast), "@fast");
    add(!has(Flag::Fast), "@slow");
    match table::group_of(command.name) {
        "generic" => add(true, "@keyspace"),
        "string" => add(true, "@string"),
        "bitmap" => add(true, "@bitmap"),
        "list" => add(true, "@list"),
        "set" => add(true, "@set"),
        "hash" => add(true, "@hash"),
        "sorted-set" => add(true, "@sortedset"),
        "connection" => add(true, "@connection"),
        "transactions" => add(true, "@transaction"),
        _ => {}
    }
    categories
}

fn describe(reply: &mut Reply, command: &Command) {
    let (first, last, step) = match command.keys {
        Keys::None | Keys::Numbered { target: None, .. } => (0, 0, 0),
        Keys::Range { first, last, step } => (first, last, step),
        Keys::Numbered { target: Some(at), .. } => (at, 1, 1),
        Keys::FirstAndStore => (1, 1, 1),
    };
    reply.array(10);
    reply.bulk(command.name.as_bytes());
    reply.integer(i64::from(command.arity));
    let mut flags: Vec<_> = command.flags.iter().filter_map(|flag| word(*flag)).collect();
    if matches!(command.keys, Keys::Numbered { .. }) {
        flags.push("movablekeys");
    }
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.simple(flag));
    reply.count(first);
    reply.integer(i64::from(last));
    reply.count(step);
    let categories = categories(command);
    reply.set(categories.len());
    categories.iter().for_each(|category| reply.simple(category));
    reply.array(0);
    reply.array(0);
    let subcommands = subcommands(command);
    reply.array(subcommands.len());
    subcommands.iter().for_each(|sub| describe(reply, sub));
}
