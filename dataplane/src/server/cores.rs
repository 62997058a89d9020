//! Starts one thread per core, each with its runtime, listener and handler, and stops them together.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::{Handler, Proxies, Server, Wire, serve};
use crate::limits::LISTEN_BACKLOG;
use crate::rt::{CoreConfig, ListenConfig, Listener, Rt, Stop};

/// What the cores serve.
#[derive(Clone)]
pub struct CoresConfig {
    pub addr: SocketAddr,
    /// CPUs to run on, one core each; `None` leaves a core unpinned.
    pub cpus: Vec<Option<usize>>,
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Goes into `x-amz-id-2`.
    pub host_id: Arc<str>,
    pub connections_max_per_core: usize,
    pub proxies: Arc<Proxies>,
}

/// Makes a core's handler, on the core's own thread.
pub trait CoreSetup<R: Rt>: Clone + Send + 'static {
    type Handler: Handler<Wire<R::Conn>>;

    /// # Errors
    /// What the operator should know, as a sentence.
    fn build(&self, core: &CoreConfig) -> impl Future<Output = io::Result<Self::Handler>>;

    /// After the last answer, before the runtime ends: flush, close files.
    fn close(&self, core: &CoreConfig) -> impl Future<Output = ()>;
}

/// Running cores.
pub struct Cores {
    addr: SocketAddr,
    stops: Vec<flume::Sender<()>>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Cores {
    /// Where they listen, with the port that was chosen for 0.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Asks every core to stop accepting and to finish what is under way.
    pub fn stop(&self) {
        for stop in &self.stops {
            let _ = stop.try_send(());
        }
    }

    /// Waits for all of them.
    ///
    /// # Errors
    /// The first core's that failed; a panic of one is an error too.
    pub fn join(self) -> io::Result<()> {
        let mut outcome = Ok(());
        for thread in self.threads {
            let ended = thread.join().unwrap_or_else(|_| Err(io::Error::other("a core panicked")));
            outcome = outcome.and(ended);
        }
        outcome
    }

    /// Whether a core has ended by itself, which none should.
    #[must_use]
    pub fn any_ended(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }
}

/// Starts every core and returns when all of them listen.
///
/// # Errors
/// `AddrInUse` and the like for the address, a runtime's, or the setup's.
pub fn start<R: Rt, S: CoreSetup<R>>(config: CoresConfig, setup: &S) -> io::Result<Cores> {
    port_is_free(config.addr)?;
    let mut cores = Cores { addr: config.addr, stops: Vec::new(), threads: Vec::new() };
    for (index, cpu) in config.cpus.iter().enumerate() {
        let core = CoreConfig { index, cpu: *cpu };
        let (stop, stopped) = flume::bounded(1);
        let (listens, listening) = flume::bounded(1);
        // The first core may have chosen the port.
        let config = CoresConfig { addr: cores.addr, ..config.clone() };
        let setup = setup.clone();
        let thread = thread::Builder::new().name(format!("core-{index}")).spawn(move || {
            R::run(&core, run::<R, S>(&core, &config, &setup, &stopped, &listens)).flatten()
        })?;
        cores.stops.push(stop);
        cores.threads.push(thread);
        if let Ok(addr) = listening.recv() {
            cores.addr = addr;
        } else {
            cores.stop();
            cores.join()?;
            return Err(io::Error::other("a core ended before it listened"));
        }
    }
    Ok(cores)
}

async fn run<R: Rt, S: CoreSetup<R>>(
    core: &CoreConfig,
    config: &CoresConfig,
    setup: &S,
    stopped: &flume::Receiver<()>,
    listens: &flume::Sender<SocketAddr>,
) -> io::Result<()> {
    let handler = setup.build(core).await?;
    let listener = R::listen(&ListenConfig { addr: config.addr, backlog: LISTEN_BACKLOG })?;
    let addr = listener.local_addr()?;
    let stop = Stop::new();
    let server = Server::new(handler, config.host_id.clone(), config.tls.clone(), stop.clone())
        .connections_max(config.connections_max_per_core)
        .proxies(config.proxies.clone());
    let stopped = stopped.clone();
    R::spawn(async move {
        // A dropped sender means that the process is ending without a word.
        let _ = stopped.recv_async().await;
        stop.set();
    });
    let _ = listens.send(addr);
    serve::<R, S::Handler>(Rc::new(server), listener).await;
    setup.close(core).await;
    Ok(())
}

/// Cores share their port (`SO_REUSEPORT`), and so would a second server of the same user, silently, each taking half
/// of the connections. A bind that does not share finds out.
///
/// # Errors
/// The system's: `AddrInUse`, `AddrNotAvailable`, `PermissionDenied`.
pub fn port_is_free(addr: SocketAddr) -> io::Result<()> {
    TcpListener::bind(addr).map(drop)
}
