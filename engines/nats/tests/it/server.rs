//! NATS servers of a test's own, on the loopback interface.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a server may take to come up on a busy machine.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// Where the server is: the path in `NATS_SERVER`, else the one in `PATH`, else the one that `scripts/test`
/// installs.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("NATS_SERVER") {
        return path.into();
    }
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/nats/bin/nats-server");
    let in_path = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .map(|folder| folder.join("nats-server"));
    in_path
        .chain([installed])
        .find(|path| path.is_file())
        .expect("these tests take nats-server: run scripts/test once, or name one in NATS_SERVER")
}

/// One server, which is killed with this.
pub struct Server {
    process: Option<Child>,
    folder: TempDir,
    port: u16,
    /// What its configuration has besides.
    settings: String,
    /// Most bytes that JetStream may store.
    store_bytes_max: u64,
}

/// More than any test stores.
const STORE_BYTES_MAX: u64 = 8 << 30;

impl Server {
    /// A server by itself, with a disk of its own.
    pub fn start() -> Self {
        Self::with("")
    }

    /// The same, with more in its configuration.
    pub fn with(settings: &str) -> Self {
        let mut server = Self {
            process: None,
            folder: tempfile::tempdir().expect("a folder"),
            port: free_port(),
            settings: settings.to_owned(),
            store_bytes_max: STORE_BYTES_MAX,
        };
        server.run();
        server.wait();
        server
    }

    /// Three that are one cluster.
    pub fn cluster() -> Vec<Self> {
        let routes: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let all: Vec<String> = routes
            .iter()
            .map(|port| format!("\"nats://127.0.0.1:{port}\""))
            .collect();
        let all = all.join(", ");
        let mut servers: Vec<Self> = routes
            .iter()
            .enumerate()
            .map(|(number, port)| Self {
                process: None,
                folder: tempfile::tempdir().expect("a folder"),
                port: free_port(),
                store_bytes_max: STORE_BYTES_MAX,
                settings: format!(
                    "server_name: n{number}\ncluster {{ name: test, listen: \"127.0.0.1:{port}\", routes: [{all}] }}\n"
                ),
            })
            .collect();
        for server in &mut servers {
            server.run();
        }
        for server in &servers {
            server.wait();
        }
        servers
    }

    /// Starts it again with so much room for JetStream.
    pub fn restart_with_store_of(&mut self, bytes: u64) {
        self.store_bytes_max = bytes;
        self.restart();
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Ends it as kill -9 does.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("killing the server");
            process.wait().expect("the end of the server");
        }
    }

    /// Starts it again, at the same address, with what is on its disk.
    pub fn restart(&mut self) {
        self.kill();
        self.run();
        self.wait();
    }

    /// Starts it without waiting for it.
    pub fn run(&mut self) {
        let configuration = self.folder.path().join("nats.conf");
        let store = self.folder.path().join("store");
        let text = format!(
            "listen: \"127.0.0.1:{}\"\njetstream {{ store_dir: \"{}\", max_file_store: {} }}\n{}\n",
            self.port,
            store.display(),
            self.store_bytes_max,
            self.settings
        );
        std::fs::write(&configuration, text).expect("writing the configuration");
        let log = std::fs::File::create(self.folder.path().join("log")).expect("a log");
        let process = Command::new(binary())
            .arg("-c")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("starting nats-server");
        self.process = Some(process);
    }

    /// Waits until it listens.
    pub fn wait(&self) {
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if begun.elapsed() > START_TIME_MAX {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                panic!("nats-server does not listen: {log}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Takes everything from its disk.
    pub fn forget_everything(&self) {
        assert!(self.process.is_none(), "it is not running");
        std::fs::remove_dir_all(self.folder.path().join("store")).expect("emptying its disk");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody has at this moment, below those that connections are given. A server that is started again needs
/// to be at the same one, so it cannot choose by itself.
fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(15_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
