//! Arguments of `ops` and `sessions`: a look at the hub.

use clap::Args;

/// `switchboard ops`, `switchboard sessions`
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}
