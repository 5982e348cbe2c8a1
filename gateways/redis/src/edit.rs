//! Commands on their way through the engine.

use switchboard_hub::keys::{Cells, Edit, Key, Reach};

use crate::args::Args;
use crate::call::{Call, Effects};
use crate::command::{Command, Flag, KeyFunction};
use crate::reply::{Protocol, Reply};

/// Commands on keys, done one after the other in one step, which bring their answers back: mostly one; several where a
/// client sends more at once for the same key. They are used again for the next ones.
pub(crate) struct KeyCommands {
    /// What is to be done, and behind it what is used again.
    parts: Vec<Part>,
    /// How many are to be done.
    count: usize,
    /// So many are answered, and their answers taken.
    answered: usize,
    /// So many are done by the last run.
    done: usize,
    pub(crate) keys: Vec<Key>,
    pub(crate) reply: Reply,
    pub(crate) effects: Effects,
    /// With so many bytes of answers a run ends; what is left is for the next one.
    reply_bytes_max: usize,
    /// Whether they may reach other keys, too.
    reaches_any: bool,
    /// Whether it was tried before, and waits.
    pub(crate) is_waiting: bool,
}

/// One command.
struct Part {
    command: &'static Command,
    function: KeyFunction,
    args: Args,
}

/// A buffer of an answer that is kept for the next one has at most so many bytes.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// Most commands that are done together: as long as they take, nobody else can change what is near that key.
const TOGETHER_MAX: usize = 32;

impl KeyCommands {
    /// None yet.
    pub(crate) fn new(reply_bytes_max: usize) -> Self {
        Self {
            parts: Vec::new(),
            count: 0,
            answered: 0,
            done: 0,
            keys: Vec::new(),
            reply: Reply::new(Protocol::Resp2),
            effects: Effects::default(),
            reply_bytes_max,
            reaches_any: false,
            is_waiting: false,
        }
    }

    /// Adds a command whose keys were added. Its arguments are taken, and get memory that can be used again.
    pub(crate) fn add(&mut self, command: &'static Command, function: KeyFunction, args: &mut Args) {
        self.reaches_any |= command.reaches_any(args);
        match self.parts.get_mut(self.count) {
            Some(part) => {
                (part.command, part.function) = (command, function);
                std::mem::swap(&mut part.args, args);
            }
            None => self.parts.push(Part {
                command,
                function,
                args: std::mem::take(args),
            }),
        }
        self.count += 1;
    }

    /// Whether a command on `key` can be done together with these, which have one key.
    pub(crate) fn fits(&self, command: &Command, key: &[u8]) -> bool {
        let is_same_key = matches!(&*self.keys, [own] if own.as_bytes() == key);
        // What only looks is done also when nothing can be written.
        is_same_key && self.count < TOGETHER_MAX && command.flags.contains(&Flag::Write) == self.changes()
    }

    /// How many bytes the largest of them was sent in.
    pub(crate) fn bytes(&self) -> usize {
        let parts = self.parts.iter().take(self.count);
        parts.map(|part| part.args.sent_bytes()).max().unwrap_or_default()
    }

    /// How many are not answered.
    pub(crate) fn unanswered(&self) -> usize {
        self.count - self.answered
    }

    /// Takes note that the answers of the last run were taken.
    pub(crate) fn took_answers(&mut self) {
        self.answered = self.done;
        self.effects.clear();
    }

    /// The arguments of the first one.
    pub(crate) fn first_args(&self) -> Option<&Args> {
        self.parts.first().map(|part| &part.args)
    }

    /// Copies what was read: they may stay for long, and what was read with them should not.
    pub(crate) fn unshare(&mut self) {
        for part in &mut self.parts {
            part.args = part.args.unshared();
        }
        for key in &mut self.keys {
            *key = key.unshared();
        }
    }

    /// Forgets what was asked and answered: what was read is a part of a buffer that others wait for.
    pub(crate) fn clear(&mut self) {
        for part in self.parts.iter_mut().take(self.count) {
            part.args.clear();
        }
        (self.count, self.answered, self.done) = (0, 0, 0);
        self.keys.clear();
        self.reaches_any = false;
        self.effects.clear();
        self.is_waiting = false;
        self.reply.truncate(0);
        self.reply.shrink(KEPT_BYTES_MAX);
    }
}

impl Edit for KeyCommands {
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
        // They are all alike.
        let first = self.parts.first();
        first.is_some_and(|part| part.command.flags.contains(&Flag::Write))
    }

    fn run(&mut self, cells: &mut Cells<'_>) {
        self.reply.truncate(0);
        self.effects.clear();
        self.done = self.answered;
        for part in self.parts.iter().take(self.count).skip(self.answered) {
            let begin = self.reply.len();
            let outcome = (part.function)(&mut Call {
                args: &part.args,
                cells,
                reply: &mut self.reply,
                effects: &mut self.effects,
                is_waiting: self.is_waiting,
            });
            if let Err(refusal) = outcome {
                // What it had answered until then is no answer.
                self.reply.truncate(begin);
                self.reply.refusal(&refusal);
            }
            self.done += 1;
            if self.reply.len() >= self.reply_bytes_max {
                break;
            }
        }
    }
}
