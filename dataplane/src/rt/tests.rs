//! One suite for every implementation of the seam.

use std::cell::Cell;
use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::epoll::EpollRt;
use super::glommio::GlommioRt;
use super::monoio::UringRt;
use super::{AlignedBuf, Chunk, Conn, CoreConfig, DiskFile, ListenConfig, Listener, OpenOptions, Rt, Stop};

const CORE: CoreConfig = CoreConfig { index: 0, cpu: None };

/// Runs each named check as a test of its own on each runtime.
macro_rules! on_every_runtime {
    ($($check:ident),* $(,)?) => {
        mod uring {
            $(#[test] fn $check() { super::on_core(|| super::$check::<super::UringRt>()); })*
        }
        mod glommio {
            $(#[test] #[ignore = "glommio may sleep for good: rt/glommio.rs"] fn $check() {
                super::on_core(|| super::$check::<super::GlommioRt>());
            })*
        }
        mod epoll {
            $(#[test] fn $check() { super::on_core(|| super::$check::<super::EpollRt>()); })*
        }
    };
}

on_every_runtime!(
    a_file_gives_back_what_was_written,
    a_direct_file_takes_aligned_writes,
    a_read_stops_at_the_end_of_the_file,
    a_dropped_write_reaches_the_file,
    a_dropped_read_writes_into_nobodys_memory,
    a_client_that_goes_mid_receive_writes_into_nobodys_memory,
    a_missing_file_is_an_error,
    fallocate_sets_the_size,
    a_deadline_loses_no_byte,
    a_late_sender_is_timed_out_and_heard_later,
    a_long_answer_arrives_whole,
    a_client_that_does_not_read_is_timed_out,
    stop_ends_accept_and_idle_waits,
    a_half_close_lets_the_client_finish,
    yielding_starves_nothing,
    a_connection_sends_and_receives_at_the_same_time,
    a_connection_to_nobody_is_refused,
    blocking_calls_run_beside_the_core,
    sleeping_takes_at_least_its_time,
);

/// A fresh thread, as a core is one: signal masks and pools do not leak into the harness's threads.
fn on_core(check: impl FnOnce() + Send + 'static) {
    std::thread::spawn(check).join().expect("the check passes");
}

fn run<R: Rt, F: Future>(main: F) -> F::Output {
    R::run(&CORE, main).expect("the runtime is there")
}

const WRITE: OpenOptions =
    OpenOptions { direct: false, create: true, create_new: false, write: true, truncate: false };

fn a_file_gives_back_what_was_written<R: Rt>() {
    let dir = tempfile::tempdir().unwrap();
    run::<R, _>(async {
        let file = R::File::open(&dir.path().join("f"), WRITE).await.unwrap();
        let (done, buf) = file.write_at(AlignedBuf::copy_of(b"holdfast"), 10).await;
        done.unwrap();
        assert_eq!(&*buf, b"holdfast", "the buffer comes back");
        file.fdatasync().await.unwrap();
        assert_eq!(file.size().await.unwrap(), 18);
        let (count, buf) = file.read_at(AlignedBuf::with_capacity(100), 12, 4).await;
        assert_eq!((count.unwrap(), &*buf), (4, &b"ldfa"[..]));
    });
}

fn a_direct_file_takes_aligned_writes<R: Rt>() {
    let dir = tempfile::tempdir().unwrap();
    run::<R, _>(async {
        let options = OpenOptions { direct: true, ..WRITE };
        let file = R::File::open(&dir.path().join("f"), options).await.unwrap();
        let mut buf = AlignedBuf::zeroed(256 << 10);
        buf[4096] = 7;
        file.write_at(buf, 8192).await.0.unwrap();
        file.fdatasync().await.unwrap();
        let (count, buf) = file.read_at(AlignedBuf::with_capacity(8192), 8192, 8192).await;
        assert_eq!((count.unwrap(), buf[4096]), (8192, 7));
    });
}

fn a_read_stops_at_the_end_of_the_file<R: Rt>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    std::fs::write(&path, vec![1u8; 5000]).unwrap();
    run::<R, _>(async {
        for direct in [false, true] {
            let file = R::File::open(&path, OpenOptions { direct, ..OpenOptions::default() }).await.unwrap();
            let (count, buf) = file.read_at(AlignedBuf::with_capacity(8192), 4096, 4096).await;
            assert_eq!((count.unwrap(), buf.len()), (904, 904), "direct {direct}");
            let (count, buf) = file.read_at(buf, 8192, 4096).await;
            assert_eq!((count.unwrap(), buf.len()), (0, 0), "direct {direct}");
        }
    });
}

fn a_dropped_write_reaches_the_file<R: Rt>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    run::<R, _>(async {
        let file = R::File::open(&path, WRITE).await.unwrap();
        let mut write = Box::pin(file.write_at(AlignedBuf::copy_of(&[9; 100_000]), 0));
        std::future::poll_fn(|cx| {
            // The pool may have done it already; the ring has not.
            let _ = write.as_mut().poll(cx);
            Poll::Ready(())
        })
        .await;
        drop(write);
        let end = Instant::now() + Duration::from_secs(5);
        while file.size().await.unwrap() < 100_000 && Instant::now() < end {
            R::sleep(Duration::from_millis(2)).await;
        }
    });
    assert_eq!(std::fs::read(path).unwrap(), vec![9; 100_000]);
}

/// Everything this thread's pool gives out for the next while, filled with a pattern that nothing may disturb.
fn fresh_owners(bytes: usize) -> Vec<AlignedBuf> {
    let fill = |n: u8| {
        let mut buf = AlignedBuf::with_capacity(bytes);
        buf.set_len(bytes);
        buf.fill(n);
        buf
    };
    (0..32).map(fill).collect()
}

fn undisturbed(owners: &[AlignedBuf]) {
    for (n, buf) in owners.iter().enumerate() {
        assert!(buf.iter().all(|byte| usize::from(*byte) == n), "somebody wrote into buffer {n}");
    }
}

fn a_dropped_read_writes_into_nobodys_memory<R: Rt>() {
    const BYTES: usize = 256 << 10;
    let dir = tempfile::tempdir().unwrap();
    run::<R, _>(async {
        let options = OpenOptions { direct: true, ..WRITE };
        let file = R::File::open(&dir.path().join("f"), options).await.unwrap();
        let mut wanted = AlignedBuf::with_capacity(BYTES);
        wanted.set_len(BYTES);
        wanted.fill(0xee);
        file.write_at(wanted, 0).await.0.unwrap();
        for _ in 0..50 {
            {
                let mut reads: Vec<_> = (0..4)
                    .map(|_| Box::pin(file.read_at(AlignedBuf::with_capacity(BYTES), 0, BYTES)))
                    .collect();
                std::future::poll_fn(|cx| {
                    reads.iter_mut().for_each(|read| drop(read.as_mut().poll(cx)));
                    Poll::Ready(())
                })
                .await;
            }
            let owners = fresh_owners(BYTES);
            R::yield_now().await;
            R::sleep(Duration::from_millis(2)).await;
            undisturbed(&owners);
        }
    });
}

/// The receive that a deadline cancelled had the buffer; once it is back it is the caller's alone.
fn a_client_that_goes_mid_receive_writes_into_nobodys_memory<R: Rt>() {
    const BYTES: usize = 64 << 10;
    talk::<R, _, _>(
        |mut client: TcpStream| {
            for _ in 0..20 {
                let _ = client.write_all(&[0xee; 4096]);
                std::thread::sleep(Duration::from_millis(3));
            }
        },
        |mut conn| async move {
            for _ in 0..20 {
                let buf = AlignedBuf::with_capacity(BYTES);
                let (_, buf) = conn.recv(buf, 0..BYTES, Instant::now() + Duration::from_millis(2)).await;
                drop(buf);
                let owners = fresh_owners(BYTES);
                R::sleep(Duration::from_millis(2)).await;
                undisturbed(&owners);
            }
        },
    );
}

#[test]
fn given_back_memory_is_poisoned() {
    on_core(|| {
        let mut buf = AlignedBuf::copy_of(&[7; 5000]);
        let start = buf.as_ptr();
        buf.clear();
        drop(buf);
        let mut again = AlignedBuf::with_capacity(5000);
        assert_eq!(again.as_ptr(), start, "the pool gives the last one out first");
        assert!(
            again.space().iter().all(|byte| *byte == super::buf::POISON),
            "nothing of its last owner is left"
        );
    });
}

/// What the server says comes back while more is on its way to it than any buffer holds.
fn a_connection_sends_and_receives_at_the_same_time<R: Rt>() {
    const BYTES: usize = 16 << 20;
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = server.local_addr().unwrap();
    let echo = std::thread::spawn(move || {
        let (stream, _) = server.accept().unwrap();
        let count = std::io::copy(&mut &stream, &mut &stream).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        count
    });
    run::<R, _>(async {
        let deadline = || Instant::now() + Duration::from_secs(30);
        let mut conn = R::connect(addr, deadline()).await.unwrap();
        let mut twin = R::duplicate(&conn).unwrap();
        R::spawn(async move {
            let chunk = Chunk::from(AlignedBuf::copy_of(&[7; 1 << 20]));
            for _ in 0..BYTES >> 20 {
                twin.send(Bytes::new(), Some(chunk.clone()), Duration::from_secs(30)).await.unwrap();
            }
            twin.shutdown_write().await;
        });
        let (mut received, mut buf) = (0, AlignedBuf::with_capacity(1 << 20));
        loop {
            let (count, back) = conn.recv(buf, 0..1 << 20, deadline()).await;
            let count = count.unwrap();
            assert!(back[..count].iter().all(|byte| *byte == 7));
            received += count;
            buf = back;
            if count == 0 {
                break;
            }
        }
        assert_eq!(received, BYTES);
    });
    assert_eq!(echo.join().unwrap(), BYTES as u64);
}

fn a_connection_to_nobody_is_refused<R: Rt>() {
    let addr = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    run::<R, _>(async {
        let refused = R::connect(addr, Instant::now() + Duration::from_secs(30)).await;
        assert_eq!(refused.err().unwrap().kind(), ErrorKind::ConnectionRefused);
    });
}

fn a_missing_file_is_an_error<R: Rt>() {
    let dir = tempfile::tempdir().unwrap();
    run::<R, _>(async {
        let missing = R::File::open(&dir.path().join("f"), OpenOptions::default()).await;
        assert_eq!(missing.err().unwrap().kind(), ErrorKind::NotFound);
    });
}

fn fallocate_sets_the_size<R: Rt>() {
    let dir = tempfile::tempdir().unwrap();
    run::<R, _>(async {
        let file = R::File::open(&dir.path().join("f"), WRITE).await.unwrap();
        file.fallocate(1 << 20).await.unwrap();
        assert_eq!(file.size().await.unwrap(), 1 << 20);
    });
}

/// Opens a listener, lets `client` talk to it from a thread, and hands the accepted connection to `server`.
fn talk<R: Rt, T: Send + 'static, F: Future>(
    client: impl FnOnce(TcpStream) -> T + Send + 'static,
    server: impl FnOnce(R::Conn) -> F,
) -> (T, F::Output) {
    run::<R, _>(async {
        let config = ListenConfig { addr: SocketAddr::from(([127, 0, 0, 1], 0)), backlog: 16 };
        let listener = R::listen(&config).unwrap();
        let addr = listener.local_addr().unwrap();
        let client = std::thread::spawn(move || client(TcpStream::connect(addr).unwrap()));
        let conn = listener.accept(&Stop::new()).await.unwrap();
        let served = server(conn).await;
        let answered = super::blocking(move || client.join().expect("the client is content")).await;
        (answered, served)
    })
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn a_deadline_loses_no_byte<R: Rt>() {
    const BYTES: u32 = 20_000;
    let client = |mut stream: TcpStream| {
        stream.set_nodelay(true).unwrap();
        for number in 0..BYTES {
            stream.write_all(&[(number % 251) as u8]).unwrap();
        }
    };
    let ((), received) = talk::<R, _, _>(client, async |mut conn| {
        let mut received = Vec::new();
        let mut buf = AlignedBuf::with_capacity(4096);
        loop {
            // Deadlines strike at every moment relative to the bytes.
            let deadline = Instant::now() + Duration::from_micros(received.len() as u64 % 1500);
            let (done, back) = conn.recv(buf, 0..7, deadline).await;
            buf = back;
            match done {
                Ok(0) => return received,
                Ok(count) => received.extend_from_slice(&buf[..count]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
            }
        }
    });
    let expected: Vec<u8> = (0..BYTES).map(|number| (number % 251) as u8).collect();
    assert!(received == expected, "{} of {BYTES} bytes", received.len());
}

fn a_late_sender_is_timed_out_and_heard_later<R: Rt>() {
    let (go, gone) = flume::bounded::<()>(1);
    let client = move |mut stream: TcpStream| {
        gone.recv().unwrap();
        stream.write_all(b"late").unwrap();
    };
    talk::<R, _, _>(client, async |mut conn| {
        let stop = Stop::new();
        let deadline = Instant::now() + Duration::from_millis(20);
        let (done, buf) = conn.recv(AlignedBuf::with_capacity(4096), 5..4096, deadline).await;
        assert_eq!(done.unwrap_err().kind(), ErrorKind::TimedOut);
        let waited = conn.readable(Instant::now() + Duration::from_millis(20), &stop).await;
        assert_eq!(waited.unwrap_err().kind(), ErrorKind::TimedOut);
        go.send(()).unwrap();
        conn.readable(soon(), &stop).await.unwrap();
        let (done, buf) = conn.recv(buf, 5..4096, soon()).await;
        assert_eq!((done.unwrap(), &buf[5..]), (4, &b"late"[..]));
    });
}

fn a_long_answer_arrives_whole<R: Rt>() {
    let client = |mut stream: TcpStream| {
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        received
    };
    let body: Vec<u8> = (0..3_000_000u32).map(|number| (number % 253) as u8).collect();
    let sent = body.clone();
    let (received, ()) = talk::<R, _, _>(client, async move |mut conn| {
        let chunk = Chunk::from(AlignedBuf::copy_of(&sent));
        conn.send(Bytes::from_static(b"head"), Some(chunk.slice(1..sent.len())), Duration::from_secs(10))
            .await
            .unwrap();
        conn.send(Bytes::new(), None, Duration::from_secs(1)).await.unwrap();
    });
    assert_eq!(&received[..4], b"head");
    assert!(received[4..] == body[1..]);
}

fn a_client_that_does_not_read_is_timed_out<R: Rt>() {
    let (done, wait) = flume::bounded::<()>(1);
    let client = move |stream: TcpStream| {
        wait.recv().unwrap();
        drop(stream);
    };
    talk::<R, _, _>(client, async |mut conn| {
        let chunk = Chunk::from(AlignedBuf::zeroed(64 << 20));
        let sent = conn.send(Bytes::new(), Some(chunk), Duration::from_millis(50)).await;
        assert_eq!(sent.unwrap_err().kind(), ErrorKind::TimedOut);
        done.send(()).unwrap();
    });
}

fn stop_ends_accept_and_idle_waits<R: Rt>() {
    let (done, wait) = flume::bounded::<()>(1);
    let client = move |stream: TcpStream| {
        wait.recv().unwrap();
        drop(stream);
    };
    talk::<R, _, _>(client, async |mut conn| {
        let stop = Stop::new();
        let ended = Rc::new(Cell::new(false));
        let (stop_of_idle, ended_of_idle) = (stop.clone(), Rc::clone(&ended));
        R::spawn(async move {
            let waited = conn.readable(soon(), &stop_of_idle).await;
            assert_eq!(waited.unwrap_err().kind(), ErrorKind::Interrupted);
            ended_of_idle.set(true);
        });
        let later = stop.clone();
        R::spawn(async move {
            R::sleep(Duration::from_millis(10)).await;
            later.set();
        });
        let config = ListenConfig { addr: SocketAddr::from(([127, 0, 0, 1], 0)), backlog: 16 };
        let listener = R::listen(&config).unwrap();
        for _ in 0..2 {
            let accepted = listener.accept(&stop).await;
            assert_eq!(accepted.err().unwrap().kind(), ErrorKind::Interrupted);
        }
        R::sleep(Duration::from_millis(5)).await;
        assert!(ended.get());
        done.send(()).unwrap();
    });
}

fn a_half_close_lets_the_client_finish<R: Rt>() {
    let client = |mut stream: TcpStream| {
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        stream.write_all(b"bye").unwrap();
        received
    };
    let (received, ()) = talk::<R, _, _>(client, async |mut conn| {
        conn.send(Bytes::from_static(b"no"), None, Duration::from_secs(10)).await.unwrap();
        conn.shutdown_write().await;
        let (done, buf) = conn.recv(AlignedBuf::with_capacity(1), 0..4096, soon()).await;
        assert_eq!((done.unwrap(), &*buf), (3, &b"bye"[..]));
    });
    assert_eq!(received, b"no");
}

fn yielding_starves_nothing<R: Rt>() {
    let dir = tempfile::tempdir().unwrap();
    run::<R, _>(async {
        let read = Rc::new(Cell::new(false));
        let flag = Rc::clone(&read);
        let path = dir.path().join("f");
        R::spawn(async move {
            let file = R::File::open(&path, WRITE).await.unwrap();
            file.write_at(AlignedBuf::zeroed(4096), 0).await.0.unwrap();
            file.fdatasync().await.unwrap();
            flag.set(true);
        });
        let start = Instant::now();
        while !read.get() {
            assert!(start.elapsed() < Duration::from_secs(10), "completions never came");
            R::yield_now().await;
        }
    });
}

fn blocking_calls_run_beside_the_core<R: Rt>() {
    run::<R, _>(async {
        let mut slow = pin!(super::blocking(|| {
            std::thread::sleep(Duration::from_millis(50));
            7
        }));
        let mut turns = 0;
        let answer = std::future::poll_fn(|cx| {
            turns += 1;
            slow.as_mut().poll(cx)
        })
        .await;
        assert_eq!(answer, 7);
        assert!(turns < 10, "{turns} turns while waiting");
    });
}

fn sleeping_takes_at_least_its_time<R: Rt>() {
    run::<R, _>(async {
        let (start, boot) = (R::now(), R::boottime_ms());
        R::sleep(Duration::from_millis(30)).await;
        assert!(start.elapsed() >= Duration::from_millis(30));
        assert!(R::boottime_ms() - boot >= 29);
        assert!(R::unix_ms() > 1_700_000_000_000);
        let mut random = [0u8; 32];
        R::random(&mut random);
        assert_ne!(random, [0; 32]);
    });
}

#[test]
fn buffers_come_back_from_the_pool_aligned() {
    on_core(|| {
        let buf = AlignedBuf::with_capacity(5000);
        assert_eq!((buf.capacity(), buf.len()), (8192, 0));
        let at = buf.as_ptr();
        assert!(at.addr().is_multiple_of(super::buf::ALIGN));
        drop(buf);
        assert_eq!(AlignedBuf::with_capacity(8192).as_ptr(), at);
        assert_eq!(AlignedBuf::with_capacity(0).capacity(), 4096);
        let large = AlignedBuf::with_capacity((1 << 20) + 1);
        assert_eq!(large.capacity(), (1 << 20) + 4096);
    });
}

#[test]
fn the_pool_is_bounded_and_buffers_change_threads() {
    on_core(|| {
        let many: Vec<_> = (0..20).map(|_| AlignedBuf::with_capacity(1 << 20)).collect();
        std::thread::spawn(move || drop(many)).join().unwrap();
        drop((0..20).map(|_| AlignedBuf::with_capacity(1 << 20)).collect::<Vec<_>>());
    });
}

#[test]
fn bytes_beyond_the_length_are_not_seen() {
    on_core(|| {
        drop(AlignedBuf::copy_of(b"secret"));
        let mut buf = AlignedBuf::with_capacity(6);
        assert!(buf.is_empty());
        buf.extend_from_slice(b"ab");
        buf.pad_to(4);
        assert_eq!(&*buf, b"ab\0\0");
        assert_eq!(buf.extend_some(&[1; 5000]), 4092);
    });
}

#[test]
fn chunks_share_their_buffer() {
    on_core(|| {
        let chunk = Chunk::from(AlignedBuf::copy_of(b"0123456789"));
        let mut part = chunk.slice(2..8);
        part.advance(1);
        assert_eq!(&*part.slice(0..2), b"34");
        assert!(part.into_buf().is_err(), "two share it");
        assert!(chunk.into_buf().is_ok());
    });
}
