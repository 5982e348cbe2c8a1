//! What a session serves.

use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use switchboard_peer::{ErrorKind, Fault};

use super::Session;
use crate::call::Responder;
use crate::declaration::Declaration;
use crate::names;
use crate::permissions::Verb;
use crate::responders::Offer;

/// How long to wait before trying again what a full table of the hub refused.
const FULL_RETRY_WAIT: Duration = Duration::from_secs(1);

impl Session {
    /// Answers calls of an operation from now on, sharing them with others who serve it. Serving it again replaces the
    /// responder. The hub keeps the responder until the session ends, so that must not be what keeps the session.
    ///
    /// # Errors
    /// Invalid for an illegal name, denied for a reserved one, too large when the session serves as many as it may;
    /// Retry when the operation has as many responders as it may.
    pub fn serve(&self, operation: &str, responder: Arc<dyn Responder>) -> Result<(), Fault> {
        self.serve_declared(operation, responder, Declaration::default())
    }

    /// The same, saying something of the operation. Serving it again replaces that too.
    ///
    /// # Errors
    /// As [`Self::serve`].
    pub fn serve_declared(
        &self,
        operation: &str,
        responder: Arc<dyn Responder>,
        declaration: Declaration,
    ) -> Result<(), Fault> {
        let offer = Offer {
            responder,
            declaration,
            elsewhere: None,
        };
        self.offer(operation, offer).map_err(|fault| self.told(fault))
    }

    fn offer(&self, operation: &str, offer: Offer) -> Result<(), Fault> {
        names::check_operation(operation)?;
        self.core.permissions.check(Verb::Serve, operation)?;
        let mut state = self.core.state.lock();
        state.check_open()?;
        let config = &self.hub.config;
        if !state.serves.contains(operation) && state.serves.len() >= config.operations_per_session_max {
            return Err(Fault::error(
                ErrorKind::TooLarge,
                format!(
                    "this session serves {} operations, and may not serve more",
                    state.serves.len()
                ),
            ));
        }
        // Copied: what lives long must not keep a read buffer alive.
        let name = ByteString::from(operation);
        let max = config.responders_per_operation_max;
        self.hub
            .responders
            .insert(name.clone(), self.core.id, offer, max)
            .map_err(|_| {
                Fault::retry(
                    FULL_RETRY_WAIT,
                    format!("{max} responders share the operation {operation:?} already"),
                )
            })?;
        state.serves.insert(name);
        Ok(())
    }

    /// Gets no more calls of the operation; those in flight go on. False if the session did not serve it.
    pub fn unserve(&self, operation: &str) -> bool {
        let mut state = self.core.state.lock();
        let served = state.serves.remove(operation);
        if served {
            self.hub.responders.remove(operation, self.core.id);
        }
        served
    }

    /// Gets no more calls of anything, because whoever answered them cannot any more. As if the session had closed:
    /// for a while, calls of what nobody else serves are told to try again.
    pub fn lose_all(&self) {
        let serves = std::mem::take(&mut self.core.state.lock().serves);
        self.hub.lose(self.core.id, serves);
    }
}
