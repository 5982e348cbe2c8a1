//! The doors of the hub: every gateway is registered here, by one line in [`open`].
//!
//! A gateway brings where it listens and what takes the connections; binding, the check of who could connect, and the
//! accepting are the same for all.

use std::{future::Future, path::Path, pin::Pin};

use switchboard_hub::Hub;
use switchboard_net::{
    Accept, Address, BindError, Listener, ListenerConfig, LocalAddress, Network, Shutdown, Tls, TlsError,
    TlsSettings,
};

use crate::{
    access_log::AccessLogFile,
    config::{Config, address::Schemes},
};

mod gotalk;
mod http;

/// What the gateways of one daemon share.
#[derive(Debug)]
pub struct House {
    /// What was configured.
    pub config: Config,
    /// Where all doors lead.
    pub hub: Hub,
    /// What all listeners share.
    pub network: Network,
    /// The end of it all.
    pub shutdown: Shutdown,
    /// The file of the HTTP door's access log, if there is one.
    pub access_log: Option<AccessLogFile>,
}

/// All doors, and what can be read again while they are open.
#[derive(Default)]
pub struct Doors {
    /// In the order of their registration.
    pub doors: Vec<Door>,
    /// What the TLS doors show: one for each gateway, since each speaks other protocols over it.
    pub tls: Vec<Tls>,
}

/// A door whose listener is bound: others can connect, and wait until it [runs](Self::run).
pub struct Door {
    /// Its gateway.
    pub name: &'static str,
    /// Where it really listens, as a URL.
    pub address: String,
    run: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Why a door cannot be opened; what is wrong is in its source.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// Its listener cannot be had.
    #[error("{door}")]
    Bind {
        /// The gateway.
        door: &'static str,
        /// What is wrong.
        source: BindError,
    },
    /// The certificate is bad.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// It would be open to everybody.
    #[error("{door}")]
    Open {
        /// The gateway.
        door: &'static str,
        /// Where, and what to do.
        source: switchboard_gateway_gotalk::OpenGuest,
    },
}

/// What a gateway brings.
struct Gateway<A> {
    name: &'static str,
    /// How its addresses are written.
    schemes: &'static Schemes,
    /// The names of its protocols in the ALPN registry, the preferred one first; none if it has none there.
    alpn: &'static [&'static [u8]],
    /// Without TLS, which is the same for all.
    listen: Vec<ListenerConfig>,
    accept: A,
}

/// Binds all doors that are configured, in the order of their registration.
///
/// # Errors
/// The first that cannot be opened; then none is.
pub async fn open(house: &House) -> Result<Doors, DoorError> {
    let mut doors = Doors::default();
    bind(house, gotalk::gateway(house), &mut doors).await?;
    bind(house, http::gateway(house), &mut doors).await?;
    Ok(doors)
}

async fn bind<A: Accept + Clone>(
    house: &House,
    gateway: Gateway<A>,
    doors: &mut Doors,
) -> Result<(), DoorError> {
    let door = gateway.name;
    let tls = tls(house, &gateway)?;
    doors.tls.extend(tls.clone());
    for mut config in gateway.listen {
        if matches!(config.address, Address::Tls(_)) {
            config.tls.clone_from(&tls);
        }
        let listener = Listener::bind(config, &house.network)
            .await
            .map_err(|source| DoorError::Bind { door, source })?;
        // Only a bound listener tells where a name and an inherited socket really are.
        switchboard_gateway_gotalk::check_guest(listener.local_address())
            .map_err(|source| DoorError::Open { door, source })?;
        let is_tls = listener.config().tls.is_some();
        doors.doors.push(Door {
            name: door,
            address: url(listener.local_address(), gateway.schemes, is_tls),
            run: Box::pin(listener.run(gateway.accept.clone(), house.shutdown.clone())),
        });
    }
    Ok(())
}

/// What the gateway's TLS doors show, if it has any.
fn tls<A>(house: &House, gateway: &Gateway<A>) -> Result<Option<Tls>, TlsError> {
    let mut listen = gateway.listen.iter();
    if !listen.any(|config| matches!(config.address, Address::Tls(_))) {
        return Ok(None);
    }
    let settings = house.config.tls.clone().map(|settings| TlsSettings {
        alpn: gateway.alpn.iter().map(|name| name.to_vec()).collect(),
        ..settings
    });
    settings.map(Tls::new).transpose()
}

impl Door {
    /// Takes connections until the shutdown drains.
    pub async fn run(self) {
        self.run.await;
    }
}

/// Where clients connect to.
fn url(local: &LocalAddress, schemes: &Schemes, is_tls: bool) -> String {
    match local {
        LocalAddress::Ip(address) => {
            let scheme = if is_tls { schemes.tls } else { schemes.plain };
            format!("{scheme}://{address}")
        }
        LocalAddress::Unix(path) if **path == *Path::new("") => "unix (inherited)".to_owned(),
        LocalAddress::Unix(path) => format!("unix://{}", path.display()),
    }
}

/// What every listener takes from the configuration, whatever its gateway.
fn listener(house: &House, address: &Address) -> ListenerConfig {
    let mut config = ListenerConfig::new(address.clone());
    config.connection = house.config.connection.clone();
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::address::{GOTALK, HTTP};

    #[test]
    fn addresses_are_printed_as_clients_write_them() {
        let ip = LocalAddress::Ip("[::1]:4700".parse().expect("an address"));
        assert_eq!(url(&ip, &GOTALK, false), "tcp://[::1]:4700");
        assert_eq!(url(&ip, &GOTALK, true), "tls://[::1]:4700");
        assert_eq!(url(&ip, &HTTP, false), "http://[::1]:4700");
        assert_eq!(url(&ip, &HTTP, true), "https://[::1]:4700");
        let unix = |path: &str| url(&LocalAddress::Unix(Path::new(path).into()), &GOTALK, false);
        assert_eq!(unix("/run/x"), "unix:///run/x");
        assert_eq!(unix(""), "unix (inherited)");
    }
}
