//! Commands on their way through the engine.

use switchboard_hub::keys::{Cells, Edit, Key, Reach};

use crate::args::Args;
use crate::call::{Call, Effects};
use crate::command::{Command, Flag, KeyFunction};
use crate::reply::{Protocol, Reply};

/// One command on keys, which brings its answer back. It is used again for the next one.
pub(crate) struct KeyCommand {
    pub(crate) command: &'static Command,
    pub(crate) function: KeyFunction,
    pub(crate) args: Args,
    pub(crate) keys: Vec<Key>,
    pub(crate) reply: Reply,
    pub(crate) effects: Effects,
    /// Whether it may reach other keys, too.
    pub(crate) reaches_any: bool,
    /// Whether it was tried before, and waits.
    pub(crate) is_waiting: bool,
}

/// A buffer of an answer that is kept for the next one has at most so many bytes.
const KEPT_BYTES_MAX: usize = 64 * 1024;

impl KeyCommand {
    pub(crate) fn new(command: &'static Command, function: KeyFunction, protocol: Protocol) -> Self {
        Self {
            command,
            function,
            args: Args::default(),
            keys: Vec::new(),
            reply: Reply::new(protocol),
            effects: Effects::default(),
            reaches_any: false,
            is_waiting: false,
        }
    }

    /// Forgets what was asked and answered: what was read is a part of a buffer that others wait for.
    pub(crate) fn clear(&mut self) {
        self.args.clear();
        self.keys.clear();
        self.reaches_any = false;
        self.effects.clear();
        self.is_waiting = false;
        self.reply.truncate(0);
        self.reply.shrink(KEPT_BYTES_MAX);
    }
}

impl Edit for KeyCommand {
    fn reach(&self) -> Reach<'_> {
        if self.reaches_any {
            return Reach::Any;
        }
        Reach::Keys(&self.keys)
    }

    fn narrow(&mut self) -> bool {
        self.reaches_any = false;
        true
    }

    fn changes(&self) -> bool {
        self.command.flags.contains(&Flag::Write)
    }

    fn run(&mut self, cells: &mut Cells<'_>) {
        self.reply.truncate(0);
        self.effects.clear();
        let outcome = (self.function)(&mut Call {
            args: &self.args,
            cells,
            reply: &mut self.reply,
            effects: &mut self.effects,
            is_waiting: self.is_waiting,
        });
        if let Err(refusal) = outcome {
            // What it had answered until then is no answer.
            self.reply.truncate(0);
            self.reply.refusal(&refusal);
        }
    }
}
