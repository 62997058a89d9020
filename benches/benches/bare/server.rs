//! A server that does nothing but HTTP: finds the end of a head, throws bodies away, answers GET from memory.

use bytes::Bytes;
use holdfast_benches::served;
use holdfast_dataplane::rt::monoio::UringRt;
use holdfast_dataplane::rt::{AlignedBuf, Chunk, Conn, CoreConfig, ListenConfig, Listener as _, Rt, Stop};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Large enough that a 64 MiB body is a few hundred receives; the data plane's own is no larger.
const BUFFER_BYTES: usize = 256 << 10;
/// Bodies are sent from one buffer of this size, again and again: in L3, not in L2.
const BODY_BYTES: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// Serves bodies of `bytes` bytes on one core until nobody asks any more.
pub(crate) fn serve(bytes: u64) {
    let (say, listening) = mpsc::channel();
    std::thread::spawn(move || {
        let core = CoreConfig { index: 0, cpu: None };
        let accepting = async {
            let addr = "127.0.0.1:0".parse().expect("an address");
            let listener = UringRt::listen(&ListenConfig { addr, backlog: 1024 }).expect("a port");
            say.send(listener.local_addr().expect("an address")).expect("somebody waits");
            let (stop, body) = (Stop::new(), Arc::new(AlignedBuf::zeroed(BODY_BYTES)));
            while let Ok(conn) = listener.accept(&stop).await {
                UringRt::spawn(connection(conn, Arc::clone(&body), bytes));
            }
        };
        UringRt::run(&core, accepting).expect("io_uring is there");
    });
    let address = listening.recv().expect("it listens");
    served::until_nobody_asks(address, |_| String::new()).expect("the conversation goes on");
}

/// Requests until the client has gone.
async fn connection(mut conn: impl Conn, body: Arc<AlignedBuf>, bytes: u64) {
    let head = Bytes::from(format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\netag: \"bare\"\r\n\r\n"));
    let empty = Bytes::from_static(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\netag: \"bare\"\r\n\r\n");
    let mut buf = AlignedBuf::with_capacity(BUFFER_BYTES);
    let mut filled = 0;
    loop {
        let end = loop {
            if let Some(end) = memchr::memmem::find(&buf[..filled], b"\r\n\r\n") {
                break end + 4;
            }
            let room = filled..buf.capacity();
            let (received, back) = conn.recv(buf, room, Instant::now() + PATIENCE).await;
            buf = back;
            match received {
                Ok(count) if count > 0 => filled += count,
                _ => return,
            }
        };
        let is_get = buf.starts_with(b"GET");
        let mut left = content_length(&buf[..end]);
        let here = left.min((filled - end) as u64);
        buf.copy_within(end + here as usize..filled, 0);
        filled -= end + here as usize;
        left -= here;
        while left > 0 {
            let room = 0..BUFFER_BYTES.min(usize::try_from(left).unwrap_or(BUFFER_BYTES));
            let (received, back) = conn.recv(buf, room, Instant::now() + PATIENCE).await;
            buf = back;
            match received {
                Ok(count) if count > 0 => left -= count as u64,
                _ => return,
            }
        }
        let sent = if is_get {
            answer(&mut conn, &head, &body, bytes).await
        } else {
            conn.send(empty.clone(), None, PATIENCE).await
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The head travels with the first piece of the body.
async fn answer(
    conn: &mut impl Conn,
    head: &Bytes,
    body: &Arc<AlignedBuf>,
    bytes: u64,
) -> std::io::Result<()> {
    let (mut head, mut left) = (head.clone(), bytes);
    loop {
        let piece = BODY_BYTES.min(usize::try_from(left).unwrap_or(BODY_BYTES));
        let chunk = Chunk::shared(Arc::clone(body), 0..piece);
        conn.send(std::mem::take(&mut head), Some(chunk), PATIENCE).await?;
        left -= piece as u64;
        if left == 0 {
            return Ok(());
        }
    }
}

/// 0 where the head names none.
fn content_length(head: &[u8]) -> u64 {
    let lines = head.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    let mut values = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    values.next().unwrap_or(0)
}
