//! `holdfast-dataplane join`: a token becomes an identity in the data directory.
//!
//! The key is made here, is on the disk before anybody is asked, and never leaves it. The certificate is written last: where
//! it lies, the node has joined; a join that broke off before goes on with the same key.

use std::path::Path;

use bytes::Bytes;
use holdfast_common::certificate::{Role, Subject};
use holdfast_common::join_token::JoinToken;
use holdfast_common::secret::Secret;
use holdfast_common::wire::enrolment_client::EnrolmentClient;
use holdfast_common::wire::{JoinRequest, NodeCertificate};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::json;
use tonic::transport::{ClientTlsConfig, Endpoint};
use tonic::{Code, Status};
use uuid::Uuid;

use super::verify::{Pinned, Verifier};
use super::{Files, Identity, files};
use crate::config::read_secret;
use crate::limits::{ENROL_DEADLINE, LINK_CONNECT_DEADLINE};

/// A machine that has just become a node.
#[derive(Clone, Debug)]
pub struct Joined {
    pub node_id: Uuid,
    pub cluster: Uuid,
    pub not_after_unix: u64,
    /// Control planes of the token, for the configuration.
    pub control: Vec<String>,
}

/// Spends the token. Blocks.
///
/// # Errors
/// A sentence for the operator: what is wrong and what to do next.
pub fn join(token: &str, data_dir: &Path, name: &str) -> Result<Joined, String> {
    let token = JoinToken::parse(token).map_err(|error| error.to_string())?;
    let at = Files::joined(data_dir);
    if at.cert.exists() {
        let known = Identity::read(&at)?;
        return Err(format!(
            "{} is node {} of cluster {} already; to join anew, remove {}/identity",
            data_dir.display(),
            known.node_id,
            known.cluster,
            data_dir.display()
        ));
    }
    files::make_dir(at.cert.parent().unwrap_or(data_dir))?;
    let key = key(&at.key)?;
    let request = request(&key)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    let answer = runtime.block_on(ask_all(&token, &request, name))?;
    lay_down(&at, &token, &answer, name)
}

/// The key that lies there, or a new one, durable before it is used.
fn key(path: &Path) -> Result<KeyPair, String> {
    if path.exists() {
        let pem = read_secret("node_key_file", path).map_err(|error| error.to_string())?;
        return read_key(&pem).map_err(|why| format!("{} holds no key: {why}; remove it", path.display()));
    }
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| format!("no key: {error}"))?;
    let pem = Secret::from(key.serialize_pem());
    files::write(path, pem.expose())?;
    Ok(key)
}

pub(super) fn read_key(pem: &Secret) -> Result<KeyPair, String> {
    let text = pem.expose_str().ok_or("it is no text")?;
    KeyPair::from_pem(text).map_err(|error| error.to_string())
}

/// PKCS #10: the key, and the proof that we have it. What else it may say, nobody reads.
pub(super) fn request(key: &KeyPair) -> Result<Bytes, String> {
    let request = CertificateParams::default().serialize_request(key);
    let request = request.map_err(|error| format!("no certificate request: {error}"))?;
    Ok(Bytes::copy_from_slice(request.der()))
}

/// Asks one control plane after the other until one has an answer, be it a refusal.
async fn ask_all(token: &JoinToken, request: &Bytes, name: &str) -> Result<NodeCertificate, String> {
    let mut why = "the token names no control plane".to_owned();
    for url in &token.control {
        match ask(url, token, request, name).await {
            Ok(answer) => return Ok(answer),
            Err(Refused::ByThem(sentence)) => {
                return Err(format!("the control plane {url} refuses: {sentence}"));
            }
            Err(Refused::Unreachable(sentence)) => why = format!("{url}: {sentence}"),
        }
    }
    Err(format!(
        "no control plane was reached, and the token is not spent: {why}; check the address and the firewall, then run this again"
    ))
}

enum Refused {
    ByThem(String),
    Unreachable(String),
}

async fn ask(url: &str, token: &JoinToken, request: &Bytes, name: &str) -> Result<NodeCertificate, Refused> {
    let unreachable = |error: tonic::transport::Error| Refused::Unreachable(chain_of(&error));
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(unreachable)?;
    let pinned = Pinned::new(token.cluster, token.ca_sha256);
    let tls = ClientTlsConfig::new().domain_name(super::host(&endpoint));
    let endpoint =
        endpoint.tls_config_with_verifier(tls, Verifier::new(pinned.clone())).map_err(unreachable)?;
    let endpoint = endpoint.connect_timeout(LINK_CONNECT_DEADLINE).timeout(ENROL_DEADLINE);
    let channel = endpoint.connect().await.map_err(unreachable)?;
    let asked = JoinRequest {
        token_id: Bytes::copy_from_slice(&token.token_id),
        token_secret: Bytes::copy_from_slice(token.secret.expose()),
        csr_der: request.clone(),
        node_name: name.to_owned(),
    };
    let answer = EnrolmentClient::new(channel).join(asked).await.map_err(of_status)?.into_inner();
    // The authority that speaks is the one that was pinned; its word about itself must be the same.
    match pinned.authority() {
        Some(authority) if *authority == *answer.ca_der => Ok(answer),
        _ => Err(Refused::ByThem("its answer names another authority than the token".to_owned())),
    }
}

/// A refusal in so many words is final; all else may be otherwise at the next control plane.
fn of_status(status: Status) -> Refused {
    match status.code() {
        Code::PermissionDenied | Code::InvalidArgument | Code::FailedPrecondition | Code::Unauthenticated => {
            Refused::ByThem(status.message().to_owned())
        }
        _ => Refused::Unreachable(chain_of(&status)),
    }
}

/// An error with its causes, each once: the outermost says `transport error`, people want the sentence behind it.
pub(crate) fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text
}

fn lay_down(at: &Files, token: &JoinToken, answer: &NodeCertificate, name: &str) -> Result<Joined, String> {
    let wrong = |why: &str| {
        format!("the control plane's answer is unusable: {why}; the token is spent, have another made")
    };
    let node_id = Uuid::try_parse(&answer.node_id).map_err(|_| wrong("the node id is no UUID"))?;
    let subject = Subject::of(&answer.certificate_der).map_err(|error| wrong(&error.to_string()))?;
    if subject != (Subject { cluster: token.cluster, role: Role::Node(node_id) }) {
        return Err(wrong("the certificate names something else"));
    }
    let stored = json!({
        "version": 1,
        "node_id": node_id,
        "cluster_id": token.cluster,
        "name": name,
        "control": token.control,
    });
    files::write(&at.ca, files::certificate_pem(&answer.ca_der).as_bytes())?;
    files::write(&at.cert.with_file_name("node.json"), format!("{stored:#}\n").as_bytes())?;
    files::write(&at.cert, files::certificate_pem(&answer.certificate_der).as_bytes())?;
    let identity = Identity::read(at).map_err(|error| wrong(&error))?;
    Ok(Joined {
        node_id,
        cluster: token.cluster,
        not_after_unix: identity.validity.not_after,
        control: token.control.clone(),
    })
}
