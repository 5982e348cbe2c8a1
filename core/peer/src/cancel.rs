//! What is to happen when a caller gives its call up.

use std::sync::Weak;

use switchboard_wire::gotalk::RequestId;
use tokio_util::sync::CancellationToken;

use crate::connection::Connection;

/// Set at most once for a call, and fired at most once.
#[derive(Debug, Default)]
pub(crate) enum CancelHook {
    /// Nobody asked to be told.
    #[default]
    None,
    /// The caller is gone: whoever asks now is told at once.
    Fired,
    /// A handler that runs here.
    Token(CancellationToken),
    /// The call went on over another connection.
    Call {
        connection: Weak<Connection>,
        id: RequestId,
    },
}

impl CancelHook {
    pub(crate) fn fire(self) {
        match self {
            Self::None | Self::Fired => {}
            Self::Token(token) => token.cancel(),
            Self::Call { connection, id } => {
                if let Some(connection) = connection.upgrade() {
                    connection.abandon(id);
                }
            }
        }
    }

    /// Takes the hook to fire it outside of any lock, and remembers that it was.
    pub(crate) fn take_fired(&mut self) -> Self {
        std::mem::replace(self, Self::Fired)
    }

    /// Puts a hook in place. Hands it back to be fired if the caller is already gone.
    pub(crate) fn set(&mut self, new: Self) -> Option<Self> {
        if matches!(self, Self::Fired) {
            return Some(new);
        }
        *self = new;
        None
    }

    /// A token that fires with this hook.
    pub(crate) fn token(&mut self) -> CancellationToken {
        match self {
            Self::Token(token) => token.clone(),
            Self::Fired => {
                let token = CancellationToken::new();
                token.cancel();
                token
            }
            Self::None | Self::Call { .. } => {
                let token = CancellationToken::new();
                *self = Self::Token(token.clone());
                token
            }
        }
    }
}
