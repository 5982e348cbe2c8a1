//! Where the cluster is, and how to be let in.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use switchboard_engine::{Clock, SystemClock};

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

    /// The servers without passwords, for people.
    pub(crate) fn shown(&self) -> String {
        let shown: Vec<String> = self
            .servers
            .iter()
            .map(|server| without_secrets(server))
            .collect();
        shown.join(",")
    }
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

fn without_secrets(server: &str) -> String {
    let (scheme, rest) = server.split_once("://").unwrap_or(("nats", server));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let options = NatsOptions::new(["nats://user:pa@ss@host:4222", "tls://token@other", "third:1"]);
        assert_eq!(options.shown(), "nats://host:4222,tls://other,nats://third:1");
        assert!(!format!("{options:?}").contains("pa@ss"));
    }
}
