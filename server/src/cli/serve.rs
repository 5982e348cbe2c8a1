//! Arguments of `serve`, and the settings they make.

use std::{num::NonZeroU32, path::PathBuf};

use clap::{Args, ValueHint};

use crate::{
    config::{Setting, Sources, address, values::LogFormat},
    units::Span,
};

const AFTER_HELP: &str = "\
Everything has a default: without a file and without options the hub listens for gotalk on tcp://127.0.0.1:4700 and
on the Unix socket ./data/switchboard.sock, and for browsers and curl on http://127.0.0.1:4780.

What must outlast it (last values of topics, keys, queues, blobs) is in ./data too, or in a NATS cluster with --engine;
then any number of daemons are one switchboard.

Whoever connects may do everything, for there are no accounts yet; so it listens on loopback and Unix sockets only.

Options win over environment variables (SWITCHBOARD_SECTION_KEY), these over the file, the file over the defaults.
`switchboard config default` prints a file with everything that can be set.

It prints a line for each door, its name and where it listens, and then `ready`; the log goes to stderr.

SIGTERM and SIGINT let running calls end within the grace period; a second one stops at once. SIGHUP reads the
certificate again and opens the access log anew.

Examples:
  switchboard serve
  switchboard serve --listen tcp://127.0.0.1:5000 --listen unix:///run/switchboard/switchboard.sock
  switchboard serve --listen unix://{data}/switchboard.sock --listen http://127.0.0.1:8080
  switchboard serve --data /var/lib/switchboard --durability always
  switchboard serve --engine nats://host1:4222,nats://host2:4222,nats://host3:4222
  switchboard serve --listen tls://127.0.0.1:4743 --tls-self-signed
  SWITCHBOARD_LOG_LEVEL=debug switchboard serve --config /etc/switchboard/switchboard.toml";

/// `switchboard serve`
#[derive(Debug, Clone, Default, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct ServeArgs {
    /// Configuration file
    ///
    /// Without it, ./switchboard.toml, else /etc/switchboard/switchboard.toml, else none.
    #[arg(long, value_name = "FILE", env = "SWITCHBOARD_CONFIG", hide_env_values = true, value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Address to listen on, instead of all configured ones; may be given several times
    ///
    /// For gotalk, tcp://ADDRESS:PORT, tls://ADDRESS:PORT or unix://PATH, where {data} stands for the data directory;
    /// for HTTP, http://ADDRESS:PORT or https://ADDRESS:PORT; for Redis, redis://ADDRESS:PORT or
    /// rediss://ADDRESS:PORT. Port 0 lets the system choose. A door of which no address is given is closed.
    #[arg(long, value_name = "ADDR")]
    pub listen: Vec<String>,
    /// Folder of the daemon's own files and of its state; `:memory:` keeps nothing
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data: Option<String>,
    /// Where state is kept: `embedded`, or a NATS cluster, nats://HOST:PORT, several with commas between
    #[arg(long, value_name = "ENGINE")]
    pub engine: Option<String>,
    /// When what was acknowledged is safe from the loss of power: always, second or never
    #[arg(long, value_name = "WHEN")]
    pub durability: Option<String>,
    /// Start although state is damaged or missing, without what is lost; the log names it
    #[arg(long)]
    pub accept_loss: bool,
    /// Make a certificate at start, for trying out TLS
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"])]
    pub tls_self_signed: bool,
    /// PEM file of the certificate chain
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub tls_cert: Option<String>,
    /// PEM file of the certificate's private key
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub tls_key: Option<String>,
    /// How the log is written
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What is logged: off, error, warn, info, debug, trace, or a list like info,switchboard_hub=debug
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// How long a stop waits for running calls, like 10s
    #[arg(long, value_name = "TIME")]
    pub grace: Option<Span>,
    /// Threads that serve connections [default: half of the processors, at least one]
    #[arg(long, value_name = "N")]
    pub workers: Option<NonZeroU32>,
}

impl ServeArgs {
    /// All sources of the daemon's configuration: these flags, this process's environment, the file.
    pub fn sources(&self) -> Sources {
        Sources {
            flags: self.settings(),
            ..Sources::of_process(self.config.clone())
        }
    }

    /// What the flags set.
    pub fn settings(&self) -> Vec<Setting> {
        let text = |flag, section, key, value: &Option<String>| {
            value
                .as_ref()
                .map(|value| Setting::flag(flag, section, key, value.as_str()))
        };
        let format = self.log_format.map(|format| match format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        });
        let [gotalk, http, redis] = self.listen_settings();
        let self_signed = self
            .tls_self_signed
            .then(|| Setting::flag("--tls-self-signed", "tls", "self_signed", true));
        [
            gotalk,
            http,
            redis,
            text("--data", "server", "data", &self.data),
            text("--engine", "engine", "engine", &self.engine),
            text("--durability", "engine", "durability", &self.durability),
            self_signed,
            text("--tls-cert", "tls", "certificate", &self.tls_cert),
            text("--tls-key", "tls", "key", &self.tls_key),
            format.map(|format| Setting::flag("--log-format", "log", "format", format)),
            text("--log-level", "log", "level", &self.log_level),
            self.grace
                .map(|grace| Setting::flag("--grace", "server", "grace", grace.to_string())),
            self.workers
                .map(|workers| Setting::flag("--workers", "server", "workers", i64::from(workers.get()))),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The doors that are named, each with its addresses; the others are closed.
    fn listen_settings(&self) -> [Option<Setting>; 3] {
        if self.listen.is_empty() {
            return [None, None, None];
        }
        let (mut http, mut redis, mut gotalk) = (Vec::new(), Vec::new(), Vec::new());
        for address in self.listen.iter().cloned() {
            if address::HTTP.are_of(&address) {
                http.push(address);
            } else if address::REDIS.are_of(&address) {
                redis.push(address);
            } else {
                gotalk.push(address);
            }
        }
        [
            (address::GOTALK, gotalk),
            (address::HTTP, http),
            (address::REDIS, redis),
        ]
        .map(|(door, listen)| Some(Setting::flag("--listen", door.section, "listen", listen)))
    }
}
