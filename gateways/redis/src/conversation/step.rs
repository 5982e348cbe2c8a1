//! How far a command has come.

use std::pin::Pin;

use switchboard_hub::Stored;
use switchboard_hub::keys::Edit;

use super::Conversation;
use crate::command::Patience;
use crate::edit::KeyCommands;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::transaction::Execution;

/// What is left to do for a command.
pub(crate) enum Step {
    /// Nothing: it was answered.
    Done,
    /// The engine needs time for so many commands.
    Edit(Stored<Box<dyn Edit>>, usize),
    /// The answer comes later.
    Later(Later),
    /// There is nothing yet: it waits, and is tried again.
    Wait(Box<KeyCommands>, Patience),
    /// The engine needs time for a transaction.
    Execute(Stored<Box<dyn Edit>>),
    /// Of a transaction, the answers from a part on are left; that of the part before comes later.
    Conclude(Box<Execution>, usize, Later),
    /// It was answered, and nothing follows.
    Close,
}

/// A command on keys that is done, or that the engine needs time for.
pub(crate) type Started = Result<Box<KeyCommands>, Stored<Box<dyn Edit>>>;

/// An answer that comes later.
pub(crate) type Later = Pin<Box<dyn Future<Output = Result<Say, Refusal>> + Send>>;

/// Says an answer.
pub(crate) type Say = Box<dyn FnOnce(&mut Conversation) + Send>;

impl Step {
    /// An answer that comes later.
    pub(crate) fn later<S: FnOnce(&mut Reply) + Send + 'static>(
        answer: impl Future<Output = Result<S, Refusal>> + Send + 'static,
    ) -> Self {
        Self::then(async {
            answer
                .await
                .map(|say| |talk: &mut Conversation| say(&mut talk.reply))
        })
    }

    /// An answer that comes later, and changes the connection.
    pub(crate) fn then<S: FnOnce(&mut Conversation) + Send + 'static>(
        answer: impl Future<Output = Result<S, Refusal>> + Send + 'static,
    ) -> Self {
        Self::Later(Box::pin(async { answer.await.map(|say| Box::new(say) as Say) }))
    }
}
