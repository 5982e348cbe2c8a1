//! The server itself: what it can do, how it does, and all of its keys.

use std::time::SystemTime;

use switchboard_hub::Stored;

use crate::args::Args;
use crate::command::{Command, Flag, Group, Keys, Run, Support};
use crate::conversation::{Conversation, Step, resolve};
use crate::refusal::Refusal;
use crate::table;

mod config;
mod info;
mod listing;

const fn own(
    name: &'static str,
    arity: i32,
    since: &'static str,
    summary: &'static str,
    syntax: &'static str,
    support: Support,
    run: Run,
) -> Command {
    Command {
        name,
        arity,
        flags: &[Flag::Fast],
        keys: Keys::None,
        since,
        summary,
        complexity: "O(1)",
        syntax,
        support,
        run,
    }
}

const fn flushing(name: &'static str, summary: &'static str, run: Run) -> Command {
    Command {
        name,
        arity: -1,
        flags: &[Flag::Write],
        keys: Keys::None,
        since: "1.0.0",
        summary,
        complexity: "O(N) for N keys",
        syntax: "[ASYNC | SYNC]",
        support: Support::Differs("not one step: what is written meanwhile may stay"),
        run,
    }
}

const CONTAINER: &str = "depends on the subcommand";

const fn container(
    name: &'static str,
    since: &'static str,
    summary: &'static str,
    subcommands: &'static [Command],
) -> Command {
    Command {
        name,
        arity: -2,
        flags: &[],
        keys: Keys::None,
        since,
        summary,
        complexity: CONTAINER,
        syntax: "",
        support: Support::Full,
        run: Run::Container(subcommands),
    }
}

/// See the module.
pub(crate) static GROUP: Group = Group {
    name: "server",
    title: "Server",
    commands: &[
        own(
            "command",
            -1,
            "2.8.13",
            "Tells of all commands.",
            "",
            Support::Full,
            Run::Session(listing::command),
        ),
        container(
            "config",
            "2.0.0",
            "Tells and changes settings.",
            &[
                own(
                    "config|get",
                    -3,
                    "2.0.0",
                    "Tells settings.",
                    "parameter [parameter ...]",
                    Support::Differs("what clients look at: the daemon has its own configuration"),
                    Run::Session(config::get),
                ),
                own(
                    "config|help",
                    2,
                    "5.0.0",
                    "Lists the subcommands.",
                    "",
                    Support::Full,
                    Run::Session(super::help),
                ),
                own(
                    "config|resetstat",
                    2,
                    "2.0.0",
                    "Begins to count anew.",
                    "",
                    Support::Differs("answers, but counts on"),
                    Run::Session(ok),
                ),
                own(
                    "config|set",
                    -4,
                    "2.0.0",
                    "Changes a setting, until the daemon ends.",
                    "parameter value [parameter value ...]",
                    Support::Differs("only notify-keyspace-events"),
                    Run::Session(config::set),
                ),
            ],
        ),
        own(
            "dbsize",
            1,
            "1.0.0",
            "Counts the keys of the database.",
            "",
            Support::Full,
            Run::Session(dbsize),
        ),
        flushing(
            "flushall",
            "Deletes the keys of all databases.",
            Run::Session(flushall),
        ),
        flushing(
            "flushdb",
            "Deletes the keys of the database.",
            Run::Session(flushdb),
        ),
        own(
            "info",
            -1,
            "1.0.0",
            "Tells how the server does.",
            "[section [section ...]]",
            Support::Differs("what clients look at; the daemon has metrics of its own"),
            Run::Session(info::info),
        ),
        own(
            "lastsave",
            1,
            "1.0.0",
            "Tells when everything was last saved.",
            "",
            Support::Differs("now: everything is on its way to the disk at once"),
            Run::Session(lastsave),
        ),
        container(
            "latency",
            "2.8.13",
            "Tells what was slow.",
            &[
                own(
                    "latency|help",
                    2,
                    "2.8.13",
                    "Lists the subcommands.",
                    "",
                    Support::Full,
                    Run::Session(super::help),
                ),
                own(
                    "latency|latest",
                    2,
                    "2.8.13",
                    "Tells what was slow lately.",
                    "",
                    Support::Differs("nothing is kept"),
                    Run::Session(nothing),
                ),
                own(
                    "latency|reset",
                    -2,
                    "2.8.13",
                    "Forgets what was slow.",
                    "[event [event ...]]",
                    Support::Differs("nothing is kept"),
                    Run::Session(zero),
                ),
            ],
        ),
        container(
            "memory",
            "4.0.0",
            "Tells what memory is used for.",
            &[
                own(
                    "memory|help",
                    2,
                    "4.0.0",
                    "Lists the subcommands.",
                    "",
                    Support::Full,
                    Run::Session(super::help),
                ),
                Command {
                    name: "memory|usage",
                    arity: -3,
                    flags: &[Flag::ReadOnly],
                    keys: Keys::Range {
                        first: 2,
                        last: 2,
                        step: 1,
                    },
                    since: "4.0.0",
                    summary: "Tells how many bytes a key takes.",
                    complexity: "O(N) for N bytes",
                    syntax: "key [SAMPLES count]",
                    support: Support::Differs("about: its encoding, its name and a fixed part"),
                    run: Run::Session(memory_usage),
                },
            ],
        ),
        own(
            "role",
            1,
            "2.8.12",
            "Tells that this is a master without replicas.",
            "",
            Support::Full,
            Run::Session(role),
        ),
        own(
            "shutdown",
            -1,
            "1.0.0",
            "Stops the server.",
            "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
            Support::Differs("refused: the daemon is stopped by whoever runs it"),
            Run::Session(shutdown),
        ),
        container(
            "slowlog",
            "2.2.12",
            "Tells what was slow.",
            &[
                own(
                    "slowlog|get",
                    -2,
                    "2.2.12",
                    "Tells what was slow.",
                    "[count]",
                    Support::Differs("nothing is kept"),
                    Run::Session(nothing),
                ),
                own(
                    "slowlog|help",
                    2,
                    "6.2.0",
                    "Lists the subcommands.",
                    "",
                    Support::Full,
                    Run::Session(super::help),
                ),
                own(
                    "slowlog|len",
                    2,
                    "2.2.12",
                    "Counts what was slow.",
                    "",
                    Support::Differs("nothing is kept"),
                    Run::Session(zero),
                ),
                own(
                    "slowlog|reset",
                    2,
                    "2.2.12",
                    "Forgets what was slow.",
                    "",
                    Support::Full,
                    Run::Session(ok),
                ),
            ],
        ),
        own(
            "swapdb",
            3,
            "4.0.0",
            "Swaps two databases.",
            "index1 index2",
            Support::Differs("refused"),
            Run::Session(swapdb),
        ),
        own(
            "time",
            1,
            "2.6.0",
            "Tells the time.",
            "",
            Support::Full,
            Run::Session(time),
        ),
        own(
            "wait",
            3,
            "3.0.0",
            "Waits for replicas.",
            "numreplicas timeout",
            Support::Differs("there are none: 0, at once"),
            Run::Session(zero),
        ),
    ],
};

fn ok(talk: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    talk.reply.ok();
    Ok(Step::Done)
}

fn zero(talk: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    talk.reply.integer(0);
    Ok(Step::Done)
}

fn nothing(talk: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    talk.reply.array(0);
    Ok(Step::Done)
}

fn dbsize(talk: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    let count = talk.session.keys()?.count(talk.bucket())?;
    Ok(Step::then(async move {
        let count = count.await?;
        Ok(move |talk: &mut Conversation| talk.reply.integer(i64::try_from(count).unwrap_or(i64::MAX)))
    }))
}

fn check_flush(args: &Args) -> Result<(), Refusal> {
    match args.len() {
        1 => Ok(()),
        2 if args.is(1, "ASYNC") || args.is(1, "SYNC") => Ok(()),
        _ => Err(Refusal::SYNTAX),
    }
}

/// Answers `OK` when all of it is done.
fn all_done(clears: Vec<Stored<()>>) -> Step {
    Step::then(async move {
        for clear in clears {
            clear.await?;
        }
        Ok(|talk: &mut Conversation| talk.reply.ok())
    })
}

pub(crate) fn flushdb(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    check_flush(args)?;
    Ok(all_done(vec![talk.session.keys()?.clear(talk.bucket())?]))
}

fn flushall(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    check_flush(args)?;
    let (session, shared) = (talk.session.clone(), talk.shared.clone());
    let buckets = session.keys()?.buckets();
    Ok(Step::then(async move {
        let buckets = buckets.await?;
        for bucket in buckets.iter().filter(|bucket| shared.database(bucket).is_some()) {
            // Begun here, and awaited without holding on to the session's keys.
            let clear = session.keys()?.clear(bucket)?;
            clear.await?;
        }
        Ok(|talk: &mut Conversation| talk.reply.ok())
    }))
}

fn seconds() -> std::time::Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

fn time(talk: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    let now = seconds();
    talk.reply.array(2);
    talk.reply.bulk(now.as_secs().to_string().as_bytes());
    talk.reply.bulk(now.subsec_micros().to_string().as_bytes());
    Ok(Step::Done)
}

fn lastsave(talk: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    let now = i64::try_from(seconds().as_secs()).unwrap_or(i64::MAX);
    talk.reply.integer(now);
    Ok(Step::Done)
}

fn role(talk: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    talk.reply.array(3);
    talk.reply.bulk(b"master");
    talk.reply.integer(0);
    talk.reply.array(0);
    Ok(Step::Done)
}

fn shutdown(_: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    Err(Refusal::new(
        "ERR SHUTDOWN is not possible here: stop the daemon where it runs",
    ))
}

fn swapdb(_: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    Err(Refusal::new(
        "ERR SWAPDB is not possible: databases are buckets, which have names",
    ))
}

/// What a key takes beside its name and its value.
const KEY_OVERHEAD_BYTES: usize = 64;

fn memory_usage(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    let key = args.key(2)?;
    let samples = args.len() == 5 && args.is(3, "SAMPLES") && args.integer(4).is_ok();
    if args.len() != 3 && !samples {
        return Err(Refusal::SYNTAX);
    }
    let entry = talk.session.keys()?.get(talk.bucket(), &key)?;
    let name = key.as_bytes().len();
    Ok(Step::then(async move {
        let entry = entry.await?;
        Ok(move |talk: &mut Conversation| match entry {
            Some(entry) => talk.reply.count(entry.value.len() + name + KEY_OVERHEAD_BYTES),
            None => talk.reply.null(),
        })
    }))
}

/// Which arguments of a command are keys, for `COMMAND GETKEYS`.
fn keys_of(args: &Args) -> Result<Vec<usize>, Refusal> {
    let command = table::find(args.at(0)).ok_or(Refusal::new("ERR Invalid command specified"))?;
    let command = resolve(command, args)
        .map_err(|_| Refusal::new("ERR Invalid number of arguments specified for command"))?;
    let keys = command.keys.indices(args)?;
    if keys.is_empty() {
        return Err(Refusal::new("ERR The command has no key arguments"));
    }
    Ok(keys)
}
