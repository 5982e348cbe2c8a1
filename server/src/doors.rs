//! The doors of the hub: every gateway is registered here, by one line in [`bind`].
//!
//! A gateway brings where it listens and what takes the connections; binding, the check of who could connect, and the
//! accepting are the same for all. Doors are bound before there is a hub, since that may take privileges which the
//! daemon then gives up, and opened once there is one.

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
mod redis;

/// What the gateways of one daemon share.
#[derive(Debug)]
pub struct House {
    /// What was configured.
    pub config: Config,
    /// What all listeners share.
    pub network: Network,
    /// The end of it all.
    pub shutdown: Shutdown,
    /// The file of the HTTP door's access log, if there is one.
    pub access_log: Option<AccessLogFile>,
}

/// All doors, bound: others can connect, and wait until they are [opened](Self::open) and run.
#[derive(Default)]
pub struct Doors {
    /// In the order of their registration.
    bound: Vec<Bound>,
    /// What the TLS doors show: one for each gateway, since each speaks other protocols over it.
    pub tls: Vec<Tls>,
}

/// The doors of one gateway, and what makes them lead to a hub.
struct Bound {
    name: &'static str,
    addresses: Vec<String>,
    run: Box<OpenAll>,
}

/// Makes what runs each of a gateway's doors.
type OpenAll = dyn FnOnce(&House, &Hub) -> Vec<Run> + Send;

type Run = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A door that leads to the hub as soon as it [runs](Self::run).
pub struct Door {
    /// Its gateway.
    pub name: &'static str,
    /// Where it really listens, as a URL.
    pub address: String,
    run: Run,
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

/// Where a gateway listens.
struct Entrance {
    name: &'static str,
    /// How its addresses are written.
    schemes: &'static Schemes,
    /// The names of its protocols in the ALPN registry, the preferred one first; none if it has none there.
    alpn: &'static [&'static [u8]],
    /// Without TLS, which is the same for all.
    listen: Vec<ListenerConfig>,
}

/// Binds all doors that are configured, in the order of their registration.
///
/// # Errors
/// The first that cannot be bound; then none is.
pub async fn bind(house: &House) -> Result<Doors, DoorError> {
    let mut doors = Doors::default();
    doors.add(house, gotalk::entrance(house), gotalk::gateway).await?;
    doors.add(house, http::entrance(house), http::gateway).await?;
    doors.add(house, redis::entrance(house), redis::gateway).await?;
    Ok(doors)
}

impl Doors {
    async fn add<A: Accept + Clone>(
        &mut self,
        house: &House,
        entrance: Entrance,
        gateway: fn(&House, &Hub) -> A,
    ) -> Result<(), DoorError> {
        let tls = tls(house, &entrance)?;
        self.tls.extend(tls.clone());
        let name = entrance.name;
        let bound = listeners(house, entrance, tls).await?;
        let (addresses, listeners): (Vec<_>, Vec<_>) = bound.into_iter().unzip();
        let run = move |house: &House, hub: &Hub| {
            let accept = gateway(house, hub);
            let run = |listener: Listener| -> Run {
                Box::pin(listener.run(accept.clone(), house.shutdown.clone()))
            };
            listeners.into_iter().map(run).collect()
        };
        self.bound.push(Bound {
            name,
            addresses,
            run: Box::new(run),
        });
        Ok(())
    }

    /// Has all of them lead to the hub.
    pub fn open(self, house: &House, hub: &Hub) -> Vec<Door> {
        let open = |bound: Bound| {
            let runs = (bound.run)(house, hub);
            bound
                .addresses
                .into_iter()
                .zip(runs)
                .map(move |(address, run)| Door {
                    name: bound.name,
                    address,
                    run,
                })
        };
        self.bound.into_iter().flat_map(open).collect()
    }
}

/// Bound listeners, each with where it really listens.
async fn listeners(
    house: &House,
    entrance: Entrance,
    tls: Option<Tls>,
) -> Result<Vec<(String, Listener)>, DoorError> {
    let door = entrance.name;
    let mut listeners = Vec::new();
    for mut config in entrance.listen {
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
        listeners.push((url(listener.local_address(), entrance.schemes, is_tls), listener));
    }
    Ok(listeners)
}

/// What the gateway's TLS doors show, if it has any.
fn tls(house: &House, entrance: &Entrance) -> Result<Option<Tls>, TlsError> {
    let mut listen = entrance.listen.iter();
    if !listen.any(|config| matches!(config.address, Address::Tls(_))) {
        return Ok(None);
    }
    let settings = house.config.tls.clone().map(|settings| TlsSettings {
        alpn: entrance.alpn.iter().map(|name| name.to_vec()).collect(),
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
