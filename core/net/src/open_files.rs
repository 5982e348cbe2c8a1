//! How many descriptors, and so connections, this process may have.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one and returns what it is now; `None` is unlimited.
///
/// The soft limit is often 1,024, for the sake of programs that use select(2). This one does not.
///
/// # Errors
/// What the system says; the limit is then as it was.
pub fn raise() -> std::io::Result<Option<u64>> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit)?;
    }
    Ok(limit.current)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let maximum = getrlimit(Resource::Nofile).maximum;
        assert_eq!(
            raise().expect("raising to the hard limit is always allowed"),
            maximum
        );
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
    }
}
