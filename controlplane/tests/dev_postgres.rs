//! The private PostgreSQL of `holdfast dev`, for real: made, killed, started again, where its user cannot go.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A `holdfast dev --only-postgres` and the address it printed.
struct Dev {
    child: Child,
    url: String,
}

impl Dev {
    fn start(directory: &Path) -> Self {
        let mut child =
            command(directory).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("reads");
        let Some(url) = line.trim().strip_prefix("ready postgres ") else {
            let mut said = String::new();
            child.stderr.take().expect("piped").read_to_string(&mut said).expect("reads");
            panic!("not ready: {line}{said}");
        };
        Self { url: url.to_owned(), child }
    }

    fn signal(&self, signal: &str) {
        kill(self.child.id(), signal);
    }

    fn wait(mut self) -> std::process::ExitStatus {
        self.child.wait().expect("waited")
    }

    async fn query(&self, sql: &str) -> Vec<String> {
        let (client, connection) =
            tokio_postgres::connect(&self.url, tokio_postgres::NoTls).await.expect("connects");
        tokio::spawn(connection);
        let rows = client.simple_query(sql).await.expect("answers");
        let text = |row: &tokio_postgres::SimpleQueryMessage| match row {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        };
        rows.iter().filter_map(text).collect()
    }
}

fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.args(["dev", "--only-postgres", "--data-dir"]).arg(directory).env("HOLDFAST_LOG", "warn");
    command
}

fn kill(pid: u32, signal: &str) {
    let killed =
        Command::new("kill").args([format!("-{signal}"), pid.to_string()]).status().expect("kill runs");
    assert!(killed.success(), "kill -{signal} {pid}");
}

fn postmaster(directory: &Path) -> u32 {
    let text = std::fs::read_to_string(directory.join("postgres/postmaster.pid")).expect("it runs");
    text.lines().next().expect("a line").parse().expect("a number")
}

fn gone(pid: u32) {
    let until = Instant::now() + Duration::from_secs(30);
    while Path::new(&format!("/proc/{pid}")).exists() {
        assert!(Instant::now() < until, "process {pid} does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Starts, writes, and ends in every way there is; each next start must have what was written.
async fn lives(directory: PathBuf) {
    let dev = Dev::start(&directory);
    dev.query("create table seen (n int); insert into seen values (1)").await;
    assert_eq!(dev.query("show fsync").await, ["on"]);
    assert_eq!(dev.query("show server_encoding").await, ["UTF8"]);
    let server = postmaster(&directory);
    dev.signal("TERM");
    assert!(dev.wait().success());
    gone(server);

    let dev = Dev::start(&directory);
    assert_eq!(dev.query("insert into seen values (2) returning n").await, ["2"]);
    let server = postmaster(&directory);
    dev.signal("KILL");
    dev.wait();
    // Not waited for: the next start has to deal with a server that is still there.
    let dev = Dev::start(&directory);
    assert_ne!(postmaster(&directory), server);
    assert_eq!(dev.query("insert into seen values (3) returning n").await, ["3"]);

    let server = postmaster(&directory);
    dev.signal("KILL");
    kill(server, "KILL");
    dev.wait();
    let dev = Dev::start(&directory);
    assert_eq!(dev.query("select n from seen order by n").await, ["1", "2", "3"]);

    let server = postmaster(&directory);
    kill(server, "KILL");
    let status = dev.wait();
    assert!(!status.success(), "its death is ours");
    let dev = Dev::start(&directory);
    dev.signal("INT");
    assert!(dev.wait().success());
    assert!(!directory.join("postgres/postmaster.pid").exists(), "a clean stop leaves none");
}

#[tokio::test]
async fn a_cluster_survives_every_end_even_where_its_user_cannot_go() {
    let parent = tempfile::Builder::new().permissions(only_ours()).tempdir().expect("a directory");
    lives(parent.path().join("data")).await;
}

#[tokio::test]
async fn a_path_longer_than_a_sockets_is_no_matter() {
    let parent = tempfile::tempdir().expect("a directory");
    let missing = 150_usize.saturating_sub(parent.path().as_os_str().len() + 1);
    let path = parent.path().join("d".repeat(missing));
    assert!(path.as_os_str().len() >= 150);
    lives(path).await;
}

#[test]
fn a_second_one_and_a_machine_without_postgres_are_sentences() {
    let parent = tempfile::tempdir().expect("a directory");
    let directory = parent.path().join("data");
    let dev = Dev::start(&directory);
    let said = refused(&mut command(&directory));
    assert!(
        said.contains("another `holdfast dev` runs") && said.contains(&dev.child.id().to_string()),
        "{said}"
    );
    dev.signal("TERM");
    dev.wait();
    let said = refused(command(&directory).args(["--pg-bin-dir", "/nonexistent"]));
    assert!(said.contains("apt-get install postgresql"), "{said}");
    let said = refused(&mut command(Path::new("/proc/nowhere")));
    assert!(said.contains("cannot be used as a data directory"), "{said}");
}

/// Runs to its end, which must be a failure, and returns what it said.
fn refused(command: &mut Command) -> String {
    let output = command.output().expect("runs");
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn only_ours() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o700)
}
