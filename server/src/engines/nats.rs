//! A NATS cluster.

use std::sync::Arc;

use switchboard_engine::Engine;
use switchboard_engine_nats::{Nats, NatsOptions};

use super::EngineFailure;
use crate::config::engine::Nats as Settings;

pub(super) async fn open(settings: &Settings) -> Result<Arc<dyn Engine>, EngineFailure> {
    let options = NatsOptions {
        credentials: settings.credentials.clone(),
        tls_ca: settings.ca.clone(),
        tls_certificate: settings.certificate.clone(),
        tls_key: settings.key.clone(),
        replicas: settings.replicas,
        prefix: settings.prefix.clone(),
        ..NatsOptions::new(settings.servers.iter().cloned())
    };
    match Nats::open(options).await {
        Ok(engine) => Ok(engine),
        Err(source) => Err(EngineFailure::Nats { source }),
    }
}
