//! What a core does about other nodes by itself: asks which of their drives can be written, and keeps what is read from being
//! deleted there. Each round repeats harmlessly.

use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use futures_util::future::join_all;
use holdfast_common::id::{BackendId, OpId};

use super::super::PeerError;
use super::routes::Other;
use super::{Fleet, Others};
use crate::drives::Drives;
use crate::limits::{PEER_LOOK_EVERY, PEER_NEWS_EVERY, PEER_PIN_RENEW, PEER_PINS_MAX, PEER_STATUS_EVERY};
use crate::link::Link;
use crate::rt::Rt;

impl<D: Drives, L: Link, R: Rt> Fleet<D, L, R> {
    /// Starts the rounds, which end with the fleet. One core of a node, `asks`, does what one is enough for: asks for the drives
    /// of others, and has them keep what any core reads for long.
    pub fn start(&self, asks: bool) {
        let Some(others) = &self.others else { return };
        R::spawn(keep_pins(Rc::downgrade(others), asks));
        if asks {
            R::spawn(keep_reach(Rc::downgrade(others)));
        }
    }

    /// Asks every other node once which of its drives take new fragments.
    pub async fn refresh(&self) {
        if let Some(others) = &self.others {
            others.refresh().await;
        }
    }

    /// Asks once for more time for what this core reads from others, and for what any core reads for long.
    pub async fn renew_pins(&self) {
        if let Some(others) = &self.others {
            others.spread_pins();
            others.renew_pins().await;
        }
    }

    /// Ends all connections of this core to other nodes.
    pub fn close(&self) {
        let Some(others) = &self.others else { return };
        for node in others.nodes.borrow().values() {
            node.close();
        }
    }
}

/// Asks every node from time to time, and as soon as there is news of one.
async fn keep_reach<L: Link, R: Rt>(others: Weak<Others<L, R>>) {
    while let Some(now) = others.upgrade() {
        let news = now.news();
        now.refresh().await;
        // What is left alone after a failure costs nothing.
        let next = R::now() + if now.are_all_reached() { PEER_STATUS_EVERY } else { PEER_LOOK_EVERY };
        drop(now);
        while R::now() < next && others.upgrade().is_some_and(|others| others.news() == news) {
            R::sleep(PEER_NEWS_EVERY).await;
        }
    }
}

async fn keep_pins<L: Link, R: Rt>(others: Weak<Others<L, R>>, of_all_cores: bool) {
    loop {
        R::sleep(PEER_PIN_RENEW).await;
        let Some(others) = others.upgrade() else { return };
        if of_all_cores {
            others.spread_pins();
        }
        others.renew_pins().await;
    }
}

impl<L: Link, R: Rt> Others<L, R> {
    async fn refresh(&self) {
        let others = self.all();
        self.peers.reach.keep(|node| others.iter().any(|other| *other.name == *node));
        // One that takes its time to answer holds up no word of the others.
        join_all(others.into_iter().map(|other| self.ask_writable(other))).await;
    }

    /// Asks a node which of its drives take new fragments.
    pub(super) async fn ask_writable(&self, other: Other) {
        match self.writable(&other.name).await {
            Ok(backends) => {
                let its = backends.into_iter().map(BackendId);
                let its = its.filter(|backend| other.backends.contains(backend)).collect();
                self.peers.reach.set(&other.name, its);
            }
            Err(_) => self.peers.reach.lost(&other.name),
        }
    }

    /// Changes with every word of the authority about a node.
    fn news(&self) -> u64 {
        self.seen.view().heard.values().sum()
    }

    /// A blob is being read from a node.
    pub(super) fn reads(&self, node: &Arc<str>, blob: OpId) {
        let mut reading = self.reading.borrow_mut();
        if reading.len() < PEER_PINS_MAX && self.seen.state.pins.is_read_here(blob) {
            reading.entry((Arc::clone(node), blob)).or_insert(false);
        }
    }

    /// What is read for long, on whatever core, is to be kept by every node that it was put on: also parts of an object that
    /// its reader has not come to.
    fn spread_pins(&self) {
        let (view, lasting) = (self.seen.view(), self.seen.state.pins.lasting(PEER_PINS_MAX));
        let placed = lasting.iter().filter_map(|(blob, id)| Some((*blob, view.placements.get(id)?)));
        for (blob, homes) in placed {
            for node in homes.iter().filter_map(|home| self.owner(BackendId(*home))) {
                self.reads(&node, blob);
            }
        }
    }

    /// Asks for more time where a reader of this node still reads, and lets go of the others; a node that is away holds
    /// nobody up but itself.
    async fn renew_pins(&self) {
        let mut reading: HashMap<Arc<str>, Vec<(OpId, bool)>> = HashMap::new();
        for ((node, blob), asked) in self.reading.borrow().iter() {
            reading.entry(Arc::clone(node)).or_default().push((*blob, *asked));
        }
        join_all(reading.into_iter().map(|(node, blobs)| self.renew_on(node, blobs))).await;
    }

    async fn renew_on(&self, node: Arc<str>, blobs: Vec<(OpId, bool)>) {
        let mut away = false;
        for (blob, asked) in blobs {
            let name = (Arc::clone(&node), blob);
            let is_read = self.seen.state.pins.is_read_here(blob);
            if is_read {
                self.reading.borrow_mut().insert(name, true);
            } else {
                self.reading.borrow_mut().remove(&name);
            }
            // One that was short runs out by itself.
            if away || (!is_read && !asked) {
                continue;
            }
            let kept = if is_read { self.pin(&node, blob).await } else { self.unpin(&node, blob).await };
            if let Err(error) = kept {
                away = matches!(error, PeerError::Away(_) | PeerError::Late);
                tracing::debug!(%node, %blob, %error, "a pin on another node was not renewed");
            }
        }
    }
}
