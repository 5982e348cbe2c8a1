//! How the gateway behaves.

/// How each connection behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisOptions {
    /// How many databases there are: `SELECT` takes 0 to one less. Default 16.
    pub databases: u32,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self { databases: 16 }
    }
}
