//! How the gateway behaves.

use std::time::Duration;

use switchboard_hub::{Policy, QueueLimits};
use switchboard_peer::Options;

/// How long calls may go on after the daemon began to drain: below the 10 s that a daemon usually allows in all, so
/// that the connections can still say good-bye.
const GRACE_DEFAULT: Duration = Duration::from_secs(9);

/// How each connection behaves, and what it gets if it does not say what it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayOptions {
    /// Limits and time-outs of each connection.
    pub peer: Options,
    /// The policy of subscriptions that name none. Default [`Policy::BLOCK`], since a notification between two gotalk
    /// peers is not lost either while both are well. Its time-out is also that of subscriptions that ask for `block`.
    pub policy: Policy,
    /// What waits for one subscriber at most, for each policy that it uses, beside
    /// [`Options::send_buffer_bytes`]. Default: see [`QueueLimits`].
    pub queue: QueueLimits,
    /// Once the daemon drains, how long calls under way may take to end before their connection is closed. It should
    /// be shorter than the grace of the daemon itself, at whose end everything stops. Default 9 s.
    pub grace: Duration,
}

impl Default for GatewayOptions {
    fn default() -> Self {
        Self {
            peer: Options::default(),
            policy: Policy::BLOCK,
            queue: QueueLimits::default(),
            grace: GRACE_DEFAULT,
        }
    }
}

impl GatewayOptions {
    /// The policy of a subscription that asked for `wanted`.
    pub(crate) fn policy_for(&self, wanted: Option<Policy>) -> Policy {
        match (wanted, self.policy) {
            (None, own) | (Some(Policy::Block { .. }), own @ Policy::Block { .. }) => own,
            (Some(wanted), _) => wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_that_names_no_policy_gets_the_gateways() {
        let block = |seconds| Policy::Block {
            timeout: Duration::from_secs(seconds),
        };
        let with = |policy| GatewayOptions {
            policy,
            ..GatewayOptions::default()
        };
        assert_eq!(with(block(3)).policy_for(None), block(3));
        assert_eq!(with(block(3)).policy_for(Some(Policy::BLOCK)), block(3));
        assert_eq!(with(block(3)).policy_for(Some(Policy::Latest)), Policy::Latest);
        assert_eq!(
            with(Policy::Latest).policy_for(Some(Policy::BLOCK)),
            Policy::BLOCK
        );
        assert_eq!(with(Policy::Latest).policy_for(None), Policy::Latest);
    }
}
