//! What names would be lost: changes of directories since they were synced, in order, each with how it is undone.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, renameat, unlinkat};

use crate::draw::Draw;

/// A name in a directory that is held open, so that it is found wherever it has moved.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) handle: Arc<OwnedFd>,
    pub(crate) directory: u64,
    pub(crate) name: OsString,
}

/// What changes have in common when one depends on another.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Token {
    /// A file or a directory is there.
    Inode(u64),
    Name(u64, OsString),
    /// Anything in a directory: who removes it depends on that.
    Inside(u64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Create,
    Link,
    Remove,
    RemoveDirectory,
    Rename,
}

/// One step back.
pub(crate) enum Undo {
    Unlink(Place, AtFlags),
    Move { from: Place, to: Place },
}

/// One change.
pub(crate) struct Change {
    kind: Kind,
    subject: u64,
    parents: Vec<u64>,
    uses: Vec<Token>,
    defines: Vec<Token>,
    undo: Vec<Undo>,
    /// What it removed, kept until the removal is durable.
    removed: Option<(Place, AtFlags)>,
}

impl Change {
    pub(crate) fn new(
        kind: Kind,
        subject: u64,
        places: &[&Place],
        undo: Vec<Undo>,
        removed: Option<(Place, AtFlags)>,
    ) -> Self {
        let names = places.iter().map(|place| Token::Name(place.directory, place.name.clone()));
        let named: Vec<_> = names.chain([Token::Inode(subject)]).collect();
        let parents: Vec<_> = places.iter().map(|place| place.directory).collect();
        let mut uses: Vec<_> =
            named.iter().cloned().chain(parents.iter().map(|d| Token::Inode(*d))).collect();
        if kind == Kind::RemoveDirectory {
            uses.push(Token::Inside(subject));
        }
        let defines = named.into_iter().chain(parents.iter().map(|d| Token::Inside(*d))).collect();
        Self { kind, subject, parents, uses, defines, undo, removed }
    }
}

/// Changes that are not durable, oldest first.
#[derive(Default)]
pub(crate) struct Changes(Vec<Change>);

impl Changes {
    pub(crate) fn push(&mut self, change: Change) {
        self.0.push(change);
    }

    /// A sync of file or directory `inode`: its own creation, what happened in it, and all that these depend on.
    pub(crate) fn sync(&mut self, inode: u64) -> io::Result<()> {
        let mut needed: HashSet<Token> = HashSet::new();
        let mut kept = Vec::new();
        for change in std::mem::take(&mut self.0).into_iter().rev() {
            let own = change.subject == inode && matches!(change.kind, Kind::Create | Kind::Link);
            let wanted = own || change.parents.contains(&inode);
            if wanted || change.defines.iter().any(|token| needed.contains(token)) {
                needed.extend(change.uses);
                if let Some((place, flags)) = change.removed {
                    unlinkat(&*place.handle, &*place.name, flags)?;
                }
            } else {
                kept.push(change);
            }
        }
        kept.reverse();
        self.0 = kept;
        Ok(())
    }

    /// The power is cut. Returns how many changes are lost and how many were at risk.
    pub(crate) fn lose(&mut self, draw: &mut Draw, percent: u64) -> io::Result<(usize, usize)> {
        let at_risk = self.0.len();
        let mut blocked: HashSet<Token> = HashSet::new();
        let mut lost = Vec::new();
        for change in std::mem::take(&mut self.0) {
            if draw.chance(percent) && !change.uses.iter().any(|token| blocked.contains(token)) {
                if let Some((place, flags)) = change.removed {
                    unlinkat(&*place.handle, &*place.name, flags)?;
                }
            } else {
                blocked.extend(change.defines);
                lost.push(change.undo);
            }
        }
        let count = lost.len();
        for undo in lost.into_iter().rev().flatten() {
            match undo {
                Undo::Unlink(place, flags) => unlinkat(&*place.handle, &*place.name, flags)?,
                Undo::Move { from, to } => renameat(&*from.handle, &*from.name, &*to.handle, &*to.name)?,
            }
        }
        Ok((count, at_risk))
    }
}

impl Place {
    pub(crate) fn in_directory(handle: &Arc<OwnedFd>, directory: u64, name: &OsStr) -> Self {
        Self { handle: Arc::clone(handle), directory, name: name.to_owned() }
    }
}
