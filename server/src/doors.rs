//! The doors of the hub: every gateway is registered here, by one line in [`open`].
//!
//! A gateway brings where it listens and what takes the connections; binding, the check of who could connect, and the
//! accepting are the same for all.

use std::{future::Future, path::Path, pin::Pin};

use switchboard_hub::Hub;
use switchboard_net::{
    Accept, Address, BindError, Listener, ListenerConfig, LocalAddress, Network, Shutdown, Tls,
};

use crate::config::Config;

mod gotalk;

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
    /// What the TLS doors show, if there are any.
    pub tls: Option<Tls>,
}

/// A door whose listener is bound: others can connect, and wait until it [runs](Self::run).
pub struct Door {
    /// Its gateway.
    pub name: &'static str,
    /// Where it really listens, as a URL.
    pub address: String,
    run: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Why a door cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// Its listener cannot be had.
    #[error("{door}: {source}")]
    Bind {
        /// The gateway.
        door: &'static str,
        /// What is wrong.
        source: BindError,
    },
    /// It would be open to everybody.
    #[error("{door}: {source}")]
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
    listen: Vec<ListenerConfig>,
    accept: A,
}

/// Binds all doors that are configured, in the order of their registration.
///
/// # Errors
/// The first that cannot be opened; then none is.
pub async fn open(house: &House) -> Result<Vec<Door>, DoorError> {
    let mut doors = Vec::new();
    bind(house, gotalk::gateway(house), &mut doors).await?;
    Ok(doors)
}

async fn bind<A: Accept + Clone>(
    house: &House,
    gateway: Gateway<A>,
    doors: &mut Vec<Door>,
) -> Result<(), DoorError> {
    let door = gateway.name;
    for config in gateway.listen {
        let listener = Listener::bind(config, &house.network)
            .await
            .map_err(|source| DoorError::Bind { door, source })?;
        // Only a bound listener tells where a name and an inherited socket really are.
        switchboard_gateway_gotalk::check_guest(listener.local_address())
            .map_err(|source| DoorError::Open { door, source })?;
        doors.push(Door {
            name: door,
            address: url(listener.local_address(), listener.config().tls.is_some()),
            run: Box::pin(listener.run(gateway.accept.clone(), house.shutdown.clone())),
        });
    }
    Ok(())
}

impl Door {
    /// Takes connections until the shutdown drains.
    pub async fn run(self) {
        self.run.await;
    }
}

/// Where clients connect to.
fn url(local: &LocalAddress, tls: bool) -> String {
    match local {
        LocalAddress::Ip(address) if tls => format!("tls://{address}"),
        LocalAddress::Ip(address) => format!("tcp://{address}"),
        LocalAddress::Unix(path) if **path == *Path::new("") => "unix (inherited)".to_owned(),
        LocalAddress::Unix(path) => format!("unix://{}", path.display()),
    }
}

/// What every listener takes from the configuration, whatever its gateway: TLS where the address says so, and
/// nothing that the kind of address cannot have.
fn listener(house: &House, address: &Address) -> ListenerConfig {
    let mut config = ListenerConfig::new(address.clone());
    config.connection = house.config.connection.clone();
    if matches!(address, Address::Tls(_)) {
        config.tls = house.tls.clone();
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_printed_as_clients_write_them() {
        let ip = LocalAddress::Ip("[::1]:4700".parse().expect("an address"));
        assert_eq!(url(&ip, false), "tcp://[::1]:4700");
        assert_eq!(url(&ip, true), "tls://[::1]:4700");
        let unix = |path: &str| url(&LocalAddress::Unix(Path::new(path).into()), false);
        assert_eq!(unix("/run/x"), "unix:///run/x");
        assert_eq!(unix(""), "unix (inherited)");
    }
}
