//! A plain blocking client, and a server on one core to talk to.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::handler::Setup;
use crate::rt::Rt;
use crate::server::Proxies;
use crate::server::cores::{self, Cores, CoresConfig};

/// A server that is stopped and joined when dropped.
pub(super) struct Running(Option<Cores>);

impl Running {
    pub(super) fn addr(&self) -> SocketAddr {
        self.0.as_ref().expect("it runs").addr()
    }

    pub(super) fn stop(&self) {
        self.0.as_ref().expect("it runs").stop();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let cores = self.0.take().expect("dropped once");
        cores.stop();
        // While a check is failing its clients are still open; waiting for them would hide the failure.
        if !std::thread::panicking() {
            cores.join().expect("the core ends well");
        }
    }
}

pub(super) fn start<R: Rt>() -> Running {
    start_with::<R>(None, 100)
}

pub(super) fn start_with<R: Rt>(tls: Option<Arc<rustls::ServerConfig>>, connections_max: usize) -> Running {
    start_behind::<R>(Proxies::default(), tls, connections_max)
}

pub(super) fn start_behind<R: Rt>(
    proxies: Proxies,
    tls: Option<Arc<rustls::ServerConfig>>,
    connections_max: usize,
) -> Running {
    let config = CoresConfig {
        addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        cpus: vec![None],
        tls,
        host_id: "test-host".into(),
        connections_max_per_core: connections_max,
        proxies: Arc::new(proxies),
    };
    Running(Some(cores::start::<R, _>(config, &Setup).expect("the server starts")))
}

/// Reads answers byte-exactly.
pub(super) struct Client<S> {
    stream: S,
    input: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl Client<TcpStream> {
    pub(super) fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).expect("the server listens");
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self::over(stream)
    }

    pub(super) fn end(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }
}

impl<S: Read + Write> Client<S> {
    pub(super) fn over(stream: S) -> Self {
        Self { stream, input: Vec::new() }
    }

    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The server may have closed; what it said is still to be read.
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// A whole answer with its body.
    pub(super) fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        let length: usize = answer.header("content-length").expect("a length").parse().unwrap();
        while self.input.len() < length {
            self.more().expect("the body is whole");
        }
        answer.body = self.input.drain(..length).collect();
        answer
    }

    /// An answer's head alone.
    pub(super) fn head(&mut self) -> Answer {
        let status_line = self.line();
        let status = status_line.split(' ').nth(1).expect("a status").parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.push((name.to_owned(), value.to_owned()));
        }
        Answer { status, headers, body: Vec::new() }
    }

    pub(super) fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.input.windows(2).position(|window| window == b"\r\n") {
                let line: Vec<u8> = self.input.drain(..end + 2).collect();
                return String::from_utf8(line[..end].to_vec()).unwrap();
            }
            self.more().expect("a line");
        }
    }

    /// Everything until the server closes.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        while self.more().is_some() {}
        std::mem::take(&mut self.input)
    }

    pub(super) fn expect_end(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    }

    fn more(&mut self) -> Option<()> {
        let mut buf = [0; 65536];
        match self.stream.read(&mut buf).expect("no reset, no timeout") {
            0 => None,
            count => {
                self.input.extend_from_slice(&buf[..count]);
                Some(())
            }
        }
    }
}
