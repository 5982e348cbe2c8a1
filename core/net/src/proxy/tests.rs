use proptest::prelude::*;

use super::*;

fn complete(length: usize, addresses: Option<(&str, &str)>) -> Parsed {
    let parsed = |text: &str| text.parse().expect("a socket address");
    let client = addresses.map(|(source, destination)| Client {
        source: parsed(source),
        destination: parsed(destination),
    });
    Parsed::Complete(Header { length, client })
}

fn v2(version_command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = V2_SIGNATURE.to_vec();
    header.extend([version_command, family]);
    header.extend(u16::try_from(payload.len()).expect("short").to_be_bytes());
    header.extend(payload);
    header
}

#[test]
fn version_1_tells_the_client() {
    for (line, addresses) in [
        (
            "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n",
            Some(("192.0.2.1:56324", "198.51.100.7:443")),
        ),
        (
            "PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n",
            Some(("[2001:db8::1]:0", "[2001:db8::2]:65535")),
        ),
        (
            "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n",
            Some(("192.0.2.1:1", "[::1]:2")),
        ),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ffff::1 whatever\r\n", None),
    ] {
        let header = line.as_bytes();
        assert_eq!(parse(header), Ok(complete(header.len(), addresses)), "{line}");
        let followed = [header, b"GET / PROXY \r\n"].concat();
        assert_eq!(
            parse(&followed),
            Ok(complete(header.len(), addresses)),
            "{line} and more"
        );
    }
}

#[test]
fn the_longest_line_of_version_1_fits() {
    let long = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let line = format!("PROXY UNKNOWN {long} {long} 65535 65535\r\n");
    assert_eq!(line.len(), V1_BYTES_MAX);
    assert_eq!(parse(line.as_bytes()), Ok(complete(V1_BYTES_MAX, None)));
    let longer = line.replace("UNKNOWN", "UNKNOWN ");
    assert_eq!(parse(longer.as_bytes()), Err(ProxyError::TooLong));
}

#[test]
fn version_1_is_taken_literally() {
    for line in [
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 +6324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 056324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7  443\r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.7 1 443\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.7 1 443\r\n",
        "PROXY TCP4 ::1 ::1 1 443\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.7 1 443\r\n",
        "PROXY TCP5 192.0.2.1 198.51.100.7 1 443\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY \r\n",
        "PROXY TCP4 192.0.2.1\t198.51.100.7 1 443\r\n",
    ] {
        assert!(
            matches!(parse(line.as_bytes()), Err(ProxyError::Malformed(_))),
            "{line:?}"
        );
    }
    assert!(matches!(
        parse(b"PROXY UNKNOWN \xff\r\n"),
        Err(ProxyError::Malformed(_))
    ));
}

#[test]
fn version_2_tells_the_client() {
    let ipv4 = [192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 0x01, 0xbb];
    let addresses = Some(("192.0.2.1:56324", "198.51.100.7:443"));
    assert_eq!(parse(&v2(0x21, 0x11, &ipv4)), Ok(complete(28, addresses)));
    let extended = [&ipv4[..], &[0x01, 0, 2, b'h', b'2']].concat();
    assert_eq!(
        parse(&v2(0x21, 0x11, &extended)),
        Ok(complete(33, addresses)),
        "extensions are skipped"
    );

    let mut ipv6 = [0; 36];
    (ipv6[15], ipv6[31], ipv6[33], ipv6[35]) = (1, 2, 3, 4);
    assert_eq!(
        parse(&v2(0x21, 0x21, &ipv6)),
        Ok(complete(52, Some(("[::1]:3", "[::2]:4"))))
    );

    assert_eq!(
        parse(&v2(0x20, 0x11, &ipv4)),
        Ok(complete(28, None)),
        "LOCAL: the proxy itself"
    );
    assert_eq!(
        parse(&v2(0x20, 0xff, &[])),
        Ok(complete(16, None)),
        "LOCAL: the family does not matter"
    );
    assert_eq!(parse(&v2(0x21, 0x00, &[])), Ok(complete(16, None)), "unspecified");
    assert_eq!(
        parse(&v2(0x21, 0x31, &[0; 216])),
        Ok(complete(232, None)),
        "a Unix socket"
    );
}

#[test]
fn version_2_is_taken_literally() {
    let ipv4 = [192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 0x01, 0xbb];
    for header in [
        v2(0x11, 0x11, &ipv4),
        v2(0x22, 0x11, &ipv4),
        v2(0x21, 0x11, &ipv4[..11]),
        v2(0x21, 0x21, &ipv4),
        v2(0x21, 0x12, &ipv4),
        v2(0x21, 0x41, &ipv4),
    ] {
        assert!(
            matches!(parse(&header), Err(ProxyError::Malformed(_))),
            "{header:02x?}"
        );
    }
    assert_eq!(parse(&v2(0x21, 0x11, &[0; 4_081])), Err(ProxyError::TooLong));
    assert!(matches!(
        parse(&v2(0x21, 0x11, &[0; 4_080])),
        Ok(Parsed::Complete(_))
    ));
}

#[test]
fn other_protocols_are_known_by_their_first_wrong_byte() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"POST",
        b"PROXy ",
        b"\x16\x03\x01",
        b"\r\n\r\n\0\r\nQUIt",
        b"0",
    ] {
        assert_eq!(parse(bytes), Err(ProxyError::NotAHeader), "{bytes:?}");
    }
}

/// Valid headers of both versions, with the addresses they carry.
fn headers() -> impl Strategy<Value = (Vec<u8>, Option<(SocketAddr, SocketAddr)>)> {
    let ip = prop_oneof![
        any::<([u8; 4], [u8; 4])>().prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b))),
        any::<([u8; 16], [u8; 16])>().prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b))),
    ];
    let extensions = proptest::collection::vec(any::<u8>(), 0..40);
    (ip, any::<(u16, u16)>(), extensions, 0..3u8).prop_map(
        |((source, destination), ports, extensions, kind)| {
            let client = (
                SocketAddr::new(source, ports.0),
                SocketAddr::new(destination, ports.1),
            );
            match kind {
                0 => {
                    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
                    let line = format!(
                        "PROXY {family} {source} {destination} {} {}\r\n",
                        ports.0, ports.1
                    );
                    (line.into_bytes(), Some(client))
                }
                1 => (v2(0x20, 0x00, &extensions), None),
                _ => {
                    let mut payload = Vec::new();
                    for ip in [source, destination] {
                        match ip {
                            IpAddr::V4(ip) => payload.extend(ip.octets()),
                            IpAddr::V6(ip) => payload.extend(ip.octets()),
                        }
                    }
                    payload.extend([ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat());
                    payload.extend(extensions);
                    (
                        v2(0x21, if source.is_ipv4() { 0x11 } else { 0x21 }, &payload),
                        Some(client),
                    )
                }
            }
        },
    )
}

proptest! {
    #[test]
    fn any_bytes_are_read_within_bounds(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        check_bounds(&bytes)?;
    }

    /// Bytes that begin well, so that they get past the first look.
    #[test]
    fn any_bytes_after_a_good_beginning_are_read_within_bounds(
        first in any::<bool>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let beginning = if first { V1_PREFIX } else { &V2_SIGNATURE[..] };
        check_bounds(&[beginning, &bytes].concat())?;
    }

    #[test]
    fn headers_are_read_back_whatever_follows((header, addresses) in headers(), rest: Vec<u8>) {
        let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        let client = addresses
            .map(|(source, destination)| Client { source: canonical(source), destination: canonical(destination) });
        let expected = Ok(Parsed::Complete(Header { length: header.len(), client }));
        prop_assert_eq!(parse(&[&header[..], &rest].concat()), expected);
    }

    /// What arrives byte by byte is incomplete until the very last byte.
    #[test]
    fn every_beginning_of_a_header_is_incomplete((header, _) in headers()) {
        for end in 0..header.len() {
            prop_assert_eq!(parse(&header[..end]), Ok(Parsed::Incomplete));
        }
    }
}

fn check_bounds(bytes: &[u8]) -> Result<(), TestCaseError> {
    match parse(bytes) {
        Ok(Parsed::Complete(header)) => prop_assert!(header.length <= bytes.len().min(HEADER_BYTES_MAX)),
        Ok(Parsed::Incomplete) => prop_assert!(bytes.len() < HEADER_BYTES_MAX),
        Err(_) => {}
    }
    Ok(())
}
