//! Commands on their way through the engine.

use switchboard_hub::keys::{Cells, Edit, Key, Reach};

use crate::args::Args;
use crate::call::{Call, Effects};
use crate::command::{Command, Flag, KeyFunction};
use crate::reply::Reply;

/// One command on keys. It takes the answers so far with it, and adds its own.
pub(crate) struct KeyCommand {
    pub(crate) command: &'static Command,
    pub(crate) function: KeyFunction,
    pub(crate) args: Args,
    pub(crate) keys: Vec<Key>,
    pub(crate) reply: Reply,
    pub(crate) effects: Effects,
    /// How much was answered before.
    pub(crate) answered: usize,
}

impl Edit for KeyCommand {
    fn reach(&self) -> Reach<'_> {
        Reach::Keys(&self.keys)
    }

    fn changes(&self) -> bool {
        self.command.flags.contains(&Flag::Write)
    }

    fn run(&mut self, cells: &mut Cells<'_>) {
        self.reply.truncate(self.answered);
        self.effects.clear();
        let outcome = (self.function)(&mut Call {
            args: &self.args,
            cells,
            reply: &mut self.reply,
            effects: &mut self.effects,
        });
        if let Err(refusal) = outcome {
            // What it had answered until then is no answer.
            self.reply.truncate(self.answered);
            self.reply.refusal(&refusal);
        }
    }
}
