use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Address {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn every_form_parses_and_prints() {
    for (text, printed, loopback) in [
        ("tcp://127.0.0.1:4700", "tcp://127.0.0.1:4700", true),
        ("127.0.0.1:4700", "tcp://127.0.0.1:4700", true),
        ("127.3.2.1:0", "tcp://127.3.2.1:0", true),
        ("[::1]:4700", "tcp://[::1]:4700", true),
        ("[::ffff:127.0.0.1]:1", "tcp://[::ffff:127.0.0.1]:1", true),
        ("tcp://[::]:4700", "tcp://[::]:4700", false),
        ("0.0.0.0:4700", "tcp://0.0.0.0:4700", false),
        ("tls://Example.org:4443", "tls://example.org:4443", false),
        ("localhost:4700", "tcp://localhost:4700", true),
        (
            "tcp://localhost.evil.example:1",
            "tcp://localhost.evil.example:1",
            false,
        ),
        ("unix:///run/hub.sock", "unix:///run/hub.sock", true),
        ("unix:/run/hub.sock", "unix:///run/hub.sock", true),
        ("unix:hub.sock", "unix://hub.sock", true),
        ("fd://0", "fd://0", false),
        ("fd://web", "fd://web", false),
    ] {
        let address = parsed(text);
        assert_eq!(address.to_string(), printed, "{text}");
        assert_eq!(address.is_loopback(), loopback, "{text}");
        assert_eq!(parsed(printed), address, "{text}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let error = |text: &str| text.parse::<Address>().expect_err(text);
    assert_eq!(error("http://a:1"), AddressError::Scheme("http".into()));
    assert_eq!(error("127.0.0.1"), AddressError::Port("127.0.0.1".into()));
    assert_eq!(error("localhost:"), AddressError::Port("localhost:".into()));
    assert_eq!(
        error("localhost:70000"),
        AddressError::Port("localhost:70000".into())
    );
    assert_eq!(error("localhost:+1"), AddressError::Port("localhost:+1".into()));
    assert_eq!(error("::1:4700"), AddressError::Host("::1:4700".into()));
    assert_eq!(
        error("256.0.0.1:4700"),
        AddressError::Host("256.0.0.1:4700".into())
    );
    assert_eq!(error("a b:1"), AddressError::Host("a b:1".into()));
    assert_eq!(error(":1"), AddressError::Host(":1".into()));
    assert_eq!(error("unix://"), AddressError::EmptyPath);
    assert_eq!(error("unix:a\0b"), AddressError::PathNul);
    assert_eq!(error("fd://"), AddressError::Inherited("fd://".into()));
    assert!(
        error("x").to_string().contains("127.0.0.1:4700"),
        "the message shows how to write it"
    );
}

proptest! {
    #[test]
    fn any_text_is_an_address_or_an_error(text in "\\PC{0,60}") {
        if let Ok(address) = text.parse::<Address>() {
            prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
        }
    }

    #[test]
    fn every_socket_address_survives(address: std::net::SocketAddr) {
        // Flow labels are not part of the text form.
        let text = address.to_string();
        prop_assume!(text.parse::<std::net::SocketAddr>() == Ok(address));
        prop_assert_eq!(text.parse::<Address>(), Ok(Address::Tcp(Endpoint::Ip(address))));
    }
}
