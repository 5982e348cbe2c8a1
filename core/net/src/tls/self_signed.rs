//! A certificate of our own making, for trying out.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{Identity, TlsError, read_identity};

/// File name of the certificate.
const CERTIFICATE_FILE: &str = "self-signed.crt";

/// File name of the key.
const KEY_FILE: &str = "self-signed.key";

/// Only the owner may read the key.
const KEY_MODE: u32 = 0o600;

/// Everybody may read the certificate: clients need it to trust us.
const CERTIFICATE_MODE: u32 = 0o644;

/// Names that any certificate of ours is good for.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A new certificate for this machine and `names`.
pub(super) fn make(names: &[String]) -> Result<Identity, TlsError> {
    let CertifiedKey { cert, signing_key } = generate(names)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    Ok(Identity {
        chain: vec![cert.der().clone()],
        key,
    })
}

/// The certificate kept in `directory`, made if it is not there. An existing one stays, whatever its names.
pub(super) fn keep(names: &[String], directory: &Path) -> Result<Identity, TlsError> {
    let certificate = directory.join(CERTIFICATE_FILE);
    let key = directory.join(KEY_FILE);
    if !(certificate.exists() && key.exists()) {
        let CertifiedKey { cert, signing_key } = generate(names)?;
        let kept = |path: &Path, source| TlsError::Keep {
            path: path.into(),
            source,
        };
        fs::create_dir_all(directory).map_err(|error| kept(directory, error))?;
        // The key first: if we are stopped in between, the next start finds the pair incomplete and makes a new one.
        replace(&key, &signing_key.serialize_pem(), KEY_MODE).map_err(|error| kept(&key, error))?;
        replace(&certificate, &cert.pem(), CERTIFICATE_MODE).map_err(|error| kept(&certificate, error))?;
    }
    read_identity(&certificate, &key)
}

fn generate(names: &[String]) -> Result<CertifiedKey<KeyPair>, TlsError> {
    let mut all: Vec<String> = OWN_NAMES.map(String::from).into();
    all.extend(
        names
            .iter()
            .filter(|name| !OWN_NAMES.contains(&name.as_str()))
            .cloned(),
    );
    Ok(rcgen::generate_simple_self_signed(all)?)
}

/// Puts a file in place as a whole, never readable by more than `mode` allows.
fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let draft = path.with_extension("new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&draft)?;
    give_to_the_folders_owner(&file, path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

/// A daemon that starts as root and then becomes the user whose folder this is must be able to read the file again.
fn give_to_the_folders_owner(file: &fs::File, path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    let owner = fs::metadata(folder)?.uid();
    if owner != file.metadata()?.uid() && rustix::process::geteuid().is_root() {
        fchown(file, Some(owner), None)?;
    }
    Ok(())
}
