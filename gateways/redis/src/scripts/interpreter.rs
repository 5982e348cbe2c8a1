//! A Lua state that runs scripts, one after the other. They share nothing but what it has compiled.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use foldhash::{HashMap, HashMapExt as _};

use mlua::{ChunkMode, Function, HookTriggers, Lua, LuaOptions, MultiValue, StdLib, Table, Value, VmState};
use switchboard_hub::keys::Cells;

use super::commands::{self, Commands};
use super::raise::{self, Raised};
use super::watch::{Failure, Watch};
use super::{
    Digest, Script, ScriptLimits, answer, api, bits, cjson, library, messagepack, numeric, packing, strings,
    tables,
};
use crate::call::Effects;
use crate::refusal::Refusal;
use crate::reply::{Protocol, Reply};
use crate::words::WordSlice;

/// What scripts see, as far as it is written in Lua.
const PRELUDE: &str = include_str!("prelude.lua");
/// What the source of a script is called in errors.
const NAME: &str = "@user_script";
/// After so many instructions the clock is looked at. One may take as long as copying all of the memory does.
const INSTRUCTIONS_UNTIL_CHECK: u32 = 250;
/// A state that has compiled more scripts is not used again.
const COMPILED_MAX: usize = 500;
/// A state that needs more after a run is not used again.
const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A Lua state.
pub(super) struct Interpreter {
    lua: Lua,
    watch: Arc<Watch>,
    compiled: HashMap<Digest, Function>,
    /// Makes the globals of a run.
    environment: Function,
    /// Runs a function, and has a handler of errors look at what ends it.
    run: Function,
    handler: Function,
    limits: ScriptLimits,
    is_spent: bool,
}

/// What is to be run, on what.
pub(crate) struct Work<'w, 'e> {
    pub(crate) script: &'w Script,
    pub(crate) keys: WordSlice<'w>,
    pub(crate) args: WordSlice<'w>,
    pub(crate) is_read_only: bool,
    pub(crate) cells: &'w mut Cells<'e>,
    pub(crate) effects: &'w mut Effects,
    pub(crate) reply: &'w mut Reply,
}

impl Interpreter {
    /// # Errors
    /// When memory does not suffice.
    pub(super) fn new(limits: ScriptLimits) -> mlua::Result<Self> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
        let lua = Lua::new_with(libraries, LuaOptions::default())?;
        lua.set_memory_limit(limits.memory_bytes_max)?;
        let watch = Arc::new(Watch::new(limits.memory_bytes_max));
        let tools = tools(&lua, &watch)?;
        let prelude = lua.load(PRELUDE).set_name("=redis").set_mode(ChunkMode::Text);
        prelude.call::<()>(&tools)?;
        let watched = Arc::clone(&watch);
        let triggers = HookTriggers::new().every_nth_instruction(INSTRUCTIONS_UNTIL_CHECK);
        lua.set_global_hook(triggers, move |_, _| watched.check().map(|()| VmState::Continue))?;
        Ok(Self {
            environment: tools.raw_get("environment")?,
            run: tools.raw_get("run")?,
            handler: handler(&lua, &watch)?,
            lua,
            watch,
            compiled: HashMap::new(),
            limits,
            is_spent: false,
        })
    }

    /// Whether another script should not use it.
    pub(super) fn is_spent(&self) -> bool {
        self.is_spent || self.compiled.len() > COMPILED_MAX || self.lua.used_memory() > KEPT_BYTES_MAX
    }

    /// Makes sure that a script can be run.
    ///
    /// # Errors
    /// When it is no Lua.
    pub(super) fn compile(&mut self, script: &Script) -> Result<Function, Refusal> {
        self.watch.begin(self.limits.time_max);
        if let Some(function) = self.compiled.get(&script.digest) {
            return Ok(function.clone());
        }
        let chunk = self
            .lua
            .load(&*script.code)
            .set_name(NAME)
            .set_mode(ChunkMode::Text);
        let function = chunk.into_function().map_err(|error| {
            self.is_spent = true;
            Refusal::of(format!(
                "ERR Error compiling script (new function): {}",
                raise::of(&error)
            ))
        })?;
        self.compiled.insert(script.digest, function.clone());
        Ok(function)
    }

    /// Runs a script, and answers what it gives back.
    ///
    /// # Errors
    /// When it is no Lua, or ends with an error.
    pub(super) fn run(&mut self, work: Work<'_, '_>) -> Result<(), Refusal> {
        let function = self.compile(work.script)?;
        let commands = RefCell::new(Commands {
            cells: work.cells,
            effects: work.effects,
            watch: &self.watch,
            is_read_only: work.is_read_only,
            reply: Reply::new(Protocol::Resp2),
        });
        let (reply, bytes_max) = (work.reply, self.limits.memory_bytes_max);
        let mut said = Ok(());
        let outcome = self.lua.scope(|scope| {
            let call = scope.create_function(|lua, values: MultiValue| {
                commands::call(&mut *commands.try_borrow_mut().map_err(recursive)?, lua, &values)
            })?;
            let protected_call = scope.create_function(|lua, values: MultiValue| {
                commands::protected_call(&mut *commands.try_borrow_mut().map_err(recursive)?, lua, &values)
            })?;
            let keys = self.strings(work.keys)?;
            let args = self.strings(work.args)?;
            let environment: Table = self.environment.call((keys, args, call, protected_call))?;
            function.set_environment(environment)?;
            let (is_done, value): (bool, Value) = self.run.call((&function, &self.handler))?;
            if is_done {
                said = answer::say(reply, &value, bytes_max);
            }
            Ok(is_done)
        });
        match outcome {
            Ok(true) => said,
            Ok(false) => Err(self.refusal(work.script)),
            Err(error) => {
                self.is_spent = true;
                Err(Refusal::of(format!("ERR {}", raise::of(&error))))
            }
        }
    }

    /// What to say of a script that ended with an error.
    fn refusal(&mut self, script: &Script) -> Refusal {
        let failure = self.watch.failure();
        let Some(failure) = failure.filter(|failure| !failure.is_expired) else {
            self.is_spent = true;
            if self.watch.check().is_err() {
                return Refusal::of(format!(
                    "ERR script ran for more than {}, and was ended; what it had changed stays",
                    seconds(self.limits.time_max)
                ));
            }
            return Refusal::new("ERR not enough memory, or the script calls itself too often");
        };
        let Failure { words, line, .. } = failure;
        match line {
            Some(line) => Refusal::of(format!(
                "{words} script: {}, on {NAME}:{line}.",
                script.digest.hex()
            )),
            None => Refusal::of(format!("{words} script: {}", script.digest.hex())),
        }
    }

    fn strings(&self, strings: WordSlice<'_>) -> mlua::Result<Table> {
        let table = self.lua.create_table_with_capacity(strings.len(), 0)?;
        for string in strings.iter() {
            table.raw_push(self.lua.create_string(string)?)?;
        }
        Ok(table)
    }
}

fn recursive<E>(_: E) -> mlua::Error {
    mlua::Error::RecursiveMutCallback
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

/// What the prelude gets.
fn tools(lua: &Lua, watch: &Arc<Watch>) -> mlua::Result<Table> {
    let globals = lua.globals();
    let libraries = lua.create_table()?;
    for name in ["string", "table", "math", "coroutine"] {
        libraries.raw_set(name, globals.raw_get::<Table>(name)?)?;
    }
    library::add(lua, watch, &libraries.raw_get("string")?, strings::ENTRIES)?;
    library::add(lua, watch, &libraries.raw_get("table")?, tables::ENTRIES)?;
    library::add(lua, watch, &libraries.raw_get("math")?, numeric::ENTRIES)?;
    let bit = lua.create_table()?;
    library::add(lua, watch, &bit, bits::ENTRIES)?;
    libraries.raw_set("bit", bit)?;
    let packing = lua.create_table()?;
    library::add(lua, watch, &packing, packing::ENTRIES)?;
    libraries.raw_set("struct", packing)?;
    libraries.raw_set("cmsgpack", messagepack::table(lua, watch)?)?;
    libraries.raw_set("cjson", cjson::table(lua, watch)?)?;

    let tools = lua.create_table()?;
    tools.raw_set("libraries", libraries)?;
    tools.raw_set("redis", api::table(lua, watch)?)?;
    let watched = Arc::clone(watch);
    tools.raw_set("alive", lua.create_function(move |_, ()| watched.check())?)?;
    for (name, wants_table) in [("caught", false), ("caught_table", true)] {
        let watch = Arc::clone(watch);
        let caught = lua.create_function(move |lua, value| raise::caught(lua, &watch, value, wants_table))?;
        tools.raw_set(name, caught)?;
    }
    tools.raw_set("compile", lua.create_function(compile)?)?;
    Ok(tools)
}

/// Compiles what a script makes itself: `loadstring`. Only text: what is compiled already could be made to do anything.
fn compile(
    lua: &Lua,
    (source, name, environment): (mlua::String, Option<mlua::String>, Table),
) -> mlua::Result<(Value, Value)> {
    let source = source.as_bytes();
    let name = name.map_or_else(
        || String::from_utf8_lossy(&source).into_owned(),
        |name| name.to_string_lossy(),
    );
    let name: String = name.chars().filter(|letter| *letter != '\0').take(256).collect();
    let chunk = lua.load(&*source).set_name(name).set_mode(ChunkMode::Text);
    match chunk.set_environment(environment).into_function() {
        Ok(function) => Ok((Value::Function(function), Value::Nil)),
        Err(error) => match raise::of(&error) {
            Raised::Expired => Err(error),
            raised => Ok((Value::Nil, Value::String(lua.create_string(raised.to_string())?))),
        },
    }
}

/// Looks at what ends a script, while one can still see where that is.
fn handler(lua: &Lua, watch: &Arc<Watch>) -> mlua::Result<Function> {
    let watch = Arc::clone(watch);
    lua.create_function(move |lua, value: Value| {
        let mut is_expired = false;
        let words = match &value {
            Value::Error(error) => match raise::of(error) {
                Raised::Answer(words) => words,
                Raised::Text(text) => format!("ERR {text}"),
                Raised::Expired => {
                    is_expired = true;
                    String::new()
                }
            },
            Value::Table(table) => match table.raw_get("err") {
                Ok(Value::String(words)) => words.to_string_lossy(),
                _ => "ERR the script ended with an error that is a table".to_owned(),
            },
            value => match lua.coerce_string(value.clone()) {
                Ok(Some(text)) => {
                    let text = text.as_bytes();
                    format!("ERR {}", String::from_utf8_lossy(raise::without_own_place(&text)))
                }
                _ => format!("ERR {}", super::arguments::type_name(value)),
            },
        };
        watch.fail(Failure {
            words,
            line: line(lua),
            is_expired,
        });
        Ok(())
    })
}

/// The line of the script that is at work.
fn line(lua: &Lua) -> Option<usize> {
    /// The handler, and what may be between it and the script, are not more.
    const LEVELS_MAX: usize = 32;
    (1..LEVELS_MAX)
        .map_while(|level| {
            lua.inspect_stack(level, |frame| {
                let is_script = frame.source().source.is_some_and(|source| source == NAME);
                frame.current_line().filter(|_| is_script)
            })
        })
        .flatten()
        .next()
}
