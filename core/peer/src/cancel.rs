//! What is to happen when a caller gives its call up.

use std::sync::Weak;

use switchboard_wire::gotalk::RequestId;
use tokio_util::sync::CancellationToken;

use crate::connection::Connection;

/// Who is to be told that one call was given up: the handler that runs here, the connection that the call went on
/// over, or both. Told at most once.
#[derive(Debug, Default)]
pub(crate) struct CancelHook {
    fired: bool,
    token: Option<CancellationToken>,
    forwarded: Option<Forwarded>,
}

/// A call that went on over another connection.
#[derive(Debug)]
pub(crate) struct Forwarded {
    pub(crate) connection: Weak<Connection>,
    pub(crate) id: RequestId,
}

/// Those to be told, taken out so that it happens outside of every lock.
#[derive(Debug)]
#[must_use = "whoever is in here waits to be told"]
pub(crate) struct Firing {
    token: Option<CancellationToken>,
    forwarded: Option<Forwarded>,
}

impl CancelHook {
    /// Whether the caller has given the call up.
    pub(crate) fn is_fired(&self) -> bool {
        self.fired
    }

    /// Notes that the caller has given the call up, and takes out those to be told.
    pub(crate) fn take_fired(&mut self) -> Firing {
        self.fired = true;
        Firing {
            token: self.token.take(),
            forwarded: self.forwarded.take(),
        }
    }

    /// Has the call that went on given up with this one. False if that has happened already.
    pub(crate) fn forward(&mut self, forwarded: Forwarded) -> bool {
        if !self.fired {
            self.forwarded = Some(forwarded);
        }
        !self.fired
    }

    /// A token that fires with this hook.
    pub(crate) fn token(&mut self) -> CancellationToken {
        if self.fired {
            return cancelled();
        }
        self.token.get_or_insert_default().clone()
    }
}

impl Firing {
    /// Tells them.
    pub(crate) fn fire(self) {
        if let Some(token) = self.token {
            token.cancel();
        }
        if let Some(Forwarded { connection, id }) = self.forwarded
            && let Some(connection) = connection.upgrade()
        {
            connection.abandon(id);
        }
    }
}

/// A token that has fired.
pub(crate) fn cancelled() -> CancellationToken {
    let token = CancellationToken::new();
    token.cancel();
    token
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nowhere() -> Forwarded {
        Forwarded {
            connection: Weak::new(),
            id: RequestId::from(1),
        }
    }

    #[test]
    fn a_token_fires_whether_or_not_the_call_went_on() {
        let mut hook = CancelHook::default();
        let before = hook.token();
        assert!(hook.forward(nowhere()));
        let after = hook.token();
        let firing = hook.take_fired();
        assert!(firing.forwarded.is_some());
        firing.fire();
        assert!(before.is_cancelled() && after.is_cancelled());
        assert!(hook.token().is_cancelled());
        assert!(!hook.forward(nowhere()), "it is too late to go on");
    }
}
