//! A hub behind a gotalk door and an HTTP door, with its state in memory.

use std::net::SocketAddr;
use std::time::Duration;

use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions};
use switchboard_gateway_gotalk::{GatewayOptions, GotalkGateway};
use switchboard_gateway_http::{Assets, HttpGateway, HttpOptions};
use switchboard_hub::{Hub, HubConfig};
use switchboard_net::{Accept, Ending, Limits, Listener, ListenerConfig, Network, Shutdown};
use tokio::runtime::Runtime;

/// How long connections may take to end with their hub.
const GRACE: Duration = Duration::from_secs(10);

/// Ends with [`end`](Self::end).
pub struct RunningHub {
    pub gotalk: SocketAddr,
    pub http: SocketAddr,
    runtime: Runtime,
    shutdown: Shutdown,
}

impl RunningHub {
    /// With its gotalk door at this address.
    pub fn start(address: &str) -> Self {
        Self::with(address, HttpOptions::default())
    }

    /// With an HTTP door as wanted.
    pub fn with_http(options: HttpOptions) -> Self {
        Self::with("tcp://127.0.0.1:0", options)
    }

    fn with(address: &str, options: HttpOptions) -> Self {
        let (runtime, shutdown) = (Runtime::new().expect("a runtime"), Shutdown::new());
        let engine = Embedded::open(EmbeddedOptions::new(DataDir::Memory)).expect("an engine");
        let hub = runtime
            .block_on(Hub::with_engine(HubConfig::default(), engine))
            .expect("a hub");
        let gateway = GotalkGateway::new(hub.clone(), GatewayOptions::default(), shutdown.clone());
        let gotalk = open(&runtime, address, gateway, &shutdown);
        let assets = Assets::none().library(include_bytes!("../../../clients/js/dist/gotalk.js").as_slice());
        let gateway = HttpGateway::new(hub, options, assets, shutdown.clone());
        let http = open(&runtime, "tcp://127.0.0.1:0", gateway, &shutdown);
        Self {
            gotalk,
            http,
            runtime,
            shutdown,
        }
    }

    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    pub fn end(self) {
        let ending = self.runtime.block_on(self.shutdown.drain(GRACE));
        assert_eq!(ending, Ending::Graceful);
    }
}

fn open(runtime: &Runtime, address: &str, gateway: impl Accept, shutdown: &Shutdown) -> SocketAddr {
    let config = ListenerConfig::new(address.parse().expect("an address"));
    let network = Network::new(Limits::default());
    let listener = runtime
        .block_on(Listener::bind(config, &network))
        .expect("a port");
    let address = listener.local_address().ip().expect("on the network");
    runtime.spawn(listener.run(gateway, shutdown.clone()));
    address
}
