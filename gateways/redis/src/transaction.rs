//! `MULTI`: commands that are kept, and then done in one step.
//!
//! Those on keys become one [edit](Execution). Those on the connection or the hub cannot be a part of it: they are done
//! right after it, in their order, and their answers stand where they belong.

use switchboard_hub::keys::{Cells, Edit, Key, Reach, Revision};

use crate::args::Args;
use crate::call::{Call, Effects};
use crate::command::{Command, Flag, KeyFunction, Patience, Run, SessionFunction};
use crate::commands::generic::copy;
use crate::conversation::{Conversation, Later, Step, returned};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::{limits, long};

/// What is kept until `EXEC`.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    queued: Vec<(&'static Command, Args)>,
    bytes: usize,
    /// Whether something was refused, so that nothing will be done.
    is_doomed: bool,
}

/// A key that must not change until `EXEC`.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) database: u32,
    pub(crate) key: Key,
    /// The write that made what it had.
    pub(crate) revision: Option<Revision>,
}

/// What a command in a transaction may not be.
const NOT_ALLOWED: Refusal = Refusal::new("ERR Command not allowed inside a transaction");

impl Transaction {
    /// How many commands wait.
    pub(crate) fn len(&self) -> usize {
        self.queued.len()
    }

    /// Nothing will be done.
    pub(crate) fn doom(&mut self) {
        self.is_doomed = true;
        self.queued = Vec::new();
    }
}

impl Conversation {
    /// Keeps a command for later.
    pub(crate) fn queue(&mut self, command: &'static Command, args: &Args) -> Result<Step, Refusal> {
        if command.flags.contains(&Flag::NoMulti) {
            return Err(NOT_ALLOWED);
        }
        if command.name == "select" && args.integer(1).ok() != Some(i64::from(self.database)) {
            return Err(Refusal::new(
                "ERR SELECT of another database is not possible inside a transaction",
            ));
        }
        if command.name == "copy" && copy::leads_elsewhere(args, self.database) {
            return Err(Refusal::new(
                "ERR COPY to another database is not possible inside a transaction",
            ));
        }
        let (commands_max, bytes_max) = {
            let options = &self.shared.options;
            (options.queued_commands_max, options.queued_bytes_max)
        };
        let Some(transaction) = &mut self.transaction else {
            return Ok(Step::Done);
        };
        if !transaction.is_doomed {
            transaction.bytes += args.bytes();
            if transaction.queued.len() >= commands_max || transaction.bytes > bytes_max {
                return Err(Refusal::of(format!(
                    "ERR too much is queued: at most {commands_max} commands with {bytes_max} bytes are possible"
                )));
            }
            // It may stay for long, and what it was read into should not.
            transaction.queued.push((command, args.unshared()));
        }
        self.reply.simple("QUEUED");
        Ok(Step::Done)
    }

    /// Does all that was kept.
    pub(crate) fn execute_queued(&mut self) -> Result<Step, Refusal> {
        let transaction = self
            .transaction
            .take()
            .ok_or(Refusal::new("ERR EXEC without MULTI"))?;
        let watched = std::mem::take(&mut self.watched);
        if transaction.is_doomed {
            return Err(Refusal::new(
                "EXECABORT Transaction discarded because of previous errors.",
            ));
        }
        if watched.iter().any(|watched| watched.database != self.database) {
            return Err(Refusal::new(
                "ERR keys watched in another database cannot be compared",
            ));
        }
        let execution = Box::new(Execution::new(
            transaction.queued,
            watched,
            &self.reply,
            self.database,
        ));
        if !execution.is_on_keys() {
            return Ok(self.conclude(execution, 0));
        }
        let keys = self.session.keys()?;
        let stored = long::through(execution.parts.len(), || keys.edit(self.bucket(), execution))?;
        match stored.now() {
            Ok(edit) => {
                let execution = returned(edit?)?;
                Ok(self.begin_conclusion(execution))
            }
            Err(stored) => Ok(Step::Execute(stored)),
        }
    }

    /// Answers once the edit is through.
    pub(crate) fn begin_conclusion(&mut self, execution: Box<Execution>) -> Step {
        if execution.is_stale {
            self.reply.null_array();
            return Step::Done;
        }
        self.tell(&execution.effects);
        self.conclude(execution, 0)
    }

    /// Answers, from one part on.
    pub(crate) fn conclude(&mut self, mut execution: Box<Execution>, from: usize) -> Step {
        if from == 0 {
            self.reply.array(execution.parts.len());
        }
        for index in from..execution.parts.len() {
            let Some(part) = execution.parts.get(index) else {
                break;
            };
            match part.work {
                Work::Keys(..) => {
                    let (begin, end) = part.answer;
                    let answer = execution.reply.bytes().get(begin..end).unwrap_or_default();
                    self.reply.raw(answer);
                }
                Work::Session(function) => match function(self, &part.args) {
                    Ok(Step::Later(later)) => return Step::Conclude(execution, index + 1, later),
                    Ok(_) => {}
                    Err(refusal) => self.reply.refusal(&refusal),
                },
                Work::Nothing => self.reply.refusal(&NOT_ALLOWED),
            }
        }
        Step::Done
    }

    /// Goes on after a part whose answer took time.
    pub(crate) async fn concluded(&mut self, step: Step) -> Result<(), Refusal> {
        let mut step = match step {
            Step::Execute(stored) => {
                let execution = returned(stored.await?)?;
                self.begin_conclusion(execution)
            }
            step => step,
        };
        while let Step::Conclude(execution, next, later) = step {
            self.hear(later).await;
            step = self.conclude(execution, next);
        }
        Ok(())
    }

    /// Answers what comes later.
    pub(crate) async fn hear(&mut self, later: Later) {
        match later.await {
            Ok(say) => say(self),
            Err(refusal) => self.reply.refusal(&refusal),
        }
    }
}

/// All commands of a transaction, on their way through the engine.
pub(crate) struct Execution {
    parts: Vec<Part>,
    keys: Vec<Key>,
    watched: Vec<Watched>,
    reply: Reply,
    effects: Effects,
    /// With more bytes of answers, nothing more is done.
    answer_bytes_max: usize,
    /// Whether one of them may reach other keys, too.
    reaches_any: bool,
    /// Whether a key that was watched has changed.
    is_stale: bool,
}

struct Part {
    command: &'static Command,
    args: Args,
    work: Work,
    /// Where its answer stands.
    answer: (usize, usize),
}

#[derive(Clone, Copy)]
enum Work {
    Keys(KeyFunction, Option<Patience>),
    Session(SessionFunction),
    Nothing,
}

impl Execution {
    fn new(
        queued: Vec<(&'static Command, Args)>,
        watched: Vec<Watched>,
        reply: &Reply,
        database: u32,
    ) -> Self {
        let mut keys: Vec<_> = watched.iter().map(|watched| watched.key.clone()).collect();
        let part = |(command, args): (&'static Command, Args)| {
            let work = match command.run {
                Run::Keys(function) => Work::Keys(function, None),
                Run::Blocking(function, patience) => Work::Keys(function, Some(patience)),
                Run::Session(function) => Work::Session(function),
                Run::Container(_) => Work::Nothing,
            };
            // What is no key is refused by the command itself.
            let _ = command.keys.add(&args, &mut keys);
            Part {
                command,
                args,
                work,
                answer: (0, 0),
            }
        };
        let parts: Vec<_> = queued.into_iter().map(part).collect();
        let reaches_any = |part: &Part| part.command.reaches_any(&part.args);
        Self {
            reaches_any: parts.iter().any(reaches_any),
            parts,
            keys,
            watched,
            reply: Reply::new(reply.protocol),
            effects: Effects::in_database(database),
            answer_bytes_max: limits::ANSWER_BYTES_MAX,
            is_stale: false,
        }
    }

    /// Whether there is something to do for the engine.
    fn is_on_keys(&self) -> bool {
        let is_on_keys = |part: &Part| matches!(part.work, Work::Keys(..));
        !self.watched.is_empty() || self.parts.iter().any(is_on_keys)
    }

    fn is_changed(&self, cells: &mut Cells<'_>) -> bool {
        self.watched.iter().any(|watched| {
            let cell = cells.cell(&watched.key);
            cell.map(|cell| cell.revision()) != Ok(watched.revision)
        })
    }
}

impl Edit for Execution {
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
        self.parts
            .iter()
            .any(|part| part.command.flags.contains(&Flag::Write))
    }

    fn run(&mut self, cells: &mut Cells<'_>) {
        self.reply.truncate(0);
        self.effects.clear();
        self.is_stale = self.is_changed(cells);
        if self.is_stale {
            return;
        }
        for part in &mut self.parts {
            let Work::Keys(function, patience) = part.work else {
                continue;
            };
            let begin = self.reply.len();
            // What there is no room to answer is not done at all.
            let outcome = limits::check_answer_within(begin, self.answer_bytes_max).and_then(|()| {
                function(&mut Call {
                    args: &part.args,
                    cells,
                    reply: &mut self.reply,
                    effects: &mut self.effects,
                    is_waiting: false,
                })
            });
            if let Err(refusal) = outcome {
                self.reply.truncate(begin);
                self.reply.refusal(&refusal);
            }
            if self.reply.len() == begin {
                // Nothing is waited for here.
                match patience {
                    Some(patience) if !patience.is_array => self.reply.null(),
                    _ => self.reply.null_array(),
                }
            }
            part.answer = (begin, self.reply.len());
        }
    }
}

/// Looks up which write made what a key has.
pub(crate) struct LookAtRevision {
    pub(crate) key: [Key; 1],
    pub(crate) revision: Option<Revision>,
}

impl Edit for LookAtRevision {
    fn reach(&self) -> Reach<'_> {
        Reach::Keys(&self.key)
    }

    fn changes(&self) -> bool {
        false
    }

    fn run(&mut self, cells: &mut Cells<'_>) {
        let [key] = &self.key;
        self.revision = cells.cell(key).ok().and_then(|cell| cell.revision());
    }
}

#[cfg(test)]
mod tests {
    use switchboard_engine::keys::edit;
    use switchboard_hub::keys::{Cell, Timestamp};

    use super::*;
    use crate::reply::Protocol;
    use crate::table;

    #[test]
    fn answers_together_have_a_bound() {
        let commands = [
            vec!["GET", "a"],
            vec!["SETNX", "b", "1"],
            vec!["GET", "a"],
            vec!["GETDEL", "a"],
        ];
        let queued = commands.into_iter().map(|words| {
            let command = table::find(words[0].as_bytes()).unwrap();
            (command, words.into_iter().collect())
        });
        let mut execution = Execution::new(queued.collect(), Vec::new(), &Reply::new(Protocol::Resp2), 0);
        // Less than the answers of the first three, 26, and more than those of the first two.
        execution.answer_bytes_max = 25;
        let mut cells = Cells::new(Timestamp::from_millis(1), None);
        let (a, b) = (Key::new("a").unwrap(), Key::new("b").unwrap());
        let value = edit::Content::Plain(b"value");
        cells.add(
            a.clone(),
            Cell::present(value, Revision(1), Timestamp::from_millis(1), None),
        );
        cells.add(b.clone(), Cell::absent());
        execution.run(&mut cells);
        let answers = String::from_utf8(execution.reply.bytes().to_vec()).unwrap();
        assert_eq!(
            answers,
            "$5\r\nvalue\r\n:1\r\n$5\r\nvalue\r\n-ERR the answer would have more than 25 bytes: ask for less at \
             once\r\n"
        );
        assert!(cells.cell(&a).unwrap().is_present());
        assert!(cells.cell(&b).unwrap().is_present());
    }
}
