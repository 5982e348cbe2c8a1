//! Who is let in: servers by what they can do, we by our credentials.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};
use switchboard_engine::{Engine, EngineError, Health};
use switchboard_engine_nats::{Nats, NatsOptions};

use crate::server::Server;
use crate::tools::{in_the_end, open, put, reason, soon, try_put, value};

/// A server that says of itself what a test wants, and nothing more.
fn server_that_says(info: Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            // Whoever connects gets its word, and an answer to his ping; the connection stays until the test ends.
            let _ = write!(connection, "INFO {info}\r\nPONG\r\n");
            let mut rest = Vec::new();
            let _ = std::io::Read::read_to_end(&mut connection, &mut rest);
        }
    });
    format!("nats://{address}")
}

fn info(version: &str, jetstream: bool) -> Value {
    json!({
        "server_id": "x", "server_name": "x", "version": version, "go": "", "host": "127.0.0.1", "port": 4222,
        "headers": true, "max_payload": 1_048_576, "proto": 1, "client_id": 1, "jetstream": jetstream,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_cannot_do_it_are_refused_with_what_to_do() {
    for (version, jetstream, why) in [
        ("2.11.9", true, "2.12 or newer"),
        ("2.15.1", false, "start it with -js"),
    ] {
        let url = server_that_says(info(version, jetstream));
        let refused = soon("a refusal", Nats::open(NatsOptions::new([url]))).await;
        let Err(EngineError::Unsupported(said)) = refused else {
            panic!("{version} is refused, but {refused:?}");
        };
        assert!(said.contains(why), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_make_no_sense_are_refused() {
    let options = NatsOptions::new(["nats://127.0.0.1:1"]);
    for bad in [
        NatsOptions {
            replicas: 0,
            ..options.clone()
        },
        NatsOptions {
            replicas: 6,
            ..options.clone()
        },
        NatsOptions {
            prefix: "a.b".to_owned(),
            ..options.clone()
        },
        NatsOptions {
            tls_key: Some("key.pem".into()),
            ..options.clone()
        },
    ] {
        let refused = Nats::open(bad).await;
        assert!(matches!(refused, Err(EngineError::Invalid(_))), "{refused:?}");
    }
    let server = Server::start();
    let alone = NatsOptions {
        replicas: 3,
        ..NatsOptions::new([server.url()])
    };
    let refused = soon("a refusal", Nats::open(alone)).await;
    assert!(
        matches!(&refused, Err(EngineError::Invalid(said)) if said.contains("cluster")),
        "{refused:?}"
    );
    let nobody = soon("the end of an opening", Nats::open(options)).await;
    assert!(reason(nobody).contains("127.0.0.1:1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_asked_for_and_not_shown() {
    let server = Server::with("authorization { user: hub, password: \"s3cret\" }");
    let refused = soon("a refusal", Nats::open(NatsOptions::new([server.url()]))).await;
    let said = reason(refused).to_lowercase();
    assert!(said.contains("authorization"), "{said}");

    let url = server.url().replace("nats://", "nats://hub:s3cret@");
    let engine = Nats::open(NatsOptions::new([url])).await.expect("opening");
    put(&engine, "a", "1").await;
    assert!(!engine.description().contains("s3cret") && engine.description().contains("127.0.0.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_format_is_refused_with_what_to_do() {
    let server = Server::start();
    let engine = open(&server).await;
    put(&engine, "a", "1").await;
    engine.close().await.expect("closing");
    let client = async_nats::connect(server.url()).await.expect("connecting");
    let written = client.request("switchboard.k.f", "2".into()).await;
    written.expect("writing the format");
    let refused = soon("a refusal", Nats::open(NatsOptions::new([server.url()]))).await;
    let Err(EngineError::Unsupported(said)) = refused else {
        panic!("it is refused, but {refused:?}");
    };
    assert!(said.contains("format \"2\"") && said.contains("export"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_checks_the_server_and_shows_the_hub() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let signer = rcgen::KeyPair::generate().expect("a key");
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&signer).expect("a certificate").pem();
    let issuer = rcgen::Issuer::new(authority, signer);
    std::fs::write(path("ca.pem"), authority_pem).expect("writing");
    for name in ["server", "hub"] {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned(), name.to_owned()]);
        let certificate = params
            .expect("parameters")
            .signed_by(&key, &issuer)
            .expect("a certificate");
        std::fs::write(path(&format!("{name}.pem")), certificate.pem()).expect("writing");
        std::fs::write(path(&format!("{name}.key")), key.serialize_pem()).expect("writing");
    }
    let file = |name: &str| path(name).display().to_string();
    let server = Server::with(&format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", verify: true }}",
        file("server.pem"),
        file("server.key"),
        file("ca.pem")
    ));
    let url = server.url().replace("nats://", "tls://");
    let stranger = soon("a refusal", Nats::open(NatsOptions::new([url.clone()]))).await;
    assert!(reason(stranger).contains("cannot connect"));

    let engine = Nats::open(NatsOptions {
        tls_ca: Some(path("ca.pem")),
        tls_certificate: Some(path("hub.pem")),
        tls_key: Some(path("hub.key")),
        ..NatsOptions::new([url])
    })
    .await
    .expect("opening");
    put(&engine, "a", "1").await;
    assert_eq!(value(&engine, "a").await, Ok(Some("1".into())));
}

/// Signs claims as `nsc` does: <https://docs.nats.io/running-a-nats-service/nats_admin/security/jwt>.
fn jwt(signer: &KeyPair, subject: &KeyPair, name: &str, expires: Option<u64>, nats: Value) -> String {
    let base64 = |value: &[u8]| URL_SAFE_NO_PAD.encode(value);
    let mut claims = json!({
        "jti": name, "iat": 1, "iss": signer.public_key(), "name": name, "sub": subject.public_key(), "nats": nats,
    });
    if let Some(expires) = expires {
        claims["exp"] = json!(expires);
    }
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let said = format!(
        "{}.{}",
        base64(header.to_string().as_bytes()),
        base64(claims.to_string().as_bytes())
    );
    let signature = signer.sign(said.as_bytes()).expect("signing");
    format!("{said}.{}", base64(&signature))
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("it is after 1970").as_secs()
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_expire_are_taken_anew_from_their_file() {
    let (operator, system, account, user) = (
        KeyPair::new_operator(),
        KeyPair::new_account(),
        KeyPair::new_account(),
        KeyPair::new_user(),
    );
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
        "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
    });
    let of_account = |name: &str, key: &KeyPair, limits: &Value| {
        let nats = json!({ "type": "account", "version": 2, "limits": limits });
        jwt(&operator, key, name, None, nats)
    };
    let mut without_storage = limits.clone();
    for field in ["mem_storage", "disk_storage", "streams", "consumer"] {
        without_storage[field] = json!(0);
    }
    let server = Server::with(&format!(
        "operator: \"{}\"\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {}: \"{}\", {}: \"{}\" }}",
        jwt(
            &operator,
            &operator,
            "operator",
            None,
            json!({ "type": "operator", "version": 2 })
        ),
        system.public_key(),
        system.public_key(),
        of_account("system", &system, &without_storage),
        account.public_key(),
        of_account("hubs", &account, &limits),
    ));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("hub.creds");
    let renew = |expires: u64| {
        let nats = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {} });
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            jwt(&account, &user, "hub", Some(expires), nats),
            user.seed().expect("it was made here")
        );
        std::fs::write(&file, text).expect("writing");
    };
    renew(now() + 4);
    let options = NatsOptions {
        credentials: Some(file.clone()),
        ..NatsOptions::new([server.url()])
    };
    let engine = Nats::open(options.clone()).await.expect("opening");
    put(&engine, "a", "1").await;

    // The server ends the connection when its time has come, and lets nobody in with what has expired.
    let said = in_the_end("the credentials expire", async || {
        try_put(&engine, "b", "1").await.err()
    })
    .await;
    assert!(matches!(said, EngineError::Unavailable { .. }), "{said}");
    in_the_end("the reason is told", async || match engine.health() {
        Health::Impaired(why) => why.to_lowercase().contains("auth").then_some(()),
        Health::Ready => None,
    })
    .await;
    let refused = soon("a refusal", Nats::open(options)).await;
    assert!(reason(refused).to_lowercase().contains("auth"));

    renew(now() + Duration::from_secs(3600).as_secs());
    in_the_end("the renewed are taken", async || {
        try_put(&engine, "c", "1").await.ok()
    })
    .await;
    assert_eq!(value(&engine, "a").await, Ok(Some("1".into())));
    assert_eq!(engine.health(), Health::Ready);
}
