//! Waiting for a child to answer, with an eye on whether it still lives.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use holdfast_common::secret::Secret;

use super::DevError;
use super::children::{Process, tail};
use crate::api::client::{Target, request};
use crate::limits::DEV_POLL_MS;

/// Waits until `GET /readyz` answers 200.
pub(super) async fn ready(process: &mut Process, target: &Target, seconds: u64) -> Result<(), DevError> {
    let until = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(status) = process.poll_ended() {
            return Err(process.died(status));
        }
        let asked = request(target, "GET", "/readyz", None);
        let answer = tokio::time::timeout(Duration::from_secs(5), asked).await;
        if matches!(&answer, Ok(Ok(answer)) if answer.status == 200) {
            return Ok(());
        }
        late(process, until, seconds)?;
        tokio::time::sleep(Duration::from_millis(DEV_POLL_MS)).await;
    }
}

/// Whose authority this is: field `cluster_id` of its status.
pub(super) async fn cluster_id(target: &Target, token: &Secret) -> Result<String, DevError> {
    let wrong = |cause: String| DevError::NoCluster(cause);
    let answer = request(target, "GET", "/v1/status", token.expose_str())
        .await
        .map_err(|error| wrong(error.to_string()))?;
    let status: serde_json::Value =
        serde_json::from_slice(&answer.body).map_err(|error| wrong(error.to_string()))?;
    let id = status["cluster_id"].as_str().map(str::to_owned);
    id.ok_or_else(|| wrong(format!("its status answered {}", answer.status)))
}

/// Waits until a connection is accepted.
pub(super) async fn accepts(process: &mut Process, addr: SocketAddr, seconds: u64) -> Result<(), DevError> {
    let until = Instant::now() + Duration::from_secs(seconds);
    while tokio::net::TcpStream::connect(reachable(addr)).await.is_err() {
        if let Some(status) = process.poll_ended() {
            return Err(process.died(status));
        }
        late(process, until, seconds)?;
        tokio::time::sleep(Duration::from_millis(DEV_POLL_MS)).await;
    }
    Ok(())
}

/// Who listens on every address is asked on loopback.
pub(super) fn reachable(addr: SocketAddr) -> SocketAddr {
    if !addr.ip().is_unspecified() {
        return addr;
    }
    let loopback: std::net::IpAddr = if addr.is_ipv4() {
        std::net::Ipv4Addr::LOCALHOST.into()
    } else {
        std::net::Ipv6Addr::LOCALHOST.into()
    };
    SocketAddr::new(loopback, addr.port())
}

fn late(process: &Process, until: Instant, seconds: u64) -> Result<(), DevError> {
    if Instant::now() < until {
        return Ok(());
    }
    Err(DevError::NotReady {
        role: process.role,
        seconds,
        log: tail(&process.log),
        path: process.log.clone(),
    })
}
