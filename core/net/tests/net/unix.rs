//! Unix sockets: their file, and who is at the other end.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use switchboard_net::{BindError, Limits, Listener, ListenerConfig, LocalAddress, Network, PeerAddress};
use tokio::net::UnixStream;

use crate::support::*;

fn at(path: &Path) -> ListenerConfig {
    config(&format!("unix://{}", path.display()))
}

async fn refused(config: ListenerConfig) -> BindError {
    Listener::bind(config, &Network::new(Limits::default()))
        .await
        .expect_err("this cannot be had")
}

async fn reach(path: &Path) -> UnixStream {
    patient(UnixStream::connect(path))
        .await
        .expect("somebody listens")
}

#[tokio::test]
async fn the_peer_is_known_by_its_uid_and_the_file_goes_in_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("echo.sock");
    let mut server = Server::start(at(&path), Limits::default()).await;
    assert_eq!(
        fs::metadata(&path).expect("the socket").permissions().mode() & 0o777,
        0o600
    );
    assert!(echoes(&mut reach(&path).await).await);
    let info = server.begun().await;
    assert_eq!(info.peer, PeerAddress::Unix);
    assert_eq!(info.local, LocalAddress::Unix(path.as_path().into()));
    assert_eq!(
        info.peer_uid,
        Some(fs::metadata(folder.path()).expect("ours").uid())
    );
    server.ended().await;
    server.shutdown.drain(Duration::ZERO).await;
    while path.exists() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn mode_and_owner_are_as_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("echo.sock");
    let ours = fs::metadata(folder.path()).expect("ours");
    let mut config = at(&path);
    config.unix.mode = 0o666;
    // Only root may give a file away; anybody may give it to themselves.
    let root = ours.uid() == 0;
    config.unix.owner = Some(if root { 4_711 } else { ours.uid() });
    config.unix.group = Some(if root { 4_712 } else { ours.gid() });
    let expected = (config.unix.owner, config.unix.group);
    let _server = Server::start(config, Limits::default()).await;
    let file = fs::metadata(&path).expect("the socket");
    assert_eq!(file.permissions().mode() & 0o777, 0o666, "whatever the umask is");
    assert_eq!((Some(file.uid()), Some(file.gid())), expected);
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("echo.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
    assert!(path.exists(), "left behind, as by a crash");
    let _server = Server::start(at(&path), Limits::default()).await;
    let error = refused(at(&path)).await;
    assert!(matches!(error, BindError::InUse { .. }), "{error}");
    assert!(echoes(&mut reach(&path).await).await, "and it lives on");
}

#[tokio::test]
async fn a_listener_too_busy_to_accept_is_alive() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("busy.sock");
    let busy = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).expect("a socket");
    busy.bind(&socket2::SockAddr::unix(&path).expect("short"))
        .expect("bound");
    busy.listen(0).expect("listening");
    let _waiting = std::os::unix::net::UnixStream::connect(&path).expect("the backlog takes one");
    let error = patient(refused(at(&path))).await;
    assert!(matches!(error, BindError::InUse { .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notes.txt");
    fs::write(&path, "precious").expect("written");
    assert!(matches!(refused(at(&path)).await, BindError::NotASocket { .. }));
    assert_eq!(fs::read_to_string(&path).expect("still there"), "precious");

    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    assert!(matches!(refused(at(&link)).await, BindError::NotASocket { .. }));
    assert!(matches!(
        refused(at(folder.path())).await,
        BindError::NotASocket { .. }
    ));
}

#[tokio::test]
async fn impossible_paths_are_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let long = folder.path().join("x".repeat(108));
    assert!(matches!(
        refused(at(&long)).await,
        BindError::PathTooLong { max: 107, .. }
    ));
    let error = refused(at(&folder.path().join("missing/echo.sock"))).await;
    assert!(error.to_string().contains("missing/echo.sock"), "{error}");
}

#[tokio::test]
async fn a_file_that_took_our_place_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("echo.sock");
    let network = Network::new(Limits::default());
    let listener = Listener::bind(at(&path), &network).await.expect("bound");
    fs::remove_file(&path).expect("removed");
    fs::write(&path, "another's").expect("written");
    drop(listener);
    assert!(path.exists());
}

#[tokio::test]
async fn of_two_that_start_at_once_one_wins() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("echo.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a stale socket"));
    let network = Network::new(Limits::default());
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (network, config) = (network.clone(), at(&path));
        starts.spawn(async move { Listener::bind(config, &network).await });
    }
    let results = patient(starts.join_all()).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(
        results
            .iter()
            .flat_map(|result| result.as_ref().err())
            .all(|e| matches!(e, BindError::InUse { .. }))
    );
}
