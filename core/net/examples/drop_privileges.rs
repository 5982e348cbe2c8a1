//! Binds a port, then gives up root for good: `drop_privileges USER [GROUP [FOLDER]]`.
//!
//! It prints `dropped UID GID`, then why a second drop fails, and waits for its input to end, so that one can look at
//! it from outside.

use std::error::Error;
use std::io::Read;
use std::process::ExitCode;

use switchboard_net::privilege::Privileges;
use switchboard_net::{Limits, Listener, ListenerConfig, Network};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let privileges = Privileges {
        user: arguments.next().ok_or("say which user to become")?,
        group: arguments.next().filter(|group| !group.is_empty()),
        chroot: arguments.next().map(Into::into),
    };
    let listener = Listener::bind(
        ListenerConfig::new("tcp://127.0.0.1:0".parse()?),
        &Network::new(Limits::default()),
    )
    .await?;
    let dropped = privileges.drop_to()?;
    println!("dropped {} {}", dropped.user, dropped.group);
    match privileges.drop_to() {
        Ok(_) => println!("dropped twice"),
        Err(error) => println!("{error}"),
    }
    println!("listening {}", listener.local_address());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
