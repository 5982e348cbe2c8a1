//! NATS servers of a test's own, on the loopback interface.

use std::{
    fs::File,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use switchboard_tests::{Daemon, Launch, folder, until};
use tempfile::TempDir;

/// Where the server is: the path in `NATS_SERVER`, else in `PATH`, else what `scripts/test` installs.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("NATS_SERVER") {
        return path.into();
    }
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/nats/bin/nats-server");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path: Vec<_> = std::env::split_paths(&path)
        .map(|folder| folder.join("nats-server"))
        .collect();
    in_path
        .into_iter()
        .chain([installed])
        .find(|path| path.is_file())
        .expect("these tests take nats-server: run scripts/test once, or name one in NATS_SERVER")
}

/// A port that nobody has at this moment. A server that comes back has to be at the one it had, so it cannot choose.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

/// One server with JetStream; killed when dropped.
pub(super) struct Nats {
    process: Option<Child>,
    folder: TempDir,
    port: u16,
    arguments: Vec<String>,
}

impl Nats {
    /// One by itself.
    pub(super) fn start() -> Self {
        let mut server = Self::new(Vec::new());
        server.back();
        server
    }

    /// Three that are one cluster.
    pub(super) fn three() -> [Self; 3] {
        let ports = [(); 3].map(|()| free_port());
        let routes = ports.map(|port| format!("nats://127.0.0.1:{port}")).join(",");
        let mut number = 0;
        let mut servers = ports.map(|port| {
            number += 1;
            let arguments = [
                ("--name", format!("n{number}")),
                ("--cluster_name", "test".to_owned()),
                ("--cluster", format!("nats://127.0.0.1:{port}")),
                ("--routes", routes.clone()),
            ];
            let arguments = arguments.map(|(name, value)| [name.to_owned(), value]);
            Self::new(arguments.concat())
        });
        for server in &mut servers {
            server.run();
        }
        for server in &servers {
            server.listens();
        }
        servers
    }

    fn new(arguments: Vec<String>) -> Self {
        Self {
            process: None,
            folder: folder(),
            port: free_port(),
            arguments,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts it, with what is on its disk.
    pub(super) fn back(&mut self) {
        self.run();
        self.listens();
    }

    fn run(&mut self) {
        let log = File::create(self.folder.path().join("log")).expect("a file");
        let process = Command::new(binary())
            .args(["--addr", "127.0.0.1", "--port", &self.port.to_string()])
            .arg("--jetstream")
            .arg("--store_dir")
            .arg(self.folder.path())
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.process = Some(process.expect("it starts"));
    }

    fn listens(&self) {
        until("NATS listens", || {
            TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
    }

    /// Ends it as `kill -9` does.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// A hub that is to be started with its state there.
    pub(super) fn launch(&self) -> Launch {
        launch(&self.url())
    }

    /// A hub with its state there.
    #[track_caller]
    pub(super) fn hub(&self) -> Daemon {
        self.launch().start()
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A hub that is to be started with its state in a cluster, with a door for gotalk and one for HTTP.
pub(super) fn launch(engine: &str) -> Launch {
    Launch::tcp()
        .listen("http://127.0.0.1:0")
        .arguments(&["--engine", engine])
}
