//! What each step does to the node, and to the model.

use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{join, join_all};

use super::super::authority::BUCKET;
use super::super::client::{Answer, Request, send};
use super::super::executor::Crashed;
use super::super::model::{Value, content};
use super::super::node::disk_name;
use super::super::program::{Fault, Step};
use super::super::runtime::SimListener;
use super::Run;

type Done = Result<Result<(), String>, Crashed>;

pub(super) fn name(key: u8) -> String {
    format!("key-{key}")
}

impl Run<'_> {
    pub(super) fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Put { key, len } => self.surely_put(&[(*key, *len)]),
            Step::Together(puts) => self.surely_put(puts),
            Step::Delete { key } => self.surely(|run| run.delete(&name(*key))),
            Step::Copy { from, to } => self.surely(|run| run.copy(&name(*from), &name(*to))),
            Step::Multipart { key, parts, abort } => {
                let parts: Vec<_> = parts.iter().map(|len| self.fresh(*len)).collect();
                self.surely(|run| run.multipart(&name(*key), &parts, *abort))
            }
            Step::Get { key, from, len } => self.surely(|run| run.get_range(&name(*key), *from, *len)),
            Step::List => self.surely(Self::check_list),
            Step::Race { key, len } => {
                let bytes = self.fresh(*len);
                self.surely(|run| run.race(&name(*key), &bytes))
            }
            Step::SlowPut { key, len, ms } => {
                let bytes = self.fresh(*len);
                self.surely(|run| run.slow_put(&name(*key), &bytes, Duration::from_millis((*ms).into())))
            }
            Step::SlowGet { key, ms } => {
                self.surely(|run| run.slow_get(&name(*key), Duration::from_millis((*ms).into())))
            }
            Step::Idle { ms } => self.surely(|run| run.idle(Duration::from_millis((*ms).into()))),
            Step::Restart => self.surely(Self::restart),
            Step::Crash(outage) => {
                self.outage = *outage;
                self.recover()
            }
            Step::CrashAfter { points, outage } => {
                if self.setting.crash.is_none() {
                    self.outage = *outage;
                    self.world.disks.crash_at(Some(self.world.disks.points() + u64::from(*points)));
                }
                Ok(())
            }
            Step::Fault(fault) => {
                self.fault(*fault);
                Ok(())
            }
            Step::Heal => {
                self.heal();
                Ok(())
            }
        }
    }

    pub(super) fn fresh(&mut self, len: u32) -> Rc<Vec<u8>> {
        self.writes += 1;
        content(self.writes, len as usize)
    }

    /// A core's listener, by the seed.
    pub(super) fn listener(&self) -> SimListener {
        let cores = &self.node.as_ref().expect("it runs").cores;
        let at = self.world.chance(|rng| rng.index(cores.len()));
        cores[at].listener.clone()
    }

    pub(super) fn ask(&mut self, request: Request<'_>) -> Result<Option<Answer>, Crashed> {
        let answer = self.world.block_on(send(&self.listener(), request))?;
        self.report.answered += 1;
        Ok(answer)
    }

    /// Whether an answer says that it was done. A refusal is only right while something is wrong.
    pub(super) fn done(&mut self, what: &str, answer: Option<&Answer>) -> Result<bool, String> {
        match answer.map(|answer| answer.status) {
            Some(200..300) => Ok(true),
            Some(500..) | None if self.troubled => {
                self.report.refused += 1;
                Ok(false)
            }
            status => {
                let text = answer.map(Answer::text).unwrap_or_default();
                Err(format!("{what} answered {status:?} though nothing is wrong: {text}"))
            }
        }
    }

    fn surely_put(&mut self, puts: &[(u8, u32)]) -> Result<(), String> {
        let puts: Vec<_> = puts.iter().map(|(key, len)| (name(*key), self.fresh(*len))).collect();
        self.surely(|run| run.put(&puts))
    }

    /// Puts of different keys at the same time.
    fn put(&mut self, puts: &[(String, Rc<Vec<u8>>)]) -> Done {
        let paths: Vec<String> = puts.iter().map(|(key, _)| path(key)).collect();
        for (key, bytes) in puts {
            self.model.begin(key, vec![Some(Rc::clone(bytes))]);
        }
        let listeners: Vec<SimListener> = puts.iter().map(|_| self.listener()).collect();
        let sent = puts.iter().zip(&paths).zip(&listeners).map(|(((_, bytes), path), listener)| {
            send(listener, Request { method: "PUT", path, body: bytes, ..Request::default() })
        });
        let answers = self.world.block_on(join_all(sent))?;
        for ((key, bytes), answer) in puts.iter().zip(&answers) {
            self.report.answered += 1;
            match self.done("PUT", answer.as_ref()) {
                Ok(true) => self.model.settle(key, vec![Some(Rc::clone(bytes))]),
                Ok(false) => {}
                Err(what) => return Ok(Err(what)),
            }
        }
        for (key, _) in puts {
            if let Err(what) = self.look(key)? {
                return Ok(Err(what));
            }
        }
        Ok(Ok(()))
    }

    pub(super) fn delete(&mut self, key: &str) -> Done {
        self.model.begin(key, vec![None]);
        let answer = self.ask(Request { method: "DELETE", path: &path(key), ..Request::default() })?;
        match self.done("DELETE", answer.as_ref()) {
            Ok(true) => self.model.settle(key, vec![None]),
            Ok(false) => {}
            Err(what) => return Ok(Err(what)),
        }
        self.look(key)
    }

    fn copy(&mut self, from: &str, to: &str) -> Done {
        let source = self.model.possible(from);
        if from == to || source.contains(&None) {
            return Ok(Ok(()));
        }
        self.model.begin(to, source.clone());
        let headers = [("x-amz-copy-source", &*format!("{BUCKET}/{from}"))];
        let answer =
            self.ask(Request { method: "PUT", path: &path(to), headers: &headers, ..Request::default() })?;
        match self.done("COPY", answer.as_ref()) {
            Ok(true) => self.model.settle(to, source),
            Ok(false) => {}
            Err(what) => return Ok(Err(what)),
        }
        self.look(to)
    }

    fn multipart(&mut self, key: &str, parts: &[Rc<Vec<u8>>], abort: bool) -> Done {
        let answer =
            self.ask(Request { method: "POST", path: &path(key), query: "uploads=", ..Request::default() })?;
        match self.done("CreateMultipartUpload", answer.as_ref()) {
            Ok(true) => {}
            other => return Ok(other.map(drop)),
        }
        let upload = answer.expect("it was").elements("UploadId").concat();
        let mut listed = String::new();
        for (number, bytes) in (1..).zip(parts) {
            let query = format!("partNumber={number}&uploadId={upload}");
            let answer = self.ask(Request {
                method: "PUT",
                path: &path(key),
                query: &query,
                body: bytes,
                ..Request::default()
            })?;
            match self.done("UploadPart", answer.as_ref()) {
                Ok(true) => {}
                other => return Ok(other.map(drop)),
            }
            let etag =
                answer.as_ref().and_then(|answer| answer.header("etag")).unwrap_or_default().to_owned();
            listed += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
        }
        let query = format!("uploadId={upload}");
        if abort {
            let answer = self.ask(Request {
                method: "DELETE",
                path: &path(key),
                query: &query,
                ..Request::default()
            })?;
            return Ok(self.done("AbortMultipartUpload", answer.as_ref()).map(drop))
                .and_then(|_| self.look(key));
        }
        let whole: Value = Some(Rc::new(parts.iter().flat_map(|part| part.iter().copied()).collect()));
        self.model.begin(key, vec![whole.clone()]);
        let body = format!("<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>");
        let request = Request {
            method: "POST",
            path: &path(key),
            query: &query,
            body: body.as_bytes(),
            ..Request::default()
        };
        let answer = self.ask(request)?;
        match self.done("CompleteMultipartUpload", answer.as_ref()) {
            Ok(true) => self.model.settle(key, vec![whole]),
            Ok(false) => {}
            Err(what) => return Ok(Err(what)),
        }
        self.look(key)
    }

    /// Reads while it is overwritten: what comes is one or the other, never a mixture.
    fn race(&mut self, key: &str, bytes: &Rc<Vec<u8>>) -> Done {
        let before = self.model.possible(key);
        self.model.begin(key, vec![Some(Rc::clone(bytes))]);
        let path = path(key);
        let put = Request { method: "PUT", path: &path, body: bytes, ..Request::default() };
        let get = Request { method: "GET", path: &path, ..Request::default() };
        let (writer, reader) = (self.listener(), self.listener());
        let (put, got) = self.world.block_on(join(send(&writer, put), send(&reader, get)))?;
        self.report.answered += 2;
        let seen = match self.seen("GET", got) {
            Ok(seen) => seen,
            Err(what) => return Ok(Err(what)),
        };
        if let Some(seen) = seen
            && !before.contains(&seen)
            && seen.as_ref() != Some(bytes)
        {
            return Ok(Err(format!("{key}: a read during an overwrite saw neither what was nor what is")));
        }
        match self.done("PUT", put.as_ref()) {
            Ok(true) => self.model.settle(key, vec![Some(Rc::clone(bytes))]),
            Ok(false) => {}
            Err(what) => return Ok(Err(what)),
        }
        self.look(key)
    }

    fn slow_put(&mut self, key: &str, bytes: &Rc<Vec<u8>>, pause: Duration) -> Done {
        self.model.begin(key, vec![Some(Rc::clone(bytes))]);
        let path = path(key);
        let answer =
            self.ask(Request { method: "PUT", path: &path, body: bytes, pause, ..Request::default() })?;
        match self.done("a slow PUT", answer.as_ref()) {
            Ok(true) => self.model.settle(key, vec![Some(Rc::clone(bytes))]),
            Ok(false) => {}
            Err(what) => return Ok(Err(what)),
        }
        self.look(key)
    }

    /// The reader gets what it began to read, though it is deleted and its bytes are due to go meanwhile.
    fn slow_get(&mut self, key: &str, pause: Duration) -> Done {
        if let Err(what) = self.look(key)? {
            return Ok(Err(what));
        }
        let Some(Some(before)) = self.model.possible(key).pop() else { return Ok(Ok(())) };
        self.model.begin(key, vec![None]);
        let path = path(key);
        let get = Request { method: "GET", path: &path, pause, ..Request::default() };
        let delete = Request { method: "DELETE", path: &path, ..Request::default() };
        let (reader, deleter) = (self.listener(), self.listener());
        let both = join(send(&reader, get), async {
            // The reader first, mostly.
            super::World::current().sleep(Duration::from_millis(50)).await;
            send(&deleter, delete).await
        });
        let (got, deleted) = self.world.block_on(both)?;
        self.report.answered += 2;
        match self.seen("a slow GET", got) {
            Ok(Some(Some(seen))) if seen == before => {}
            Ok(None) | Ok(Some(None)) => {}
            Ok(Some(Some(_))) => return Ok(Err(format!("{key}: a slow reader got other bytes"))),
            Err(what) => return Ok(Err(what)),
        }
        match self.done("DELETE", deleted.as_ref()) {
            Ok(true) => self.model.settle(key, vec![None]),
            Ok(false) => {}
            Err(what) => return Ok(Err(what)),
        }
        self.look(key)
    }

    pub(super) fn idle(&mut self, time: Duration) -> Done {
        let until = self.world.elapsed() + time;
        let world = super::World::current();
        self.world.block_on(async move { world.sleep(until.saturating_sub(world.elapsed())).await })?;
        Ok(Ok(()))
    }

    pub(super) fn restart(&mut self) -> Done {
        let node = self.node.take().expect("it runs");
        let stopped = self.world.block_on(node.stop());
        self.world.drop_tasks();
        stopped?;
        self.node = Some(self.place.start()?);
        self.check_all()
    }

    fn fault(&mut self, fault: Fault) {
        self.troubled = true;
        let name = disk_name(self.setting.bad_disk);
        let set = |change: fn(&mut super::super::disk::Faults)| self.world.disks.fault(&name, change);
        match fault {
            Fault::ReadErrors => set(|faults| faults.read_errors = 30),
            Fault::WriteErrors => set(|faults| faults.write_errors = 30),
            Fault::SyncErrors => set(|faults| faults.sync_errors = 50),
            Fault::Gone => set(|faults| faults.gone = true),
            Fault::Full => set(|faults| faults.full = true),
            Fault::Stall => set(|faults| faults.stall = Duration::from_millis(700)),
            Fault::Lies => set(|faults| faults.lies = 20),
            Fault::Rot => {
                self.damaged = true;
                let (files, places) = (self.world.disks.files(&name), 40);
                for _ in 0..places {
                    let Some((file, len)) = files.get(self.world.chance(|rng| rng.index(files.len().max(1))))
                    else {
                        break;
                    };
                    // Most of what is written stands at the front.
                    let at = self.world.chance(|rng| rng.below((*len).clamp(1, 1 << 20)));
                    self.world.disks.rot(&name, file, at);
                }
            }
        }
    }

    fn heal(&mut self) {
        self.world.disks.fault(&disk_name(self.setting.bad_disk), |faults| *faults = Default::default());
    }
}

pub(super) fn path(key: &str) -> String {
    format!("/{BUCKET}/{key}")
}
