//! TLS doors, seen by OpenSSL and by Python.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use switchboard_tests::{Daemon, Launch, Signal, folder, openssl, python, run};

/// An authority, in memory.
fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}

/// A certificate for `name` by `authority`, followed by its key, in one file.
fn issue(authority: &CertifiedIssuer<'_, KeyPair>, name: &str, file: &Path) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    fs::write(file, certificate.pem() + &key.serialize_pem()).expect("a file");
}

#[test]
fn a_self_signed_door_is_open_to_openssl_to_python_and_to_commands() {
    let daemon = Launch::new()
        .listen("tls://127.0.0.1:0")
        .arguments(&["--tls-self-signed"])
        .start();
    let ca = daemon.folder().join("data/self-signed.crt");
    let mut peer = openssl::connect(daemon.address(), &ca, &[])
        .greeted()
        .serve("upper");
    let mut call = daemon.spawn(&["--ca", "data/self-signed.crt", "call", "upper", "hello"]);
    let request = peer.message();
    assert_eq!((request.kind, &*request.text()), ('r', "hello"));
    peer.send([b"R", &request.id[..], b"00000005HELLO"].concat());
    drop(call.stdin.take());
    call.end().is(0, "HELLO");

    let arguments = [
        "--ca",
        "data/self-signed.crt",
        "handle",
        "lower",
        "--",
        "tr",
        "A-Z",
        "a-z",
    ];
    let mut handler = daemon.spawn(&arguments);
    handler.says("serving");
    assert_eq!(peer.call("lower", "HELLO").text(), "hello");
    let arguments = [
        "call",
        daemon.url(),
        "lower",
        "PYTHON",
        "--stream",
        "--split",
        "--ca",
        "data/self-signed.crt",
    ];
    run(&mut python::command(daemon.folder(), &arguments), b"").is(0, "python");

    // Whoever does not trust it does not talk to it.
    let other = folder();
    issue(
        &authority("somebody else"),
        "127.0.0.1",
        &other.path().join("other.pem"),
    );
    let mut stranger = openssl::connect(daemon.address(), &other.path().join("other.pem"), &[]);
    let _ = stranger.try_send("01");
    assert_eq!(stranger.rest(), b"");
}

/// A door that takes clients of the authority in `clients.pem`, as the configuration says.
fn with_clients(wanted: &str) -> Daemon {
    let launch = Launch::new();
    let folder = launch.folder().to_owned();
    let (servers, clients) = (authority("servers"), authority("clients"));
    fs::write(folder.join("servers.pem"), servers.pem()).expect("a file");
    fs::write(folder.join("clients.pem"), clients.pem()).expect("a file");
    issue(&servers, "127.0.0.1", &folder.join("server.pem"));
    issue(&clients, "ann", &folder.join("ann.pem"));
    issue(&authority("clients"), "mallory", &folder.join("mallory.pem"));
    launch
        .config(&format!(
            "[gotalk]\nlisten = 'tls://127.0.0.1:0'\n[tls]\ncertificate = 'server.pem'\nkey = 'server.pem'\n\
             client_certificates = '{wanted}'\nclient_ca = 'clients.pem'\n"
        ))
        .start()
}

/// Whether a client of OpenSSL with this certificate is served.
fn is_served(daemon: &Daemon, certificate: Option<&str>) -> bool {
    let (file, ca) = (
        |name: &str| daemon.folder().join(name),
        daemon.folder().join("servers.pem"),
    );
    let path = certificate.map(|name| file(name).to_str().expect("UTF-8").to_owned());
    let options: Vec<&str> = path
        .iter()
        .flat_map(|path| ["-cert", path, "-key", path])
        .collect();
    let mut peer = openssl::connect(daemon.address(), &ca, &options);
    // In TLS 1.3 the client learns only after its own handshake that it is not wanted.
    let _ = peer.try_send("01");
    if peer.is_refused_before_version() {
        return false;
    }
    assert_eq!(peer.call("nope", "").kind, 'E');
    true
}

#[test]
fn client_certificates_are_required_where_the_configuration_says_so() {
    let daemon = with_clients("required");
    assert!(is_served(&daemon, Some("ann.pem")));
    assert!(!is_served(&daemon, None), "no certificate");
    assert!(
        !is_served(&daemon, Some("mallory.pem")),
        "an authority of the same name, but another"
    );
    let python = |options: &[&str]| {
        let arguments = [
            &["call", daemon.url(), "hub.nope", "x", "--ca", "servers.pem"],
            options,
        ]
        .concat();
        run(&mut python::command(daemon.folder(), &arguments), b"")
    };
    assert!(python(&["--cert", "ann.pem"]).text().starts_with("E "));
    assert_eq!(python(&[]).text(), "");
    // The command shows none, and says what happened.
    daemon
        .run(&["--ca", "servers.pem", "ops"])
        .fails(69, &["ertificate"]);
}

#[test]
fn client_certificates_may_be_shown_where_they_are_optional() {
    let daemon = with_clients("optional");
    assert!(is_served(&daemon, Some("ann.pem")));
    assert!(is_served(&daemon, None));
    assert!(
        !is_served(&daemon, Some("mallory.pem")),
        "a bad one is worse than none"
    );
}

#[test]
fn connections_outlive_their_certificate() {
    let launch = Launch::new();
    let folder = launch.folder().to_owned();
    for name in ["old", "new"] {
        let authority = authority(name);
        fs::write(folder.join(format!("{name}-ca.pem")), authority.pem()).expect("a file");
        issue(&authority, "127.0.0.1", &folder.join(format!("{name}.pem")));
    }
    let current = folder.join("current.pem");
    fs::copy(folder.join("old.pem"), &current).expect("a file");
    let mut daemon = launch
        .listen("tls://127.0.0.1:0")
        .arguments(&["--tls-cert", "current.pem", "--tls-key", "current.pem"])
        .start();
    let connect = |address, name: &str| openssl::connect(address, &folder.join(name), &[]);
    let address = daemon.address();
    let mut before = connect(address, "old-ca.pem").greeted();

    fs::copy(folder.join("new.pem"), &current).expect("a file");
    daemon.process.send(Signal::SIGHUP);
    daemon.process.says("certificate read again");
    let mut after = connect(address, "new-ca.pem").greeted().serve("work");
    before.send("r0001004work00000003old");
    let request = after.message();
    after.send([b"R", &request.id[..], b"00000003new"].concat());
    assert_eq!(before.message().text(), "new");
    assert_eq!(
        connect(address, "old-ca.pem").rest(),
        b"",
        "the old one is shown no more"
    );

    fs::write(&current, "no certificate").expect("a file");
    daemon.process.send(Signal::SIGHUP);
    daemon.process.says("the old one stays");
    connect(address, "new-ca.pem").greeted();
    assert_eq!(before.call("nope", "").kind, 'E');
}
