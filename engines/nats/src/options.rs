//! Where the cluster is, and how to be let in.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use switchboard_engine::{Clock, EngineError, Result, SystemClock};

/// What the streams and subjects of a switchboard begin with, if nothing else is said.
pub const PREFIX_DEFAULT: &str = "switchboard";

/// Most copies that JetStream keeps of a stream.
pub const REPLICAS_MAX: usize = 5;

/// How an engine reaches its cluster.
#[derive(Clone)]
pub struct NatsOptions {
    /// Its servers: `nats://host:port` or `tls://host:port`, with `user:password@` or `token@` if they want one. Those
    /// of the same cluster that are not named are found by themselves.
    pub servers: Vec<String>,
    /// A file with a JWT and its nkey seed, as `nsc` makes them. It is read at each connection, so that renewed
    /// credentials are taken without a restart.
    pub credentials: Option<PathBuf>,
    /// Certificates (PEM) of who signs for the servers, instead of those that the system trusts.
    pub tls_ca: Option<PathBuf>,
    /// The certificate (PEM) that shows who we are; with [`tls_key`](Self::tls_key).
    pub tls_certificate: Option<PathBuf>,
    /// The private key (PEM) of that certificate.
    pub tls_key: Option<PathBuf>,
    /// How many servers keep a copy of everything: 1 to [`REPLICAS_MAX`], and not more than the cluster has. 3 outlast
    /// the loss of one. A change takes effect at the next start.
    pub replicas: usize,
    /// Tells this switchboard from others in the same account of the cluster: `[A-Za-z0-9_-]{1,32}`. All hubs that are
    /// one switchboard have the same.
    pub prefix: String,
    /// By which expiry, delays and leases go. The clocks of all hubs of a switchboard have to agree as well as leases
    /// and expiry shall.
    pub clock: Arc<dyn Clock>,
}

impl NatsOptions {
    /// These servers, one copy of everything, without credentials, and the machine's clock.
    pub fn new(servers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            servers: servers.into_iter().map(Into::into).collect(),
            credentials: None,
            tls_ca: None,
            tls_certificate: None,
            tls_key: None,
            replicas: 1,
            prefix: PREFIX_DEFAULT.to_owned(),
            clock: Arc::new(SystemClock::default()),
        }
    }

    /// The servers, and what each wants to be shown.
    ///
    /// # Errors
    /// Invalid when there are none, or one is no address.
    pub(crate) fn addresses(&self) -> Result<Vec<Address>> {
        if self.servers.is_empty() {
            return Err(EngineError::Invalid(
                "a NATS cluster takes the address of one server at least".to_owned(),
            ));
        }
        self.servers.iter().map(|server| Address::of(server)).collect()
    }

    /// The servers without passwords, for people.
    pub(crate) fn shown(&self) -> String {
        let shown: Vec<&str> = self.servers.iter().map(|server| host(server)).collect();
        shown.join(",")
    }
}

/// What a server wants to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Secret {
    Password(String, String),
    Token(String),
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) url: String,
    pub(crate) secret: Option<Secret>,
}

impl Address {
    fn of(server: &str) -> Result<Self> {
        let scheme = server.split_once("://").map_or("nats", |(scheme, _)| scheme);
        let host = host(server);
        if !["nats", "tls"].contains(&scheme) || host.is_empty() || host.contains('/') {
            return Err(EngineError::Invalid(format!(
                "{scheme}://{host} is no NATS server: one is nats://host:port or tls://host:port, with user:password@ \
                 or token@ before the host if it wants one"
            )));
        }
        let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
        let secret = rest
            .rsplit_once('@')
            .map(|(secret, _)| match secret.split_once(':') {
                Some((user, password)) => Secret::Password(unescaped(user), unescaped(password)),
                None => Secret::Token(unescaped(secret)),
            });
        Ok(Self {
            url: format!("{scheme}://{host}"),
            secret,
        })
    }
}

/// What follows the secret.
fn host(server: &str) -> &str {
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    host.trim_end_matches('/')
}

/// With what was escaped by percent signs (RFC 3986, section 2.1), if it all was.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let Some(escaped) = rest
            .next()
            .zip(rest.next())
            .and_then(|(high, low)| const_hex::decode([high, low]).ok())
        else {
            return text.to_owned();
        };
        bytes.extend(escaped);
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

impl fmt::Debug for NatsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsOptions")
            .field("servers", &self.shown())
            .field("credentials", &self.credentials)
            .field("replicas", &self.replicas)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let options = NatsOptions::new(["nats://user:pa@ss@host:4222", "tls://token@other", "third:1"]);
        assert_eq!(options.shown(), "host:4222,other,third:1");
        assert!(!format!("{options:?}").contains("pa@ss"));
    }

    #[test]
    fn addresses_have_their_secrets() {
        for (server, url, secret) in [
            ("host", "nats://host", None),
            ("tls://host:1/", "tls://host:1", None),
            (
                "nats://to%40ken@[::1]:4222",
                "nats://[::1]:4222",
                Some(Secret::Token("to@ken".to_owned())),
            ),
            (
                "nats://user:pa:ss@host",
                "nats://host",
                Some(Secret::Password("user".to_owned(), "pa:ss".to_owned())),
            ),
        ] {
            let address = Address::of(server).expect(server);
            assert_eq!((&address.url[..], address.secret), (url, secret));
        }
        for bad in ["", "http://host", "nats://", "nats://secret@host/path"] {
            let refused = Address::of(bad).expect_err(bad);
            assert!(!refused.to_string().contains("secret"), "{refused}");
        }
        assert!(NatsOptions::new([""; 0]).addresses().is_err());
    }
}
