//! As long as everybody is `guest` and may do everything, only this machine may connect.

use switchboard_net::{Address, LocalAddress};

/// A listener that other machines could reach, while everybody who connects may do everything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "refusing to listen on {listener}: everybody who connects is the account `guest`, which may do everything, and \
     other machines could connect there. Accounts come in a later version; until then listen on 127.0.0.1, [::1] or \
     a Unix socket, and put a tunnel in front to reach it from elsewhere"
)]
pub struct OpenGuest {
    /// Where it listens, or should.
    pub listener: String,
}

/// Checks, before it is bound, that a listener at this address is reachable from this machine only.
///
/// What the text cannot tell passes: an inherited socket, and where `localhost` leads. So
/// [`check_guest`] must be asked in any case once the listener is bound.
///
/// # Errors
/// [`OpenGuest`] for every other address than a loopback one and a Unix socket.
pub fn check_address(address: &Address) -> Result<(), OpenGuest> {
    check(
        address.is_loopback() || matches!(address, Address::Inherited(_)),
        address,
    )
}

/// Checks that a bound listener is reachable from this machine only. The gateway asks the same of each connection.
///
/// # Errors
/// [`OpenGuest`] if it is neither a loopback address nor a Unix socket.
pub fn check_guest(local: &LocalAddress) -> Result<(), OpenGuest> {
    check(local.is_loopback(), local)
}

fn check(closed: bool, listener: &impl std::fmt::Display) -> Result<(), OpenGuest> {
    if closed {
        return Ok(());
    }
    Err(OpenGuest {
        listener: listener.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().expect("an address")
    }

    #[test]
    fn only_what_this_machine_alone_can_reach_passes() {
        for closed in [
            "127.0.0.1:4700",
            "127.8.9.1:0",
            "[::1]:4700",
            "tls://[::ffff:127.0.0.1]:1",
            "tcp://localhost:1",
            "unix:///run/x.sock",
            "fd://0",
        ] {
            assert_eq!(check_address(&address(closed)), Ok(()), "{closed}");
        }
        for open in [
            "0.0.0.0:4700",
            "[::]:4700",
            "192.0.2.1:1",
            "tls://example.org:4700",
            "tcp://localhost.example.org:1",
        ] {
            assert!(check_address(&address(open)).is_err(), "{open}");
        }
    }

    #[test]
    fn a_bound_listener_is_asked_where_it_really_is() {
        let ip = |text: &str| LocalAddress::Ip(text.parse().expect("an address"));
        assert_eq!(check_guest(&ip("127.0.0.1:1")), Ok(()));
        assert_eq!(
            check_guest(&LocalAddress::Unix(std::path::Path::new("/x").into())),
            Ok(())
        );
        let refused = check_guest(&ip("0.0.0.0:4700")).expect_err("other machines reach it");
        let said = refused.to_string();
        for word in [
            "0.0.0.0:4700",
            "guest",
            "127.0.0.1",
            "[::1]",
            "Unix socket",
            "tunnel",
        ] {
            assert!(said.contains(word), "{word:?} is missing in {said:?}");
        }
    }
}
