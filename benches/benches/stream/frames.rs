//! The least that could carry the same bytes: a length, a payload, blocking sockets, a thread a connection.

use super::served;
use std::io::{BufReader, BufWriter, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

/// Answers each frame by one of the length that its sender wants: `payload u32 BE, answer u32 BE, payload`.
pub(crate) fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || echo(&stream));
        }
    });
    served::until_nobody_asks(address, |_| String::new()).expect("the conversation goes on");
}

/// Answers leave when the reader has nothing more to read, as a server under load would do it.
fn echo(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) =
        (BufReader::with_capacity(256 << 10, stream), BufWriter::with_capacity(256 << 10, stream));
    let (mut head, mut payload) = ([0; 8], Vec::new());
    loop {
        if reader.buffer().is_empty() {
            writer.flush()?;
        }
        reader.read_exact(&mut head)?;
        let length = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("4 bytes")) as usize;
        let answer = length(&head[4..]);
        payload.resize(length(&head[..4]).max(answer), 0);
        reader.read_exact(&mut payload[..length(&head[..4])])?;
        writer.write_all(&payload[..answer])?;
    }
}

/// Keeps `window` frames in flight for `seconds`, and says how many were answered.
pub(crate) fn flood(
    address: SocketAddr,
    frame: &[u8],
    answer_bytes: usize,
    window: usize,
    seconds: f64,
) -> u64 {
    let stream = TcpStream::connect(address).expect("connected");
    stream.set_nodelay(true).expect("set");
    let mut head = Vec::new();
    for length in [frame.len(), answer_bytes] {
        head.extend_from_slice(&u32::try_from(length).expect("small").to_be_bytes());
    }
    let mut reader = BufReader::with_capacity(256 << 10, &stream);
    let mut writer = BufWriter::with_capacity(256 << 10, &stream);
    let mut send =
        || writer.write_all(&head).and_then(|()| writer.write_all(frame)).and_then(|()| writer.flush());
    for _ in 0..window {
        send().expect("sent");
    }
    let mut answer = vec![0; answer_bytes];
    let (began, mut answered) = (Instant::now(), 0);
    while answered == 0 || began.elapsed().as_secs_f64() < seconds {
        reader.read_exact(&mut answer).expect("an answer");
        answered += 1;
        send().expect("sent");
    }
    answered
}
