//! `/metrics`, `/livez` and `/readyz`, on an address of their own and a plain thread: they answer when cores are busy.
//!
//! One request per connection, a few connections at a time, short deadlines. It is for the operator's scraper and load
//! balancer, not for clients; nothing secret is on it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::limits::{OPS_CONNECTIONS_MAX, OPS_DEADLINE, OPS_HEAD_BYTES_MAX};
use crate::metrics;

/// Whether the node takes requests: `Ok`, or what it waits for, as a clause.
pub type Readiness = dyn Fn() -> Result<(), String> + Send + Sync;

/// The listener's thread; it ends with the process.
#[derive(Debug)]
pub struct OpsListener {
    addr: SocketAddr,
}

impl OpsListener {
    /// Where it listens, with the port that was chosen for 0.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// Binds `addr` and answers until the process ends.
///
/// # Errors
/// The system's, e.g. `AddrInUse`.
pub fn start(addr: SocketAddr, ready: Arc<Readiness>) -> io::Result<OpsListener> {
    let listener = TcpListener::bind(addr)?;
    let addr = listener.local_addr()?;
    thread::Builder::new().name("ops".to_owned()).spawn(move || accept(&listener, &ready))?;
    Ok(OpsListener { addr })
}

fn accept(listener: &TcpListener, ready: &Arc<Readiness>) {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok((stream, _)) = listener.accept() else {
            thread::sleep(Duration::from_millis(50));
            continue;
        };
        if open.fetch_add(1, Ordering::Relaxed) >= OPS_CONNECTIONS_MAX {
            open.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (count, ready) = (Arc::clone(&open), Arc::clone(ready));
        let served = thread::Builder::new().name("ops-request".to_owned()).spawn(move || {
            // A scraper that goes away half-way is nobody's loss.
            let _ = serve(stream, &*ready);
            count.fetch_sub(1, Ordering::Relaxed);
        });
        if served.is_err() {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn serve(mut stream: TcpStream, ready: &Readiness) -> io::Result<()> {
    stream.set_read_timeout(Some(OPS_DEADLINE))?;
    stream.set_write_timeout(Some(OPS_DEADLINE))?;
    let Some(head) = read_head(&mut stream)? else { return Ok(()) };
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let (status, body) = answer(method, path, ready);
    let body_sent = if method == b"HEAD" { "" } else { &body };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body_sent}",
        body.len()
    )
}

fn answer(method: &[u8], path: &[u8], ready: &Readiness) -> (&'static str, String) {
    if !matches!(method, b"GET" | b"HEAD") {
        return ("405 Method Not Allowed", "only GET is answered here\n".to_owned());
    }
    match path {
        b"/metrics" => ("200 OK", metrics::scrape()),
        b"/livez" => ("200 OK", "alive\n".to_owned()),
        b"/readyz" => match ready() {
            Ok(()) => ("200 OK", "ready\n".to_owned()),
            Err(why) => ("503 Service Unavailable", format!("not ready: {why}\n")),
        },
        _ => ("404 Not Found", "here are /metrics, /livez and /readyz\n".to_owned()),
    }
}

/// Reads to the blank line; `None` when the client leaves or sends too much.
fn read_head(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut buf = [0; 1024];
    while head.len() < OPS_HEAD_BYTES_MAX {
        let count = stream.read(&mut buf)?;
        if count == 0 {
            return Ok(None);
        }
        head.extend_from_slice(&buf[..count]);
        if head.windows(4).any(|window| window == b"\r\n\r\n") {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn ask(addr: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn health_and_metrics_are_answered() {
        let ready = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ready);
        let readiness =
            move || if flag.load(Ordering::Relaxed) { Ok(()) } else { Err("no lease yet".to_owned()) };
        let addr = super::start("127.0.0.1:0".parse().unwrap(), Arc::new(readiness)).unwrap().addr();
        let get = |path: &str| ask(addr, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(get("/livez").starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(get("/readyz").ends_with("not ready: no lease yet\n"));
        ready.store(true, Ordering::Relaxed);
        assert!(get("/readyz?verbose").ends_with("ready\n"));
        assert!(get("/metrics").contains("# TYPE holdfast_connections gauge\n"));
        assert!(get("/bucket/key").starts_with("HTTP/1.1 404 "));
        assert!(ask(addr, "PUT /livez HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
        assert!(ask(addr, "HEAD /livez HTTP/1.1\r\n\r\n").ends_with("\r\n\r\n"));
    }
}
