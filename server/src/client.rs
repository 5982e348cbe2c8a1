//! The way of the commands to the hub: where it is, how to trust it, and what it means when it is not there.

use std::{future::Future, io, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use futures_util::FutureExt;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use switchboard_peer::{
    CloseReason, ConnectError, Connector, Ended, GiveUp, Handlers, KeepAlive, KeepAliveOptions, Limits,
    Options, Peer, Presence, ProtocolErrorCode, Service, Setback, State, Url, tls_with_roots,
};
use tokio::sync::watch;

use crate::{cli::Global, config, exit::Failure, hub_url, logging};

/// Largest payload in bytes that is taken from a hub. The hub has its own bound, which is the one that counts: a
/// command must be able to take whatever that lets through.
const PAYLOAD_RECEIVED_BYTES_MAX: usize = 1 << 30;

/// Largest payload in bytes that is sent in one piece: what a hub takes unless it was told otherwise. A larger one
/// would cost the connection.
pub const PAYLOAD_SENT_BYTES_MAX: usize = 16 << 20;

/// Bytes that wait for a connection to come back: one request, as commands make no more at once.
const QUEUE_BYTES_MAX: usize = PAYLOAD_SENT_BYTES_MAX + 4096;

/// How long a closing connection may take to write what is queued: a request to give up a call is a few bytes.
pub const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// Level of the log of commands that talk to a hub: what goes wrong without ending them.
const LOG_LEVEL: &str = "warn";

/// The environment variable that changes it, the same as for `serve`.
const LOG_LEVEL_VARIABLE: &str = "SWITCHBOARD_LOG_LEVEL";

/// Makes connections to the hub.
#[derive(Clone)]
pub struct Client {
    url: Url,
    connector: Connector,
}

impl Client {
    /// For the hub that the command line names, or the one that is found here. Blocking: it reads files.
    ///
    /// # Errors
    /// If the address is none, or the file of certificates is bad.
    pub fn new(global: &Global) -> anyhow::Result<Self> {
        let url = hub_url::choose(global.hub.as_deref(), &hub_url::local_data_directory())?;
        let tls = match &global.ca {
            Some(file)
                if matches!(url, Url::Tls { .. } | Url::WebSocket { tls: true, .. })
                    && !file.as_os_str().is_empty() =>
            {
                Some(Arc::new(tls_with_roots(read_roots(file)?)?))
            }
            _ => None,
        };
        let options = Options {
            limits: Limits {
                payload_bytes_max: PAYLOAD_RECEIVED_BYTES_MAX,
                buffered_bytes_max: PAYLOAD_RECEIVED_BYTES_MAX,
                ..Limits::default()
            },
            ..Options::default()
        };
        Ok(Self {
            url,
            connector: Connector {
                options,
                tls,
                ..Connector::default()
            },
        })
    }

    /// How its connections behave, to be changed before the first is made.
    pub fn limits_mut(&mut self) -> &mut Limits {
        &mut self.connector.options.limits
    }

    /// One connection, for a command that ends with it.
    ///
    /// # Errors
    /// [`Failure::NoHub`] with what to do.
    ///
    /// # Cancel safety
    /// The connection is dropped with the future.
    pub async fn connect(&self, service: impl Service) -> Result<Peer, Failure> {
        let connected = self.connector.connect(&self.url, service).await;
        connected.map_err(|error| no_hub(&error))
    }

    /// Does `work` over one connection and closes it; Ctrl-C and SIGTERM end the work before its end, and the hub is
    /// told of calls that are so given up.
    ///
    /// # Errors
    /// What the work comes to; [`Failure::NoHub`], [`Failure::Interrupted`], [`Failure::Terminated`].
    pub async fn visit<T>(&self, work: impl AsyncFnOnce(&Peer) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut signals = Signals::watch()?;
        let connected = async { Ok(self.connect(Handlers::new()).await?) };
        let peer = signals.unless(connected).await?;
        // From now on the hub is told of a call that is given up.
        let _ = peer.at_hub();
        let done = signals.unless(work(&peer)).await;
        peer.close();
        // Too late is as good as never: the hub notices that the connection is gone.
        let _ = tokio::time::timeout(CLOSE_WAIT, peer.closed()).await;
        done.map_err(|error| match refused_by_hub(&peer) {
            Some(why) if matches!(error.downcast_ref(), Some(Failure::Retry { .. })) => why.into(),
            _ => error,
        })
    }

    /// A connection that comes back by itself once it was there; `presence` is what is wanted of the hub each time.
    /// When it is lost, so many tries to make another that come to nothing in a row end it; `None` for any number.
    ///
    /// # Errors
    /// If the first one cannot be made, or the hub refuses what is wanted.
    ///
    /// # Cancel safety
    /// Everything is closed with the future.
    pub async fn keep(
        &self,
        service: impl Service,
        presence: Presence,
        tries_max: Option<u32>,
    ) -> Result<KeepAlive, Failure> {
        let client = self.clone();
        let connect = move |service: Arc<dyn Service>| {
            let client = client.clone();
            async move { client.connect(service).await }
        };
        let options = KeepAliveOptions {
            hub: Some(presence),
            give_up: GiveUp {
                tries_max,
                ..GiveUp::default()
            },
            queue_bytes_max: QUEUE_BYTES_MAX,
            ..KeepAliveOptions::default()
        };
        let link = KeepAlive::start(connect, service, options);
        let mut state = link.state();
        let first = state
            .wait_for(|state| !matches!(state, State::Connecting { .. }))
            .await
            .map(|state| state.clone());
        match first {
            Ok(State::Connected) => {
                tokio::spawn(log_changes(state));
                Ok(link)
            }
            Ok(State::Waiting { why, .. }) => Err(setback(why)),
            Ok(State::Closed(ended)) => Err(ended_failure(ended)),
            Ok(State::Connecting { .. }) | Err(_) => {
                Err(Failure::NoHub("the connection is closed".to_owned()))
            }
        }
    }
}

/// Why a kept connection has ended for good.
pub fn ended_failure(ended: Ended) -> Failure {
    match ended {
        Ended::Refused { fault, .. } => fault.into(),
        ended => Failure::NoHub(ended.to_string()),
    }
}

fn setback(why: Setback) -> Failure {
    match why {
        Setback::Refused { fault, .. } => fault.into(),
        // In the words of `no_hub`.
        Setback::Unreachable(why) => Failure::NoHub(why),
        why => Failure::NoHub(why.to_string()),
    }
}

/// Tells the log when the connection goes and comes.
async fn log_changes(mut state: watch::Receiver<State>) {
    while state.changed().await.is_ok() {
        match &*state.borrow_and_update() {
            // No loss, but the end of the command.
            State::Waiting {
                why: Setback::Lost(CloseReason::Local),
                ..
            } => {}
            State::Waiting { why, .. } => tracing::warn!(%why, "reconnecting"),
            State::Connected => tracing::warn!("connected again"),
            State::Connecting { .. } | State::Closed(_) => {}
        }
    }
}

/// Why the hub closed the connection, if that was because of what was sent: then no retry helps.
fn refused_by_hub(peer: &Peer) -> Option<Failure> {
    let reason = peer.closed().now_or_never();
    matches!(reason, Some(CloseReason::Refused(ProtocolErrorCode::InvalidMessage))).then(|| {
        Failure::Error(
            "the hub closed the connection: what was sent is no legal message to it, most likely because it is larger \
             than the hub's gotalk.payload_max (a call with --stream sends it in parts)"
                .to_owned(),
        )
    })
}

/// SIGINT and SIGTERM, from the moment this is made.
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// Takes them from now on.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn watch() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let watch = |kind| signal(kind).context("cannot watch for signals");
        Ok(Self {
            interrupt: watch(SignalKind::interrupt())?,
            terminate: watch(SignalKind::terminate())?,
        })
    }

    /// Does `work` unless one of them comes first.
    ///
    /// # Errors
    /// What the work comes to; [`Failure::Interrupted`] or [`Failure::Terminated`] if it was dropped for a signal.
    pub async fn unless<T>(&mut self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        tokio::select! {
            biased;
            done = work => done,
            signal = self.next() => Err(signal.into()),
        }
    }

    /// The next of them, as the failure that it is. Cancel safe.
    pub async fn next(&mut self) -> Failure {
        tokio::select! {
            _ = self.interrupt.recv() => Failure::Interrupted,
            _ = self.terminate.recv() => Failure::Terminated,
        }
    }
}

/// Starts the log of a command that talks to a hub.
///
/// # Errors
/// If `SWITCHBOARD_LOG_LEVEL` is no level.
pub fn start_log() -> anyhow::Result<()> {
    let level = std::env::var(LOG_LEVEL_VARIABLE)
        .ok()
        .filter(|level| !level.is_empty());
    let log = config::resolve::Log {
        format: config::values::LogFormat::Text,
        level: level.unwrap_or_else(|| LOG_LEVEL.to_owned()),
        target: false,
    };
    logging::start(&log).map_err(|error| Failure::Usage(format!("{LOG_LEVEL_VARIABLE}: {error}")).into())
}

fn read_roots(file: &Path) -> anyhow::Result<RootCertStore> {
    let bad = |why: String| Failure::Usage(format!("--ca: {}: {why}", file.display()));
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| bad(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        roots.add(certificate).map_err(|error| bad(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(bad("there is no certificate in PEM form".to_owned()).into());
    }
    Ok(roots)
}

fn no_hub(error: &ConnectError) -> Failure {
    let hint = match error {
        ConnectError::Url(_) => return Failure::Usage(error.to_string()),
        ConnectError::Tls(_) => return Failure::Error(error.to_string()),
        ConnectError::Unreachable { source, .. } => unreachable_hint(source),
        ConnectError::Timeout { .. } => "is it a hub, and is it well?",
        ConnectError::Handshake { .. } => {
            "is it a hub? a tls:// door must be called by tls://, and an http:// one by ws://"
        }
    };
    Failure::NoHub(format!("no hub: {error} ({hint})"))
}

fn unreachable_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::InvalidData => {
            "if the hub runs with --tls-self-signed, trust its certificate with --ca FILE"
        }
        io::ErrorKind::PermissionDenied => "may this user open the socket?",
        _ => "is `switchboard serve` running? --hub URL says where",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_way_is_told_with_what_to_do() {
        let unreachable = |kind: io::ErrorKind| ConnectError::Unreachable {
            url: "tls://x:1".parse().expect("an address"),
            source: kind.into(),
        };
        for (kind, hint) in [
            (io::ErrorKind::ConnectionRefused, "switchboard serve"),
            (io::ErrorKind::InvalidData, "--ca FILE"),
            (io::ErrorKind::PermissionDenied, "this user"),
        ] {
            let failure = no_hub(&unreachable(kind));
            assert!(
                matches!(&failure, Failure::NoHub(text) if text.contains(hint)),
                "{failure}"
            );
        }
    }

    #[test]
    fn bad_certificate_files_are_usage_errors() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ca.pem");
        for text in [
            "",
            "nonsense",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            std::fs::write(&file, text).expect("a file");
            let error = read_roots(&file).expect_err(text);
            assert_eq!(crate::exit::Exit::of(&error), crate::exit::Exit::Usage, "{error}");
        }
    }
}
