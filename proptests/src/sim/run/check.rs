//! Looking: one key, a range of it, the listing, everything; and whether space comes back.

use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use holdfast_common::id::OpId;
use holdfast_common::wire;
use holdfast_dataplane::drives::{CoreDrives, DriveError, Drives as _};
use holdfast_protocol::erasure::{Coding, Layout};

use super::super::authority::BUCKET;
use super::super::client::{Answer, Request};
use super::super::disk::Outage;
use super::super::executor::Crashed;
use super::super::model::Value;
use super::super::node::{backend_of, disk_name};
use super::super::runtime::SimRt;
use super::Run;
use super::steps::path;

type Done = Result<Result<(), String>, Crashed>;

/// How long background work gets to come to rest, in virtual time.
const QUIESCENCE: Duration = Duration::from_secs(180);

impl Run<'_> {
    /// What an answer to a GET of a whole object shows; `None`: it was refused, which is right only in trouble.
    pub(super) fn seen(&mut self, what: &str, answer: Option<Answer>) -> Result<Option<Value>, String> {
        match answer {
            Some(answer) if answer.status == 404 => Ok(Some(None)),
            // A body that ends early is an error that the client sees.
            Some(answer) if answer.status == 200 && !answer.whole && self.troubled => Ok(None),
            Some(answer) if answer.status == 200 && !answer.whole => {
                Err(format!("{what}: the body ended early"))
            }
            answer => {
                Ok(self.done(what, answer.as_ref())?.then(|| answer.map(|answer| Rc::new(answer.body))))
            }
        }
    }

    /// One key against the model.
    pub(super) fn look(&mut self, key: &str) -> Done {
        let answer = self.ask(Request { method: "GET", path: &path(key), ..Request::default() })?;
        let seen = match self.seen("GET", answer) {
            Ok(Some(seen)) => seen,
            // One bad disk is within the class: reading must go on.
            Ok(None) => return Ok(Err(format!("{key}: cannot be read with one bad disk"))),
            Err(what) => return Ok(Err(what)),
        };
        Ok(self.model.see(key, &seen))
    }

    pub(super) fn get_range(&mut self, key: &str, from: u32, len: u32) -> Done {
        if let Err(what) = self.look(key)? {
            return Ok(Err(what));
        }
        let Some(Some(whole)) = self.model.possible(key).pop() else { return Ok(Ok(())) };
        if from as usize >= whole.len() {
            return Ok(Ok(()));
        }
        let end = (from as usize + len as usize).min(whole.len());
        let range = format!("bytes={from}-{}", u64::from(from) + u64::from(len) - 1);
        let headers = [("range", &*range)];
        let answer =
            self.ask(Request { method: "GET", path: &path(key), headers: &headers, ..Request::default() })?;
        Ok(match answer {
            Some(answer) if answer.status == 206 && answer.body == whole[from as usize..end] => Ok(()),
            other => Err(format!(
                "{key}: {range} of {} answered {:?}",
                whole.len(),
                other.map(|a| (a.status, a.body.len()))
            )),
        })
    }

    pub(super) fn check_list(&mut self) -> Done {
        let answer = self.ask(Request {
            method: "GET",
            path: &format!("/{BUCKET}"),
            query: "list-type=2",
            ..Request::default()
        })?;
        match self.done("LIST", answer.as_ref()) {
            Ok(true) => {}
            other => return Ok(other.map(drop)),
        }
        let listed = answer.expect("it was").elements("Key");
        for key in self.model.keys() {
            let (possible, there) = (self.model.possible(key), listed.contains(key));
            if !possible.iter().any(|value| value.is_some() == there) {
                return Ok(Err(format!("{key}: listed: {there}, which cannot be")));
            }
        }
        Ok(match listed.iter().find(|key| !self.model.keys().any(|known| known == *key)) {
            Some(stranger) => Err(format!("{stranger} is listed and was never written")),
            None => Ok(()),
        })
    }

    /// Everything against the model.
    pub(super) fn check_all(&mut self) -> Done {
        let keys: Vec<String> = self.model.keys().cloned().collect();
        for key in keys {
            if let Err(what) = self.look(&key)? {
                return Ok(Err(what));
            }
        }
        self.check_list()
    }

    /// What was reported repaired since the last look must be on the drives, every fragment of it.
    pub(super) fn check_claims(&mut self) -> Done {
        let claims = self.place.authority.tally().repaired;
        let fresh = claims[self.claims_checked.min(claims.len())..].to_vec();
        self.claims_checked = claims.len();
        if self.damaged {
            return Ok(Ok(()));
        }
        for (blob, missing) in self.place.authority.blobs() {
            let op = OpId::from_wire(&blob.op_id).expect("well-formed");
            if missing == 0 && fresh.contains(&op) {
                let drives = Rc::clone(&self.node.as_ref().expect("it runs").cores[0].drives);
                let whole = self.world.block_on(async move { every_fragment(&drives, op, &blob).await })?;
                // Whose work it was may have found it out, and said so, in the meantime.
                let still = self
                    .place
                    .authority
                    .blobs()
                    .iter()
                    .any(|(known, missing)| *missing == 0 && OpId::from_wire(&known.op_id) == Some(op));
                if let (Err(what), true) = (whole, still) {
                    return Ok(Err(format!("{op} was reported repaired, and {what}")));
                }
            }
        }
        Ok(Ok(()))
    }

    /// Deletes everything, waits, and wants all space back.
    pub(super) fn reclaim(&mut self) -> Result<(), String> {
        self.world.disks.crash_at(None);
        self.world.disks.fault(&disk_name(self.setting.bad_disk), |faults| *faults = Default::default());
        self.place.authority.unreliable(0, 0);
        // A drive that left the write set comes back by a restart.
        self.surely(Self::restart)?;
        self.troubled = false;
        let keys: Vec<String> = self.model.keys().cloned().collect();
        for key in keys {
            self.surely(|run| run.delete(&key))?;
        }
        self.surely(|run| run.idle(QUIESCENCE))?;
        self.space_is_back()?;
        // What is deleted stays so, whatever the index forgets.
        self.outage = Outage::Power;
        self.recover()?;
        self.space_is_back()
    }

    /// No fragment is left, and no drive holds more than its few open and spare segments.
    fn space_is_back(&mut self) -> Result<(), String> {
        let (freed, _) = self.place.authority.backlog();
        if freed > 0 {
            return Err(format!("{freed} freed blobs were not deleted in {QUIESCENCE:?}"));
        }
        let drives = Rc::clone(&self.node.as_ref().expect("it runs").cores[0].drives);
        let all = (0..self.setting.machine.drives).map(|number| drives.survey(backend_of(number), None, 100));
        let held = self.world.block_on(join_all(all)).map_err(|Crashed| "a crash that nobody planned")?;
        for (number, held) in held.into_iter().enumerate() {
            let held = held.map_err(|error| format!("drive {number} cannot be surveyed: {error}"))?;
            if let Some(left) = held.first() {
                let (uploads, count) = (self.place.authority.uploads(), held.len());
                if !uploads.contains(&left.fragment.blob) {
                    return Err(format!("drive {number} still holds {count} fragments, the first {left:?}"));
                }
            }
        }
        Ok(())
    }
}

/// Whether each fragment of a blob can be read whole where an index says it is.
async fn every_fragment(drives: &CoreDrives<SimRt>, op: OpId, blob: &wire::Blob) -> Result<(), String> {
    let coding = Coding::from_wire(blob.coding.as_ref()).map_err(|error| error.to_string())?;
    let layout = Layout::new(coding, blob.size);
    let held = drives.find(op).await.map_err(|error| error.to_string())?;
    for index in 0..u8::try_from(coding.fragments()).expect("few") {
        for row in (0..layout.rows().unwrap_or(0)).filter(|row| layout.stored_len(*row, index) > 0) {
            let mut found = Err(DriveError::NotFound);
            for (backend, held) in held.iter().filter(|(_, held)| held.fragment.index == index) {
                found = drives.read_here(*backend, held.fragment, row).await;
                if found.is_ok() {
                    break;
                }
            }
            // A drive that errs now says nothing of what is on it.
            if let Err(error @ (DriveError::NotFound | DriveError::Rotten(_))) = found {
                return Err(format!("row {row} of fragment {index} is not there: {error}"));
            }
        }
    }
    Ok(())
}
