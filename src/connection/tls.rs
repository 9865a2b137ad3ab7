//! TLS by rustls: which certificates are trusted, and the handshake.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    },
};

use super::options::TlsOptions;
use crate::error::{Error, ErrorCode, Result};

/// Speaks TLS over a connected socket.
///
/// # Errors
/// `InvalidOption` for texts that are no PEM, `TlsFailed` when the peer or its certificate is refused.
pub(super) async fn handshake(stream: TcpStream, host: &str, options: &TlsOptions) -> Result<TlsStream<TcpStream>> {
    let config = config(options)?;
    let name = options.server_name.as_deref().unwrap_or(host);
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| Error::invalid_option("tls.servername", "no name of a server", "a DNS name or IP address"))?;
    TlsConnector::from(config).connect(name, stream).await.map_err(|error| {
        // A peer that hangs up says nothing about TLS: it may be starting.
        let code = match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => ErrorCode::TlsFailed,
            _ => ErrorCode::ConnectionFailed,
        };
        Error::new(code, format!("TLS with {host} failed: {error}")).caused_by(error)
    })
}

/// What links in use were made from. Reading the system's authorities takes milliseconds, which a reconnect has better
/// uses for; and a shared configuration lets sessions be resumed.
static CONFIGS: Mutex<Vec<(TlsOptions, Weak<ClientConfig>)>> = Mutex::new(Vec::new());

/// The configuration for `options`, kept for as long as somebody holds it.
///
/// # Errors
/// `InvalidOption` for texts that are no PEM, `TlsFailed` when the system trusts nobody.
pub(super) fn config(options: &TlsOptions) -> Result<Arc<ClientConfig>> {
    let mut configs = CONFIGS.lock().unwrap_or_else(PoisonError::into_inner);
    configs.retain(|(_, config)| config.strong_count() > 0);
    let known = configs.iter().find(|(other, _)| other == options).and_then(|(_, config)| config.upgrade());
    if let Some(config) = known {
        return Ok(config);
    }
    let config = Arc::new(make_config(options)?);
    configs.push((options.clone(), Arc::downgrade(&config)));
    Ok(config)
}

fn make_config(options: &TlsOptions) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(ErrorCode::Internal, "TLS has no protocol version").caused_by(error))?;
    let builder = if options.reject_unauthorized {
        builder.with_root_certificates(roots(options)?)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAny { provider }))
    };
    match (&options.cert, &options.key) {
        (Some(cert), Some(key)) => {
            let chain = certificates("tls.cert", cert)?;
            builder
                .with_client_auth_cert(chain, private_key(&key.0)?)
                .map_err(|_| Error::invalid_option("tls.key", "not the key of `cert`", "the certificate's private key"))
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

fn roots(options: &TlsOptions) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    if let Some(ca) = &options.ca {
        for certificate in certificates("tls.ca", ca)? {
            store.add(certificate).map_err(|_| {
                Error::invalid_option("tls.ca", "not a usable certificate", "X.509 certificates in PEM")
            })?;
        }
        return Ok(store);
    }
    // One bad certificate of the system must not take the good ones with it.
    let system = rustls_native_certs::load_native_certs();
    let (_, ignored) = store.add_parsable_certificates(system.certs);
    if ignored > 0 || !system.errors.is_empty() {
        tracing::debug!(ignored, errors = system.errors.len(), "certificates of the system were skipped");
    }
    if store.is_empty() {
        return Err(Error::new(
            ErrorCode::TlsFailed,
            "the system trusts no certificate authority; give the server's in `tls.ca`",
        ));
    }
    Ok(store)
}

fn certificates(option: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = rustls_pemfile::certs(&mut pem.as_bytes())
        .collect::<io::Result<_>>()
        .map_err(|_| Error::invalid_option(option, "malformed PEM", "X.509 certificates in PEM"))?;
    if found.is_empty() {
        return Err(Error::invalid_option(option, "without a certificate", "X.509 certificates in PEM"));
    }
    Ok(found)
}

fn private_key(pem: &str) -> Result<PrivateKeyDer<'static>> {
    let allowed = "a private key in PEM, not encrypted";
    rustls_pemfile::private_key(&mut pem.as_bytes())
        .map_err(|_| Error::invalid_option("tls.key", "malformed PEM", allowed))?
        .ok_or_else(|| Error::invalid_option("tls.key", "without a key", allowed))
}

/// `rejectUnauthorized: false`: any certificate will do, but the peer must hold its key.
#[derive(Debug)]
struct AcceptAny {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
