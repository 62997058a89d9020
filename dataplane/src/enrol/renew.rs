//! Keeps the node's certificate alive: at two thirds of its life, a little sooner or later so that nodes do not come together,
//! any control plane is asked for the next one. The key stays; it changes with a new join.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use holdfast_common::certificate::{Role, Subject};
use holdfast_common::wire::enrolment_client::EnrolmentClient;
use holdfast_common::wire::{NodeCertificate, RenewRequest};
use tonic::transport::Endpoint;

use super::join::{chain_of, read_key, request};
use super::{Current, Identity, files};
use crate::limits::{
    ENROL_DEADLINE, IDENTITY_TICK, LINK_CONNECT_DEADLINE, RENEW_PAUSE_MAX, RENEW_PAUSE_MIN, RENEW_TRIES,
};

/// Renews for as long as the process lives; files that somebody else replaces are read again.
pub(crate) async fn run(current: Arc<Current>, control: Vec<String>) -> Infallible {
    let mut jitter = jitter();
    let mut not_before = 0;
    let mut known = current.get().validity;
    loop {
        current.reload_if_changed();
        let identity = current.get();
        if identity.validity != known {
            (known, jitter) = (identity.validity, self::jitter());
        }
        let now = crate::rt::unix_ms() / 1000;
        if !current.files.own && now >= due(&identity, jitter) && now >= not_before {
            match renew(&current, &identity, &control).await {
                Ok(()) => not_before = now + RENEW_PAUSE_MIN.as_secs(),
                Err(why) => {
                    let left = identity.validity.not_after.saturating_sub(now);
                    not_before = now + pause(left).as_secs();
                    say(left, &why);
                }
            }
        }
        tokio::time::sleep(IDENTITY_TICK).await;
    }
}

fn say(left: u64, why: &str) {
    if left == 0 {
        tracing::error!(
            why,
            "the node's certificate has ended and was not renewed: no control plane and no peer believes this node"
        );
    } else {
        tracing::warn!(why, seconds_left = left, "the node's certificate was not renewed; trying again");
    }
}

/// Between 61 and 72 hundredths of the life have passed.
fn due(identity: &Identity, jitter: u8) -> u64 {
    let validity = identity.validity;
    let life = validity.not_after.saturating_sub(validity.not_before);
    validity.not_after.saturating_sub(life / 3) + life * u64::from(jitter) / 2550 - life / 20
}

fn jitter() -> u8 {
    let mut random = [0];
    crate::rt::random(&mut random);
    random[0]
}

/// Some tries fit into what is left.
fn pause(left: u64) -> Duration {
    Duration::from_secs(left / RENEW_TRIES).clamp(RENEW_PAUSE_MIN, RENEW_PAUSE_MAX)
}

/// Asks one control plane after the other.
async fn renew(current: &Current, identity: &Identity, control: &[String]) -> Result<(), String> {
    let key = read_key(&identity.key_pem)?;
    let csr_der = request(&key)?;
    let mut why = "no control plane is reached by TLS".to_owned();
    for url in control.iter().filter(|url| url.starts_with("https://")) {
        match ask(url, identity, RenewRequest { csr_der: csr_der.clone() }).await {
            Ok(next) => {
                let subject = Subject { cluster: identity.cluster, role: Role::Node(identity.node_id) };
                if Subject::of(&next.certificate_der) != Ok(subject) {
                    return Err(format!("{url}: its certificate does not name {subject}"));
                }
                files::write(&current.files.cert, files::certificate_pem(&next.certificate_der).as_bytes())?;
                current.reload_if_changed();
                return Ok(());
            }
            Err(sentence) => why = format!("{url}: {sentence}"),
        }
    }
    Err(why)
}

async fn ask(url: &str, identity: &Identity, asked: RenewRequest) -> Result<NodeCertificate, String> {
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| chain_of(&error))?;
    let endpoint = identity.secure(endpoint).map_err(|error| chain_of(&error))?;
    let endpoint = endpoint.connect_timeout(LINK_CONNECT_DEADLINE).timeout(ENROL_DEADLINE);
    let channel = endpoint.connect().await.map_err(|error| chain_of(&error))?;
    let answer = EnrolmentClient::new(channel).renew(asked).await;
    answer.map(tonic::Response::into_inner).map_err(|status| chain_of(&status))
}

#[cfg(test)]
mod tests {
    use super::pause;
    use crate::limits::{RENEW_PAUSE_MAX, RENEW_PAUSE_MIN};

    #[test]
    fn tries_come_closer_as_the_end_does() {
        assert_eq!(pause(86_400), RENEW_PAUSE_MAX);
        assert_eq!(pause(0), RENEW_PAUSE_MIN);
        assert!(pause(2000) < RENEW_PAUSE_MAX && pause(2000) > RENEW_PAUSE_MIN);
    }
}
