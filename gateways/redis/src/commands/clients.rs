//! `CLIENT`: who is connected, and what one is to them.

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::connection::check_name;
use crate::args::{Args, parse_integer};
use crate::clients::{Client, Order};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::conversation::{Conversation, Silence, Step};
use crate::refusal::Refusal;
use crate::reply::Protocol;

const fn sub(
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
        flags: &[Flag::NoScript],
        keys: Keys::None,
        since,
        summary,
        complexity: "O(1), or O(N) for N clients",
        syntax,
        support,
        run,
    }
}

/// `CLIENT`.
pub(crate) const COMMAND: Command = Command {
    name: "client",
    arity: -2,
    flags: &[],
    keys: Keys::None,
    since: "2.4.0",
    summary: "Tells of clients, and changes what one is to them.",
    complexity: "depends on the subcommand",
    syntax: "",
    support: Support::Full,
    run: Run::Container(SUBCOMMANDS),
};

const SUBCOMMANDS: &[Command] = &[
    sub(
        "client|getname",
        2,
        "2.6.9",
        "Tells the name of the connection.",
        "",
        Support::Full,
        Run::Session(getname),
    ),
    sub(
        "client|getredir",
        2,
        "6.0.0",
        "Tells where notes of changes go.",
        "",
        Support::Differs("-1: there is no tracking"),
        Run::Session(getredir),
    ),
    sub(
        "client|help",
        2,
        "5.0.0",
        "Lists the subcommands.",
        "",
        Support::Full,
        Run::Session(super::help),
    ),
    sub(
        "client|id",
        2,
        "5.0.0",
        "Tells the number of the connection.",
        "",
        Support::Full,
        Run::Session(id),
    ),
    sub(
        "client|info",
        2,
        "6.2.0",
        "Tells of the connection.",
        "",
        Support::Full,
        Run::Session(info),
    ),
    sub(
        "client|kill",
        -3,
        "2.4.0",
        "Closes connections.",
        "<ip:port | [ID client-id] [TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME <YES | NO>] [MAXAGE maxage]>",
        Support::Differs("only connections by this door"),
        Run::Session(kill),
    ),
    sub(
        "client|list",
        -2,
        "2.4.0",
        "Lists the connections.",
        "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]",
        Support::Differs("only connections by this door"),
        Run::Session(list),
    ),
    sub(
        "client|no-evict",
        3,
        "7.0.0",
        "Asks not to be closed when memory is short.",
        "<ON | OFF>",
        Support::Differs("nobody is closed for that"),
        Run::Session(on_or_off),
    ),
    sub(
        "client|no-touch",
        3,
        "7.2.0",
        "Asks that looking at keys is no use of them.",
        "<ON | OFF>",
        Support::Differs("no use is noted"),
        Run::Session(on_or_off),
    ),
    sub(
        "client|reply",
        3,
        "3.2.0",
        "Chooses what is answered.",
        "<ON | OFF | SKIP>",
        Support::Full,
        Run::Session(reply),
    ),
    sub(
        "client|setinfo",
        4,
        "7.2.0",
        "Says which library this is.",
        "<LIB-NAME libname | LIB-VER libver>",
        Support::Full,
        Run::Session(setinfo),
    ),
    sub(
        "client|setname",
        3,
        "2.6.9",
        "Names the connection.",
        "connection-name",
        Support::Full,
        Run::Session(setname),
    ),
    sub(
        "client|tracking",
        -3,
        "6.0.0",
        "Asks for notes of changes.",
        "<ON | OFF> ...",
        Support::Differs("refused: subscribe to keyspace notifications"),
        Run::Session(tracking),
    ),
    sub(
        "client|unblock",
        -3,
        "5.0.0",
        "Ends the wait of another client.",
        "client-id [TIMEOUT | ERROR]",
        Support::Full,
        Run::Session(unblock),
    ),
];

fn id(talk: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    talk.reply
        .integer(i64::try_from(talk.client.id).unwrap_or(i64::MAX));
    Ok(Step::Done)
}

fn getredir(talk: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    talk.reply.integer(-1);
    Ok(Step::Done)
}

fn getname(talk: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    let name = talk.client.state.lock().name.clone();
    talk.reply
        .bulk_or_null(Some(&*name).filter(|name| !name.is_empty()));
    Ok(Step::Done)
}

fn setname(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    talk.client.state.lock().name = check_name(args, 2)?;
    talk.reply.ok();
    Ok(Step::Done)
}

fn setinfo(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    let value = args.at(3);
    let (is_name, word) = match (args.is(2, "LIB-NAME"), args.is(2, "LIB-VER")) {
        (true, _) => (true, "lib-name"),
        (_, true) => (false, "lib-ver"),
        _ => {
            return Err(Refusal::of(format!(
                "ERR Unrecognized option '{}'",
                String::from_utf8_lossy(args.at(2))
            )));
        }
    };
    if value.iter().any(|byte| !(b'!'..=b'~').contains(byte)) {
        return Err(Refusal::of(format!(
            "ERR {word} cannot contain spaces, newlines or special characters."
        )));
    }
    let value = Bytes::copy_from_slice(value);
    let mut state = talk.client.state.lock();
    if is_name {
        state.library = value;
    } else {
        state.library_version = value;
    }
    drop(state);
    talk.reply.ok();
    Ok(Step::Done)
}

fn on_or_off(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    if !args.is(2, "ON") && !args.is(2, "OFF") {
        return Err(Refusal::SYNTAX);
    }
    talk.reply.ok();
    Ok(Step::Done)
}

fn tracking(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    if args.is(2, "OFF") && args.len() == 3 {
        talk.reply.ok();
        return Ok(Step::Done);
    }
    Err(Refusal::new(
        "ERR client tracking is not supported: subscribe to keyspace notifications instead",
    ))
}

fn reply(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    if args.is(2, "ON") {
        talk.silence = Silence::Off;
        talk.reply.ok();
    } else if args.is(2, "OFF") {
        talk.silence = Silence::On;
    } else if args.is(2, "SKIP") {
        if talk.silence != Silence::On {
            talk.silence = Silence::AfterThis;
        }
    } else {
        return Err(Refusal::SYNTAX);
    }
    Ok(Step::Done)
}

fn unblock(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    let order = match args.len() {
        3 => Order::Timeout,
        4 if args.is(3, "TIMEOUT") => Order::Timeout,
        4 if args.is(3, "ERROR") => Order::Unblock,
        _ => {
            return Err(Refusal::new(
                "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
            ));
        }
    };
    let id = u64::try_from(args.integer(2)?).unwrap_or_default();
    let waits = talk
        .shared
        .clients
        .find(id)
        .filter(|client| client.state.lock().is_blocked);
    if let Some(client) = &waits {
        client.order(order);
    }
    talk.reply.yes_or_no(waits.is_some());
    Ok(Step::Done)
}

fn info(talk: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    talk.note();
    let line = line(&talk.client);
    talk.reply.verbatim(&line);
    Ok(Step::Done)
}

fn list(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    talk.note();
    let mut clients = talk.shared.clients.all();
    if args.len() > 3 && args.is(2, "ID") {
        let ids = args.from(3).iter().map(parse_integer);
        let ids: Vec<_> = ids
            .collect::<Option<_>>()
            .ok_or(Refusal::new("ERR Invalid client ID"))?;
        clients.retain(|client| i64::try_from(client.id).is_ok_and(|id| ids.contains(&id)));
    } else if args.len() == 4 && args.is(2, "TYPE") {
        let kind = kind(args, 3)?;
        clients.retain(|client| is_of(client, kind));
    } else if args.len() > 2 {
        return Err(Refusal::SYNTAX);
    }
    let text: String = clients.iter().map(|client| line(client)).collect();
    talk.reply.verbatim(&text);
    Ok(Step::Done)
}

/// What a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    PubSub,
    /// What nobody is here.
    Other,
}

fn kind(args: &Args, index: usize) -> Result<Kind, Refusal> {
    let is = |word| args.is(index, word);
    match () {
        () if is("normal") => Ok(Kind::Normal),
        () if is("pubsub") => Ok(Kind::PubSub),
        () if is("master") || is("slave") || is("replica") => Ok(Kind::Other),
        () => Err(Refusal::of(format!(
            "ERR Unknown client type '{}'",
            String::from_utf8_lossy(args.at(index))
        ))),
    }
}

fn is_of(client: &Client, kind: Kind) -> bool {
    let state = client.state.lock();
    let subscribes = state.channels + state.patterns > 0;
    match kind {
        Kind::Normal => !subscribes,
        Kind::PubSub => subscribes,
        Kind::Other => false,
    }
}

/// A client in a line, as `CLIENT LIST` shows it.
fn line(client: &Client) -> String {
    let now = Instant::now();
    let state = client.state.lock().clone();
    let mut flags = String::new();
    for (is_so, flag) in [
        (state.channels + state.patterns > 0, 'P'),
        (state.queued.is_some(), 'x'),
        (state.is_blocked, 'b'),
    ] {
        if is_so {
            flags.push(flag);
        }
    }
    if flags.is_empty() {
        flags.push('N');
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut line = String::new();
    // Writing to memory does not fail.
    let _ = writeln!(
        line,
        "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags={flags} db={} sub={} psub={} ssub=0 multi={} \
         watch=0 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd={} \
         user=default redir=-1 resp={} lib-name={} lib-ver={}",
        client.id,
        client.address,
        client.local,
        text(&state.name),
        now.duration_since(client.since).as_secs(),
        now.duration_since(state.active).as_secs(),
        state.database,
        state.channels,
        state.patterns,
        state
            .queued
            .map_or(-1, |queued| i64::try_from(queued).unwrap_or(i64::MAX)),
        state.command,
        if state.protocol == Protocol::Resp3 { 3 } else { 2 },
        text(&state.library),
        text(&state.library_version),
    );
    line
}

/// Which clients to close.
#[derive(Debug, Default)]
struct Filter {
    id: Option<i64>,
    address: Option<String>,
    local: Option<String>,
    kind: Option<Kind>,
    age_min: Option<u64>,
    spares_self: bool,
}

impl Filter {
    fn read(args: &Args) -> Result<Self, Refusal> {
        let mut filter = Self {
            spares_self: true,
            ..Self::default()
        };
        if !args.len().is_multiple_of(2) {
            return Err(Refusal::SYNTAX);
        }
        for index in (2..args.len()).step_by(2) {
            let value = index + 1;
            let text = || String::from_utf8_lossy(args.at(value)).into_owned();
            match () {
                () if args.is(index, "ID") => {
                    let id = args.integer(value).ok().filter(|id| *id > 0);
                    filter.id = Some(id.ok_or(Refusal::new("ERR client-id should be greater than 0"))?);
                }
                () if args.is(index, "ADDR") => filter.address = Some(text()),
                () if args.is(index, "LADDR") => filter.local = Some(text()),
                () if args.is(index, "TYPE") => filter.kind = Some(kind(args, value)?),
                () if args.is(index, "USER") => {
                    if args.at(value) != b"default" {
                        return Err(Refusal::of(format!("ERR No such user '{}'", text())));
                    }
                }
                () if args.is(index, "MAXAGE") => {
                    let age = u64::try_from(args.integer(value)?);
                    filter.age_min = Some(age.map_err(|_| Refusal::NOT_AN_INTEGER)?);
                }
                () if args.is(index, "SKIPME") && args.is(value, "yes") => filter.spares_self = true,
                () if args.is(index, "SKIPME") && args.is(value, "no") => filter.spares_self = false,
                () => return Err(Refusal::SYNTAX),
            }
        }
        Ok(filter)
    }

    fn is_for(&self, client: &Client, own: u64) -> bool {
        let is_id = |id: i64| i64::try_from(client.id) == Ok(id);
        let age = Instant::now().duration_since(client.since).as_secs();
        !(self.spares_self && client.id == own)
            && self.id.is_none_or(is_id)
            && self
                .address
                .as_ref()
                .is_none_or(|address| *address == client.address)
            && self.local.as_ref().is_none_or(|local| *local == client.local)
            && self.kind.is_none_or(|kind| is_of(client, kind))
            && self.age_min.is_none_or(|age_min| age >= age_min)
    }
}

fn kill(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    let clients = talk.shared.clients.all();
    let own = talk.client.id;
    // The old form names one by its address, and fails if it is not there.
    if args.len() == 3 {
        let address = String::from_utf8_lossy(args.at(2));
        let named = clients.iter().find(|client| client.address == address);
        let named = named.ok_or(Refusal::new("ERR No such client"))?;
        talk.reply.ok();
        return Ok(close(named, own));
    }
    let filter = Filter::read(args)?;
    let killed: Vec<&Arc<Client>> = clients
        .iter()
        .filter(|client| filter.is_for(client, own))
        .collect();
    talk.reply.count(killed.len());
    let mut step = Step::Done;
    for client in killed {
        if let Step::Close = close(client, own) {
            step = Step::Close;
        }
    }
    Ok(step)
}

/// Closes a client; itself only after the answer.
fn close(client: &Client, own: u64) -> Step {
    if client.id == own {
        return Step::Close;
    }
    client.order(Order::Kill);
    Step::Done
}
