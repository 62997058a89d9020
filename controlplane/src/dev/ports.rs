//! Ports: tried before anything starts, so that a taken one is a sentence and not a child's death.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::error::Step;
use super::{DevError, DevOptions};

/// Every address of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub(super) s3: SocketAddr,
    pub(super) admin: SocketAddr,
    /// Loopback, chosen by the kernel: the node's gRPC and the data plane's operational port.
    pub(super) grpc: SocketAddr,
    pub(super) ops: SocketAddr,
}

/// Tries what was asked for (port 0 picks one) and picks the inner two. All four are held at once, so they differ.
pub(super) fn choose(options: &DevOptions) -> Result<Addresses, DevError> {
    if options.s3_addr == options.admin_addr && options.s3_addr.port() != 0 {
        return Err(DevError::PortTwice { flag: "--s3-addr", addr: options.s3_addr, other: "--admin-addr" });
    }
    let s3 = listen("--s3-addr", options.s3_addr)?;
    let admin = listen("--admin-addr", options.admin_addr)?;
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (grpc, ops) = (listen("an inner port", loopback)?, listen("an inner port", loopback)?);
    let addr = |listener: &TcpListener| listener.local_addr().step(|| "cannot read a port".to_owned());
    Ok(Addresses { s3: addr(&s3)?, admin: addr(&admin)?, grpc: addr(&grpc)?, ops: addr(&ops)? })
}

fn listen(flag: &'static str, addr: SocketAddr) -> Result<TcpListener, DevError> {
    TcpListener::bind(addr).map_err(|cause| match cause.kind() {
        ErrorKind::AddrInUse => DevError::PortTaken { flag, addr },
        _ => DevError::PortRefused { flag, addr, cause },
    })
}

#[cfg(test)]
mod tests {
    use super::super::options::tests::options;
    use super::choose;

    #[test]
    fn a_taken_port_names_the_flag_and_the_next_command() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = taken.local_addr().expect("bound").to_string();
        let error = choose(&options(&["--s3-addr", &addr, "--admin-addr", "127.0.0.1:0"]))
            .expect_err("taken")
            .to_string();
        assert!(error.starts_with("--s3-addr") && error.contains("ss -ltnp"), "{error}");
        let error = choose(&options(&["--s3-addr", "203.0.113.7:0"])).expect_err("not ours").to_string();
        assert!(error.contains("ip addr"), "{error}");
        let error = choose(&options(&["--s3-addr", "127.0.0.1:9001"])).expect_err("twice").to_string();
        assert!(error.contains("the same"), "{error}");
    }

    #[test]
    fn all_four_differ() {
        let found =
            choose(&options(&["--s3-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"])).expect("chosen");
        let mut ports = [found.s3, found.admin, found.grpc, found.ops].map(|addr| addr.port()).to_vec();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 4);
    }
}
