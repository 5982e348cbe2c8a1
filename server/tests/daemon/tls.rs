//! TLS doors.

use std::path::Path;

use super::support::*;

const LISTEN: [&str; 2] = ["--listen", "tls://127.0.0.1:0"];

#[tokio::test]
async fn a_self_signed_certificate_is_trusted_by_those_who_were_given_it() {
    let daemon = Daemon::start_in(folder(), &[&LISTEN[..], &["--tls-self-signed"]].concat(), &[]).await;
    assert!(daemon.url().starts_with("tls://127.0.0.1:"));
    let trusted = daemon.run(&["--ca", "data/self-signed.crt", "ops"]).await;
    assert_eq!(trusted.status, 0, "{trusted:?}");
    let mut upper = daemon.command(&["handle", "upper", "--", "tr", "a-z", "A-Z"]);
    upper
        .env("SWITCHBOARD_CA", "data/self-signed.crt")
        .env("SWITCHBOARD_LOG_LEVEL", "info");
    let mut upper = Process::start(upper);
    upper.says("serving").await;
    let call = daemon
        .run(&["--ca", "data/self-signed.crt", "call", "upper", "hello"])
        .await;
    call.is(0, "HELLO");

    daemon
        .run(&["ops"])
        .await
        .fails(69, &["certificate", "--ca FILE"]);
    daemon
        .run(&["--ca", "nowhere.crt", "ops"])
        .await
        .fails(64, &["--ca: nowhere.crt"]);
    let plain = daemon.url().replace("tls://", "tcp://");
    daemon.run(&["--hub", &plain, "ops"]).await.fails(69, &["tls://"]);
}

/// A certificate for 127.0.0.1 with its key, and the certificate once more for those who trust it.
fn make_certificate(folder: &Path, kept_as: &str) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).expect("a file");
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).expect("a file");
    std::fs::write(folder.join(kept_as), made.cert.pem()).expect("a file");
}

#[tokio::test]
async fn sighup_reads_the_certificate_again() {
    let folder = folder();
    make_certificate(folder.path(), "old.pem");
    let arguments = [&LISTEN[..], &["--tls-cert", "cert.pem", "--tls-key", "key.pem"]].concat();
    let mut daemon = Daemon::start_in(folder, &arguments, &[]).await;
    assert_eq!(daemon.run(&["--ca", "old.pem", "ops"]).await.status, 0);

    make_certificate(daemon.folder(), "new.pem");
    daemon.process.send(Signal::SIGHUP);
    daemon.process.says("certificate read again").await;
    assert_eq!(daemon.run(&["--ca", "new.pem", "ops"]).await.status, 0);
    assert_eq!(daemon.run(&["--ca", "old.pem", "ops"]).await.status, 69);

    std::fs::write(daemon.folder().join("key.pem"), "no key").expect("a file");
    daemon.process.send(Signal::SIGHUP);
    daemon.process.says("the old one stays").await;
    assert_eq!(daemon.run(&["--ca", "new.pem", "ops"]).await.status, 0);
}

#[tokio::test]
async fn a_bad_certificate_is_told_at_the_start() {
    let folder = folder();
    let arguments = [
        &["serve"],
        &LISTEN[..],
        &["--tls-cert", "cert.pem", "--tls-key", "key.pem"],
    ]
    .concat();
    let ran = run_with(switchboard(folder.path(), arguments), b"").await;
    ran.fails(1, &["switchboard: cannot read cert.pem"]);
}
