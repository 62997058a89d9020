//! The database as one control plane reaches it: late, and sometimes without an answer, whether it was carried out or not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_controlplane::app::truth::{Asked, Configuration, Context, Failure, Taken, Truth};
use holdfast_controlplane::plan::decide::Facts;
use holdfast_controlplane::plan::writes::Writes;
use holdfast_controlplane::store::StoreError;
use holdfast_controlplane::store::authority::Claim;
use holdfast_controlplane::store::changelog::Changed;
use holdfast_controlplane::store::head::Line;
use holdfast_controlplane::store::node::{Entered, NodeRow};
use holdfast_controlplane::store::version::VersionRow;
use holdfast_dataplane::link::outside::Outside as _;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::database::Database;
use super::machine::Machine;
use super::world::{DATABASE, Place, TERMS, WRITES, World};

/// How long an answer is waited for.
const PATIENCE_MS: u64 = 5_000;
/// Of so many statements one is lost before it is carried out, and one after.
const LOST_OF: u64 = 80;

pub(super) struct Reached(pub(super) Arc<Machine>);

const GONE: StoreError = StoreError::Gone("the database did not answer");

impl Reached {
    async fn ask<R: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Database, u64) -> R + Send + 'static,
    ) -> Result<R, StoreError> {
        self.ask_by(DATABASE, ask).await
    }

    /// `way`: [`DATABASE`], or a part of it.
    async fn ask_by<R: Send + 'static>(
        &self,
        way: Place,
        ask: impl FnOnce(&mut Database, u64) -> R + Send + 'static,
    ) -> Result<R, StoreError> {
        let (world, place) = (&self.0.world, self.0.place);
        let (reply, answer) = oneshot::channel();
        let there_ms = world.delay_ms() + world.slow_ms(place, way);
        let back_ms = world.delay_ms();
        let fate = world.chance(|rng| rng.below(LOST_OF));
        // It is under way and happens even if this process is gone by then.
        world.after(there_ms, move |world| {
            if world.is_cut(place, DATABASE) || world.is_cut(place, way) {
                return unanswered(world, reply);
            }
            if fate == 0 {
                return;
            }
            let result = world.database(ask);
            if fate != 1 {
                let back_ms = back_ms + world.slow_ms(DATABASE, place);
                world.after(back_ms, move |world| {
                    if world.is_cut(DATABASE, place) {
                        return unanswered(world, reply);
                    }
                    let _ = reply.send(result);
                });
            }
        });
        match tokio::time::timeout(Duration::from_millis(PATIENCE_MS), answer).await {
            Ok(Ok(result)) => Ok(result),
            _ => Err(GONE),
        }
    }
}

/// Unlike a connection that breaks, a way that is cut says nothing: who asked runs out of patience.
fn unanswered<R: Send + 'static>(world: &World, reply: oneshot::Sender<R>) {
    world.after(PATIENCE_MS, move |_| drop(reply));
}

#[tonic::async_trait]
impl Truth for Reached {
    fn now_ms(&self) -> u64 {
        self.0.unix_ms()
    }

    fn boottime_ms(&self) -> u64 {
        self.0.boottime_ms()
    }

    fn fresh_id(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.0.random(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    fn keeps_drives(&self) -> bool {
        false
    }

    async fn take(&self, claim: Claim<'_>, remembered: u64) -> Result<Option<Taken>, StoreError> {
        let holder = claim.holder.to_owned();
        let Claim { term_ms, force, owed_ms, above, .. } = claim;
        let ask = move |database: &mut Database, now_ms| {
            database.take(now_ms, Claim { holder: &holder, term_ms, force, owed_ms, above }, remembered)
        };
        self.ask(ask).await
    }

    async fn has_lagging_standby(&self) -> bool {
        false
    }

    /// Access leases end with the term here: nothing is owed beyond it.
    async fn renew(&self, epoch: u64, term_ms: u64, _: u64) -> Result<bool, StoreError> {
        self.ask_by(TERMS, move |database, now_ms| database.renew(now_ms, epoch, term_ms)).await
    }

    async fn release(&self, epoch: u64, leases_ms: u64) -> Result<(), StoreError> {
        self.ask(move |database, now_ms| database.release(now_ms, epoch, leases_ms)).await
    }

    async fn holder(&self) -> Result<(u64, String), StoreError> {
        self.ask(|database, _| database.holder()).await
    }

    async fn node_heard(&self, holder: &str) -> Result<(), StoreError> {
        let holder = holder.to_owned();
        self.ask(move |database, now_ms| database.node_heard(now_ms, holder)).await
    }

    async fn node_heard_elsewhere(&self, holder: &str, ms: u64) -> Result<bool, StoreError> {
        let holder = holder.to_owned();
        self.ask(move |database, now_ms| database.node_heard_elsewhere(now_ms, &holder, ms)).await
    }

    async fn has(&self, seq: u64) -> Result<bool, StoreError> {
        self.ask(move |database, _| database.has(seq)).await
    }

    async fn lose_history(&self) -> Result<(), StoreError> {
        self.ask(|database, _| database.lose_history()).await
    }

    async fn is_revoked(&self, _: Uuid) -> Result<bool, StoreError> {
        self.ask(|_, _| false).await
    }

    async fn enter(
        &self,
        node: &NodeRow,
        peer_addr: &str,
        _: Uuid,
        _: u64,
    ) -> Result<Option<Entered>, StoreError> {
        let (node, addr) = (node.clone(), peer_addr.to_owned());
        self.ask(move |database, _| Some(database.enter(&node, addr))).await
    }

    async fn leave(&self, _: Uuid) -> Result<(), StoreError> {
        self.ask(|_, _| ()).await
    }

    async fn open_ops(&self, _: Uuid, _: Option<Uuid>, _: u64) -> Result<(), StoreError> {
        Ok(())
    }

    async fn configuration(&self) -> Result<Configuration, StoreError> {
        self.ask(|database, _| database.configuration()).await
    }

    async fn changed_since(&self, since: u64, _: i64) -> Result<Option<Vec<Changed>>, StoreError> {
        self.ask(move |database, _| Some(database.changed_since(since))).await
    }

    async fn known_placements(&self, asked: &BTreeSet<u32>) -> Result<Vec<u32>, StoreError> {
        Ok(asked.iter().copied().collect())
    }

    async fn facts(&self, items: &[Asked<'_>], again: bool) -> Result<Facts, Failure> {
        let items: Vec<_> = items.iter().map(|(op_id, mutation)| (*op_id, (*mutation).clone())).collect();
        let ask = move |database: &mut Database, _| {
            let items: Vec<Asked<'_>> = items.iter().map(|(op_id, mutation)| (*op_id, mutation)).collect();
            database.facts(&items, again)
        };
        Ok(self.ask(ask).await?)
    }

    async fn commit(&self, writes: Writes, context: Context) -> Result<(), Failure> {
        self.ask_by(WRITES, move |database, _| database.commit(writes, context)).await?
    }

    async fn current(&self, keys: &[(u64, Bytes)]) -> Result<Vec<VersionRow>, StoreError> {
        let keys = keys.to_vec();
        self.ask(move |database, _| database.current(&keys)).await
    }

    async fn named(&self, _: &[(u64, Bytes, String)]) -> Result<Vec<VersionRow>, StoreError> {
        Ok(Vec::new())
    }

    async fn range(&self, _: u64, from: &[u8], until: &[u8], rows: i64) -> Result<Vec<Line>, StoreError> {
        let (from, until) = (Bytes::copy_from_slice(from), Bytes::copy_from_slice(until));
        let rows = usize::try_from(rows).unwrap_or(0);
        self.ask(move |database, _| database.range(&from, &until, rows)).await
    }
}
