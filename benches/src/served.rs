//! A copy of the running program that serves in a process of its own, so that what the server spends is its own.
//!
//! Its standard output is the conversation: first its address, then a line for each line it is asked. It ends with its input.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The serving copy; it ends when this is dropped.
#[derive(Debug)]
pub struct Served {
    pub address: SocketAddr,
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Served {
    /// Starts the running program again with `arguments`, and waits until it says where it listens.
    ///
    /// # Errors
    /// When it cannot be started, or ends before it has said so.
    pub fn start<'a>(arguments: impl IntoIterator<Item = &'a str>) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let ask = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?);
        let address = line(&mut answers)?.parse().map_err(io::Error::other)?;
        Ok(Self { address, child, ask, answers })
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// One question, one answer.
    ///
    /// # Errors
    /// When it has ended.
    pub fn ask(&mut self, question: &str) -> io::Result<String> {
        let ask = self.ask.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(ask, "{question}")?;
        line(&mut self.answers)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.ask.take());
        let _ = self.child.wait();
    }
}

fn line(answers: &mut impl BufRead) -> io::Result<String> {
    let mut text = String::new();
    if answers.read_line(&mut text)? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the serving process has ended"));
    }
    Ok(text.trim_end().to_owned())
}

/// The serving side: says where it listens and answers until nobody asks any more.
///
/// # Errors
/// When standard output cannot be written.
pub fn until_nobody_asks(address: SocketAddr, mut answer: impl FnMut(&str) -> String) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{address}")?;
    for question in io::stdin().lock().lines() {
        writeln!(out, "{}", answer(&question?))?;
    }
    Ok(())
}
