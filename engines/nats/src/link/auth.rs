//! Credentials from a file, read anew at each connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_nats::{Auth, AuthError, ConnectOptions};
use nkeys::KeyPair;

/// Shows a JWT and signs the server's nonce with its seed.
pub(super) fn by_credentials(file: PathBuf) -> ConnectOptions {
    let file = Arc::new(file);
    ConnectOptions::with_auth_callback(move |nonce| {
        let file = Arc::clone(&file);
        // A small file, read at a connection only; the callback's future has to be Sync, which tokio's is not.
        async move { sign(&file, &nonce).map_err(AuthError::new) }
    })
}

fn sign(file: &Path, nonce: &[u8]) -> Result<Auth, String> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("cannot read the credentials {shown}: {error}"))?;
    let mut blocks = blocks(&text);
    let (Some(jwt), Some(seed)) = (blocks.next(), blocks.next()) else {
        return Err(format!(
            "the credentials {shown} hold no JWT with a seed after it, each between dashed lines"
        ));
    };
    let signing =
        KeyPair::from_seed(seed).map_err(|error| format!("the seed in {shown} is not one: {error}"))?;
    let mut auth = Auth::new();
    auth.jwt = Some(jwt.to_owned());
    auth.signature = Some(
        signing
            .sign(nonce)
            .map_err(|error| format!("cannot sign with the seed in {shown}: {error}"))?,
    );
    Ok(auth)
}

/// What stands between `-----BEGIN …-----` and `------END …------`.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    let mut within = false;
    text.lines().map(str::trim).filter(move |line| {
        if line.starts_with("---") {
            within = line.contains("BEGIN");
            return false;
        }
        within && !line.is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_jwt_and_a_seed() {
        let user = KeyPair::new_user();
        let seed = user.seed().expect("it was just made");
        let text = format!(
            "-----BEGIN NATS USER JWT-----\neyJ0.e30.x\n------END NATS USER JWT------\n\n*** IMPORTANT ***\n\
             -----BEGIN USER NKEY SEED-----\r\n{seed}\r\n------END USER NKEY SEED------\n"
        );
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("writing");
        let auth = sign(file.path(), b"nonce").expect("signing");
        assert_eq!(auth.jwt.as_deref(), Some("eyJ0.e30.x"));
        let signature = auth.signature.expect("it is signed");
        user.verify(b"nonce", &signature).expect("by this user");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let missing = sign(Path::new("/nowhere/at/all"), b"").err();
        assert!(missing.is_some_and(|error| error.contains("/nowhere/at/all")));
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "nothing of the kind").expect("writing");
        assert!(sign(file.path(), b"").is_err());
    }
}
