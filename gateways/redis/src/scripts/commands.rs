//! `redis.call` and `redis.pcall`: commands that a script runs.

use bytes::Bytes;
use mlua::{Lua, MultiValue, Value};
use switchboard_hub::keys::{Cells, EngineError};

use super::numbers::general;
use super::raise;
use super::reader::{self, Answered};
use super::watch::Watch;
use crate::args::Args;
use crate::call::{Call, Effects};
use crate::command::{Command, Flag, KeyFunction, Run};
use crate::refusal::Refusal;
use crate::reply::{Protocol, Reply};
use crate::table;

const NOT_ALLOWED: Refusal = Refusal::new("ERR This Redis command is not allowed from script");

/// What a script works on, while it runs.
pub(super) struct Commands<'r, 'e> {
    pub(super) cells: &'r mut Cells<'e>,
    pub(super) effects: &'r mut Effects,
    pub(super) watch: &'r Watch,
    /// Whether it only looks.
    pub(super) is_read_only: bool,
    /// Used again for each answer.
    pub(super) reply: Reply,
}

/// What a command is, for a script.
enum Meaning {
    /// A function on keys; and whether nothing can be an answer of it.
    Keys(KeyFunction),
    /// One that needs no keys.
    Own(Own),
}

/// Commands that do without keys.
#[derive(Clone, Copy)]
enum Own {
    Echo,
    Ping,
    Publish,
    Time,
}

impl Commands<'_, '_> {
    /// Runs a command.
    ///
    /// # Errors
    /// When the script must end, or memory does not suffice. What the command refuses is no error here.
    pub(super) fn call(&mut self, lua: &Lua, values: &MultiValue) -> mlua::Result<Answered> {
        self.watch.check()?;
        self.reply.truncate(0);
        if let Err(refusal) = self.execute(values) {
            return Ok(Answered::Error(refusal.as_str().to_owned()));
        }
        // A command that would wait has answered nothing.
        if self.reply.len() == 0 {
            self.reply.null_array();
        }
        self.watch.check_bytes(self.reply.len())?;
        let answered = reader::read(lua, self.reply.bytes());
        /// A buffer that is kept has at most so many bytes.
        const KEPT_BYTES_MAX: usize = 64 * 1024;
        if self.reply.len() > KEPT_BYTES_MAX {
            self.reply = Reply::new(Protocol::Resp2);
        }
        answered
    }

    fn execute(&mut self, values: &MultiValue) -> Result<(), Refusal> {
        let args = args_of(values)?;
        let command = self.command(&args)?;
        match meaning(command)? {
            Meaning::Own(own) => self.own(own, &args),
            Meaning::Keys(function) => function(&mut Call {
                args: &args,
                cells: self.cells,
                reply: &mut self.reply,
                effects: self.effects,
                is_waiting: false,
            })
            .map_err(|refusal| self.undeclared(command, &args).unwrap_or(refusal)),
        }
    }

    /// The command that is meant, if the script may use it.
    fn command(&self, args: &Args) -> Result<&'static Command, Refusal> {
        let unknown = Refusal::new("ERR Unknown Redis command called from script");
        let mut command = table::find(args.at(0)).ok_or_else(|| unknown.clone())?;
        if let Run::Container(subcommands) = command.run {
            let is_meant = |sub: &&Command| {
                let name = sub.name.split_once('|').map_or(sub.name, |(_, name)| name);
                args.is(1, name)
            };
            command = subcommands.iter().find(is_meant).ok_or(unknown)?;
        }
        let count = i32::try_from(args.len()).unwrap_or(i32::MAX);
        if (command.arity >= 0 && count != command.arity) || count < -command.arity {
            return Err(Refusal::new(
                "ERR Wrong number of args calling Redis command from script",
            ));
        }
        if command.flags.contains(&Flag::NoScript) {
            return Err(NOT_ALLOWED);
        }
        let is_write = command.flags.contains(&Flag::Write) || command.name == "publish";
        if self.is_read_only && is_write {
            return Err(Refusal::new(
                "ERR Write commands are not allowed from read-only scripts.",
            ));
        }
        Ok(command)
    }

    /// What to say where the engine does not let the script at a key.
    fn undeclared(&mut self, command: &Command, args: &Args) -> Option<Refusal> {
        let keys = command.keys.of(args).ok()?;
        let error = keys.iter().find_map(|key| self.cells.cell(key).err())?;
        match error {
            EngineError::Invalid(why) => Some(Refusal::of(format!(
                "ERR Script attempted to access a non declared key: {why}"
            ))),
            _ => None,
        }
    }

    fn own(&mut self, own: Own, args: &Args) -> Result<(), Refusal> {
        match own {
            Own::Echo => self.reply.bulk(args.at(1)),
            Own::Ping => match args.get(1) {
                Some(text) => self.reply.bulk(text),
                None => self.reply.simple("PONG"),
            },
            Own::Publish => {
                let channel = args.text(1)?;
                self.effects.publish(channel.to_string(), args.share(2));
                // Who hears of it is known only when the script is done.
                self.reply.integer(0);
            }
            Own::Time => {
                let millis = self.cells.now().as_millis();
                self.reply.array(2);
                self.reply.bulk((millis / 1000).to_string().as_bytes());
                self.reply.bulk((millis % 1000 * 1000).to_string().as_bytes());
            }
        }
        Ok(())
    }
}

fn meaning(command: &Command) -> Result<Meaning, Refusal> {
    match (command.run, command.name) {
        (Run::Keys(function) | Run::Blocking(function, _), _) => Ok(Meaning::Keys(function)),
        (_, "echo") => Ok(Meaning::Own(Own::Echo)),
        (_, "ping") => Ok(Meaning::Own(Own::Ping)),
        (_, "publish") => Ok(Meaning::Own(Own::Publish)),
        (_, "time") => Ok(Meaning::Own(Own::Time)),
        _ => Err(NOT_ALLOWED),
    }
}

fn args_of(values: &MultiValue) -> Result<Args, Refusal> {
    if values.is_empty() {
        return Err(Refusal::new(
            "ERR Please specify at least one argument for this redis lib call",
        ));
    }
    values.iter().map(arg).collect()
}

fn arg(value: &Value) -> Result<Bytes, Refusal> {
    /// As many digits as tell all numbers apart.
    const DIGITS: usize = 17;
    match value {
        Value::String(text) => Ok(Bytes::copy_from_slice(&text.as_bytes())),
        Value::Integer(number) => Ok(general(*number as f64, DIGITS).into()),
        Value::Number(number) => Ok(general(*number, DIGITS).into()),
        _ => Err(Refusal::new(
            "ERR Lua redis lib command arguments must be strings or integers",
        )),
    }
}

/// `redis.call`: what the command refuses is raised.
pub(super) fn call(commands: &mut Commands<'_, '_>, lua: &Lua, values: &MultiValue) -> mlua::Result<Value> {
    match commands.call(lua, values)? {
        Answered::Value(value) => Ok(value),
        Answered::Error(words) => Err(raise::answer(words)),
    }
}

/// `redis.pcall`: what the command refuses is a table with `err`.
pub(super) fn protected_call(
    commands: &mut Commands<'_, '_>,
    lua: &Lua,
    values: &MultiValue,
) -> mlua::Result<Value> {
    match commands.call(lua, values)? {
        Answered::Value(value) => Ok(value),
        Answered::Error(words) => {
            let table = lua.create_table_with_capacity(0, 1)?;
            table.raw_set("err", words)?;
            Ok(Value::Table(table))
        }
    }
}
