//! Sockets that the parent process opened for us: `LISTEN_FDS`, as systemd and its like do it (sd_listen_fds(3)).

use std::env;
use std::fmt;
use std::io;
use std::str::FromStr;

use listenfd::ListenFd;

use crate::socket::Socket;

/// Which inherited socket: `fd://0` is the first, `fd://NAME` the one with that name in `LISTEN_FDNAMES`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum InheritedName {
    /// By place, from 0 on.
    Index(usize),
    /// By name.
    Name(String),
}

/// The text names no inherited socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an inherited socket is named by its index, from 0 on, or by its name in LISTEN_FDNAMES")]
pub struct InvalidInheritedName;

impl FromStr for InheritedName {
    type Err = InvalidInheritedName;

    fn from_str(text: &str) -> Result<Self, InvalidInheritedName> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self::Index).map_err(|_| InvalidInheritedName);
        }
        // Names are separated by colons in the environment, so they cannot hold one.
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        if text.is_empty() || !printable {
            Err(InvalidInheritedName)
        } else {
            Ok(Self::Name(text.into()))
        }
    }
}

impl fmt::Display for InheritedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => index.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Why an inherited socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritedError {
    /// No socket of that index or name, or it is in use already.
    #[error("no socket `{name}` was inherited, or it is taken already ({count} were inherited)")]
    Missing {
        /// What was asked for.
        name: InheritedName,
        /// How many sockets there were.
        count: usize,
    },
    /// The descriptor is neither a TCP nor a Unix stream socket.
    #[error("the inherited socket `{name}` is neither a TCP nor a Unix stream socket: {source}")]
    Kind {
        /// What was asked for.
        name: InheritedName,
        /// What the system said.
        source: io::Error,
    },
    /// The socket does not listen, or its address cannot be read.
    #[error("the inherited socket `{name}` does not listen: {source}")]
    NotListening {
        /// What was asked for.
        name: InheritedName,
        /// What the system said.
        source: io::Error,
    },
}

/// The sockets this process inherited. Each can be taken once.
pub struct InheritedSockets {
    descriptors: ListenFd,
    names: Vec<String>,
}

impl InheritedSockets {
    /// None at all.
    pub fn none() -> Self {
        Self {
            descriptors: ListenFd::empty(),
            names: Vec::new(),
        }
    }

    /// Those that `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES` tell of.
    ///
    /// Call it once, **at the start of `main`, before any thread runs**: the first two variables are removed, so that
    /// programs started from here do not take the sockets for theirs. The sockets themselves are closed on exec.
    pub fn from_env() -> Self {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        Self {
            descriptors: ListenFd::from_env(),
            names: names.split(':').map(str::to_owned).collect(),
        }
    }

    /// How many there were at the start.
    pub fn count(&self) -> usize {
        self.descriptors.len()
    }

    /// Takes a socket, which must be listening.
    pub(crate) fn take(&mut self, name: &InheritedName) -> Result<Socket, InheritedError> {
        let missing = || InheritedError::Missing {
            name: name.clone(),
            count: self.descriptors.len(),
        };
        let index = match name {
            InheritedName::Index(index) => *index,
            InheritedName::Name(wanted) => self
                .names
                .iter()
                .position(|candidate| candidate == wanted)
                .ok_or_else(missing)?,
        };
        let not_listening = |source| InheritedError::NotListening {
            name: name.clone(),
            source,
        };
        if let Ok(Some(listener)) = self.descriptors.take_unix_listener(index) {
            return Socket::from_unix(listener).map_err(not_listening);
        }
        match self.descriptors.take_tcp_listener(index) {
            Ok(Some(listener)) => Socket::from_tcp(listener).map_err(not_listening),
            Ok(None) => Err(InheritedError::Missing {
                name: name.clone(),
                count: self.descriptors.len(),
            }),
            Err(source) => Err(InheritedError::Kind {
                name: name.clone(),
                source,
            }),
        }
    }
}

impl fmt::Debug for InheritedSockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InheritedSockets")
            .field("count", &self.count())
            .field("names", &self.names)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_indexes_parse() {
        assert_eq!("3".parse(), Ok(InheritedName::Index(3)));
        assert_eq!("web-1".parse(), Ok(InheritedName::Name("web-1".into())));
        for text in ["", "a:b", "a b", "99999999999999999999999"] {
            assert_eq!(text.parse::<InheritedName>(), Err(InvalidInheritedName), "{text}");
        }
    }

    #[test]
    fn what_was_not_inherited_is_missing() {
        for name in [InheritedName::Index(0), InheritedName::Name("web".into())] {
            let error = InheritedSockets::none().take(&name).expect_err("nothing there");
            assert!(
                matches!(error, InheritedError::Missing { count: 0, .. }),
                "{error}"
            );
        }
    }
}
