//! What an account may do: the one place where it is decided.
//!
//! Only [`Session`](crate::Session) asks, with names that it has checked. So far there is only `guest`, who may do
//! everything that is not the hub's own.

use std::fmt;

use switchboard_engine::Bucket;
use switchboard_peer::{ErrorKind, Fault};

use crate::keys::{OWN_BUCKET_PREFIX, is_of_topics, is_own_bucket};
use crate::names::{self, KEYS_OPERATION_PREFIX, RESERVED_OPERATION_PREFIX, RESERVED_TOPIC_PREFIX};

/// What one can be allowed to do with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Call an operation.
    Call,
    /// Answer the calls of an operation.
    Serve,
    /// Publish to a topic.
    Publish,
    /// Subscribe to a filter.
    Subscribe,
    /// Read a key, scan and watch keys.
    Read,
    /// Write a key.
    Write,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Call => "call",
            Self::Serve => "serve",
            Self::Publish => "publish to",
            Self::Subscribe => "subscribe to",
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

/// The permissions of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions(());

impl Permissions {
    /// Those of the open guest account.
    pub fn guest() -> Self {
        Self(())
    }

    /// Whether the account may do this with a well-formed name.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`], with what is not allowed.
    pub fn check(&self, verb: Verb, name: &str) -> Result<(), Fault> {
        let reserved = match verb {
            Verb::Serve => names::is_reserved_operation(name),
            Verb::Publish => names::is_reserved_topic(name),
            Verb::Call | Verb::Subscribe | Verb::Read | Verb::Write => false,
        };
        if !reserved {
            return Ok(());
        }
        Err(Fault::error(
            ErrorKind::Denied,
            format!(
                "nobody may {verb} {name:?}: operations that begin with `{RESERVED_OPERATION_PREFIX}` or \
                 `{KEYS_OPERATION_PREFIX}` and topics that begin with `{RESERVED_TOPIC_PREFIX}` are the hub's own"
            ),
        ))
    }

    /// Whether the account may do this with a key, or with all keys that begin so.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`], with what is not allowed.
    pub fn check_key(&self, verb: Verb, bucket: &Bucket, key: &[u8]) -> Result<(), Fault> {
        if is_own_bucket(bucket) {
            return Err(Fault::error(
                ErrorKind::Denied,
                format!(
                    "nobody may {verb} the bucket {bucket}: those that begin with `{OWN_BUCKET_PREFIX}` are the hub's own"
                ),
            ));
        }
        if verb == Verb::Write && is_of_topics(bucket, key) {
            return Err(Fault::error(
                ErrorKind::Denied,
                format!(
                    "nobody may write the key \"{}\": it shows the last value of a topic; publish to that with `retain`",
                    key.escape_ascii()
                ),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_may_do_all_but_what_is_the_hubs_own() {
        let guest = Permissions::guest();
        for (verb, name, allowed) in [
            (Verb::Call, "hub.ops", true),
            (Verb::Call, "x", true),
            (Verb::Serve, "x", true),
            (Verb::Serve, "hub.x", false),
            (Verb::Serve, "keys.x", false),
            (Verb::Call, "keys.get", true),
            (Verb::Publish, "hub.x", true),
            (Verb::Publish, "$hub/x", false),
            (Verb::Subscribe, "$hub/#", true),
        ] {
            let answer = guest.check(verb, name);
            assert_eq!(answer.is_ok(), allowed, "{verb} {name}");
            assert!(
                answer.is_ok()
                    || matches!(
                        answer,
                        Err(Fault::Error {
                            kind: ErrorKind::Denied,
                            ..
                        })
                    )
            );
        }
    }
}
