//! Without a hub.

use std::time::Duration;

use switchboard_peer::{BackOff, Connector, Handlers, KeepAlive, KeepAliveOptions, Setback, State};
use tokio_util::sync::CancellationToken;

use crate::common::{handlers, quiet};
use crate::support::{MS, Network, SECOND, Scribe, Try, settled, state_that};

#[tokio::test(start_paused = true)]
async fn without_a_hub_no_word_of_one_is_said() {
    let far = Scribe::default();
    let (network, mut accepted) = Network::new([Try::Fails], far.handlers());
    let kept = network.keep(handlers(), KeepAliveOptions::default());
    assert_eq!(kept.request_raw("echo", "queued").await.unwrap(), "queued");
    assert_eq!(kept.request::<_, i64>("add", &(2, 3)).await.unwrap(), 5);
    let first = accepted.recv().await.unwrap();
    assert_eq!(first.request_raw("echo", "back").await.unwrap(), "back");
    first.close();
    first.closed().await;
    assert_eq!(kept.request_raw("echo", "again").await.unwrap(), "again");
    kept.shutdown(SECOND).await;
    assert_eq!(far.names(), [] as [&str; 0]);
}

#[tokio::test]
async fn over_real_sockets_it_comes_back_to_the_same_address() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("tcp://{address}").parse().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(switchboard_peer::serve(
        listener,
        handlers(),
        quiet(),
        stop.clone(),
        Duration::ZERO,
    ));
    let options = KeepAliveOptions {
        back_off: BackOff {
            first: MS,
            max: 10 * MS,
        },
        ..KeepAliveOptions::default()
    };
    let kept = KeepAlive::connect(url, Connector::default(), Handlers::new(), options);
    settled(&kept).await;
    stop.cancel();
    serving.await.unwrap();
    state_that(&kept, |state| {
        matches!(
            state,
            State::Waiting {
                why: Setback::Unreachable(_),
                ..
            }
        )
    })
    .await;
    let again = tokio::net::TcpSocket::new_v4().unwrap();
    again.set_reuseaddr(true).unwrap();
    again.bind(address).unwrap();
    let listener = again.listen(16).unwrap();
    tokio::spawn(switchboard_peer::serve(
        listener,
        handlers(),
        quiet(),
        CancellationToken::new(),
        Duration::ZERO,
    ));
    settled(&kept).await;
}
