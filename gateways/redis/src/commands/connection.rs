//! The connection itself: who talks, in which protocol, to which database.

use crate::args::Args;
use crate::command::{Command, Flag, Group, Keys, Run, Support};
use crate::conversation::{Conversation, Step};
use crate::refusal::Refusal;
use crate::reply::{Protocol, Reply};

/// The version of Redis that clients take this for: what they may expect to be there.
pub(crate) const VERSION: &str = "7.2.4";

const NO_PASSWORD: Refusal = Refusal::new(
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
);
const WRONG_PASSWORD: Refusal = Refusal::new("WRONGPASS invalid username-password pair or user is disabled.");

/// See the module.
pub(crate) static GROUP: Group = Group {
    name: "connection",
    title: "Connection",
    commands: &[
        Command {
            name: "auth",
            arity: -2,
            flags: &[Flag::NoScript, Flag::Fast, Flag::NoAuth],
            keys: Keys::None,
            since: "1.0.0",
            summary: "Logs in.",
            complexity: "O(1)",
            syntax: "[username] password",
            support: Support::Differs(
                "there are no accounts yet: everybody is `default`, who has no password",
            ),
            run: Run::Session(auth),
        },
        super::clients::COMMAND,
        Command {
            name: "echo",
            arity: 2,
            flags: &[Flag::Fast],
            keys: Keys::None,
            since: "1.0.0",
            summary: "Says what it was told.",
            complexity: "O(1)",
            syntax: "message",
            support: Support::Full,
            run: Run::Session(echo),
        },
        Command {
            name: "hello",
            arity: -1,
            flags: &[Flag::NoScript, Flag::Fast, Flag::NoAuth, Flag::NoMulti],
            keys: Keys::None,
            since: "6.0.0",
            summary: "Chooses the protocol, and tells who answers.",
            complexity: "O(1)",
            syntax: "[protover [AUTH username password] [SETNAME clientname]]",
            support: Support::Full,
            run: Run::Session(hello),
        },
        Command {
            name: "ping",
            arity: -1,
            flags: &[Flag::Fast],
            keys: Keys::None,
            since: "1.0.0",
            summary: "Answers, to show that it is there.",
            complexity: "O(1)",
            syntax: "[message]",
            support: Support::Full,
            run: Run::Session(ping),
        },
        Command {
            name: "quit",
            arity: -1,
            flags: &[Flag::NoScript, Flag::Fast, Flag::NoAuth],
            keys: Keys::None,
            since: "1.0.0",
            summary: "Closes the connection.",
            complexity: "O(1)",
            syntax: "",
            support: Support::Full,
            run: Run::Session(quit),
        },
        Command {
            name: "reset",
            arity: 1,
            flags: &[Flag::NoScript, Flag::Fast, Flag::NoAuth],
            keys: Keys::None,
            since: "6.2.0",
            summary: "Makes the connection as it was at first.",
            complexity: "O(1)",
            syntax: "",
            support: Support::Full,
            run: Run::Session(reset),
        },
        Command {
            name: "select",
            arity: 2,
            flags: &[Flag::Fast],
            keys: Keys::None,
            since: "1.0.0",
            summary: "Changes to another database.",
            complexity: "O(1)",
            syntax: "index",
            support: Support::Full,
            run: Run::Session(select),
        },
    ],
};

fn auth(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    match args.len() {
        2 => return Err(NO_PASSWORD),
        // Who has no password is let in with any.
        3 if args.at(1) == b"default" => talk.reply.ok(),
        3 => return Err(WRONG_PASSWORD),
        _ => return Err(Refusal::SYNTAX),
    }
    Ok(Step::Done)
}

fn echo(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    talk.reply.bulk(args.at(1));
    Ok(Step::Done)
}

fn ping(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    let is_subscribed = talk.subscriptions.is_some() && talk.reply.protocol == Protocol::Resp2;
    match args.len() {
        1 | 2 if is_subscribed => {
            talk.reply.array(2);
            talk.reply.bulk(b"pong");
            talk.reply.bulk(args.at(1));
        }
        1 => talk.reply.simple("PONG"),
        2 => talk.reply.bulk(args.at(1)),
        _ => return Err(Refusal::new("ERR wrong number of arguments for 'ping' command")),
    }
    Ok(Step::Done)
}

fn quit(talk: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    talk.reply.ok();
    Ok(Step::Close)
}

fn reset(talk: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    talk.reset();
    talk.reply.simple("RESET");
    Ok(Step::Done)
}

fn select(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    talk.database = talk.check_database(args.database(1)?)?;
    talk.reply.ok();
    Ok(Step::Done)
}

fn hello(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    let mut protocol = talk.reply.protocol;
    if args.len() > 1 {
        protocol = match args.integer(1) {
            Ok(2) => Protocol::Resp2,
            Ok(3) => Protocol::Resp3,
            Ok(_) => return Err(Refusal::new("NOPROTO unsupported protocol version")),
            Err(_) => {
                return Err(Refusal::new(
                    "ERR Protocol version is not an integer or out of range",
                ));
            }
        };
    }
    let (mut name, mut at) = (None, 2);
    while at < args.len() {
        let left = args.len() - at - 1;
        if args.is(at, "AUTH") && left >= 2 {
            if args.at(at + 1) != b"default" {
                return Err(WRONG_PASSWORD);
            }
            at += 3;
        } else if args.is(at, "SETNAME") && left >= 1 {
            name = Some(check_name(args, at + 1)?);
            at += 2;
        } else {
            return Err(Refusal::of(format!(
                "ERR Syntax error in HELLO option '{}'",
                String::from_utf8_lossy(args.at(at))
            )));
        }
    }
    if let Some(name) = name {
        talk.client.state.lock().name = name;
    }
    talk.speak(protocol);
    introduce(&mut talk.reply, talk.client.id, protocol);
    Ok(Step::Done)
}

fn introduce(reply: &mut Reply, id: u64, protocol: Protocol) {
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.integer(if protocol == Protocol::Resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(i64::try_from(id).unwrap_or(i64::MAX));
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(b"master");
    reply.bulk(b"modules");
    reply.array(0);
}

/// A name that a client gives itself.
pub(crate) fn check_name(args: &Args, index: usize) -> Result<bytes::Bytes, Refusal> {
    let name = args.at(index);
    if name.iter().any(|byte| !(b'!'..=b'~').contains(byte)) {
        return Err(Refusal::new(
            "ERR Client names cannot contain spaces, newlines or special characters.",
        ));
    }
    Ok(bytes::Bytes::copy_from_slice(name))
}
