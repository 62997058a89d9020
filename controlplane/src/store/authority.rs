//! `authority` and `term`: leadership of the shard as a row, until when access leases of its leaders may run, and how far each
//! ended epoch came.

use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::Duration;

use uuid::Uuid;

use super::{Client, StoreError, Transaction, signed, unsigned};
use crate::app::sequence::{EPOCH_SHIFT, EPOCHS, epoch_of};
use crate::app::sessions::access::Owed;

/// Today's only shard; wire and schema carry it.
pub const SHARD: i32 = 0;

/// Holds the row of `$1` shard under `$2` epoch until the transaction ends. No row: another leader has taken over, and writes
/// of this epoch must not be committed.
pub const FENCE: &str = "SELECT 1 FROM authority WHERE shard = $1 AND epoch = $2 FOR SHARE";

/// [`FENCE`] as the main part of a statement that writes: it fails (22012, a division by zero) where there is no row, and
/// takes what the statement wrote along.
pub static FENCE_OR_FAIL: LazyLock<String> =
    LazyLock::new(|| format!("SELECT 1 / count(*) FROM ({FENCE}) AS fence"));

/// Who wants to lead, and how.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    pub holder: &'a str,
    pub term_ms: u64,
    /// Although the term on record has not run out.
    pub force: bool,
    /// Access leases granted within the term reach up to so far from now; 0: no further than the term.
    pub owed_ms: u64,
    /// The new epoch lies above this one too: somebody remembers it, and this database may not.
    pub above: u64,
}

/// Keeps the farthest moment that an access lease may reach; `$4` is how far those do that may be granted from now on,
/// milliseconds.
const REACH: &str =
    "access_until = CASE WHEN $4::float8 > 0 THEN greatest(access_until, clock_timestamp() + $4 * interval '1 millisecond')
         ELSE access_until END";

/// Takes leadership when the term on record has run out (or at once with `force`), under a later epoch, which is returned
/// together with what earlier leaders granted beyond their terms. All of it or nothing: an epoch that ended is never without
/// its last sequence.
pub async fn take(client: &mut Client, claim: Claim<'_>) -> Result<Option<(u64, Owed)>, StoreError> {
    let work = client.transaction().await?;
    // Waits for the commits under way, which hold the row.
    let row = work
        .query_opt(
            "SELECT epoch, trimmed_seq, extract(epoch FROM clock_timestamp())::bigint,
                 CASE WHEN access_until > clock_timestamp()
                     THEN extract(epoch FROM access_until - clock_timestamp())::float8 ELSE 0 END
             FROM authority
             WHERE shard = $1 AND (expires_at < clock_timestamp() OR $2) FOR UPDATE",
            &[&SHARD, &claim.force],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let (ended, trimmed_seq) = (unsigned(row.get(0)), row.get::<_, i64>(1));
    let epoch = ended.max(claim.above).saturating_add(1).max(epoch_of(unsigned(row.get(2))));
    if epoch >= EPOCHS {
        return Err(StoreError::Corrupt(format!("epoch {epoch} is beyond what sequences can carry")));
    }
    let left = Duration::try_from_secs_f64(row.get(3)).unwrap_or_default();
    let nodes = if left.is_zero() { HashSet::new() } else { may_believe(&work).await? };
    // From here on no commit of an earlier epoch can succeed, so its highest sequence is final. What was trimmed counts too:
    // after an idle week the changelog is empty, and no history was lost.
    work.execute(
        "INSERT INTO term (shard, epoch, last_seq)
         SELECT $1, $2, greatest($4, coalesce((SELECT seq FROM changelog WHERE seq < $3 ORDER BY seq DESC LIMIT 1), 0))
         ON CONFLICT (shard, epoch) DO UPDATE SET last_seq = greatest(term.last_seq, excluded.last_seq)",
        &[&SHARD, &signed(ended), &signed((ended + 1) << EPOCH_SHIFT), &trimmed_seq],
    )
    .await?;
    work.execute(
        &format!(
            "UPDATE authority SET epoch = $2, holder = $5, expires_at = clock_timestamp() + $3 * interval '1 millisecond',
                 {REACH}
             WHERE shard = $1"
        ),
        &[
            &SHARD,
            &signed(epoch),
            &(signed(claim.term_ms) as f64),
            &(signed(claim.owed_ms) as f64),
            &claim.holder,
        ],
    )
    .await?;
    work.commit().await?;
    Ok(Some((epoch, Owed { left, nodes })))
}

/// Nodes that may hold an access lease of a leader before: all that have ever said hello, but those that were revoked so long
/// ago that theirs has run out.
async fn may_believe(work: &Transaction<'_>) -> Result<HashSet<Uuid>, StoreError> {
    let text = "SELECT node_id FROM node WHERE revoked_at IS NULL OR access_until > clock_timestamp()";
    Ok(work.query(text, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// Holds the epoch for the rest of a transaction, as commits do: no other leader can take over before its end. Returns
/// `trimmed_before` (op ids below it may have been trimmed from the changelog); `None`: another leads.
pub async fn fence(work: &Transaction<'_>, epoch: u64) -> Result<Option<Uuid>, StoreError> {
    let statement = work
        .prepare_cached("SELECT trimmed_before FROM authority WHERE shard = $1 AND epoch = $2 FOR SHARE")
        .await?;
    let row = work.query_opt(&statement, &[&SHARD, &signed(epoch)]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// Prolongs the term; false when another took over. `owed_ms` as in [`Claim`].
pub async fn renew(client: &Client, epoch: u64, term_ms: u64, owed_ms: u64) -> Result<bool, StoreError> {
    let changed = client
        .execute(
            &format!(
                "UPDATE authority SET expires_at = clock_timestamp() + $3 * interval '1 millisecond', {REACH}
                 WHERE shard = $1 AND epoch = $2"
            ),
            &[&SHARD, &signed(epoch), &(signed(term_ms) as f64), &(signed(owed_ms) as f64)],
        )
        .await?;
    Ok(changed == 1)
}

/// Gives leadership back: it may be taken as soon as the last lease has run out.
pub async fn release(client: &Client, epoch: u64, leases_ms: u64) -> Result<(), StoreError> {
    client
        .execute(
            "UPDATE authority SET expires_at = least(expires_at, clock_timestamp() + $3 * interval '1 millisecond')
             WHERE shard = $1 AND epoch = $2",
            &[&SHARD, &signed(epoch), &(signed(leases_ms) as f64)],
        )
        .await?;
    Ok(())
}

/// Who leads, by the row.
pub async fn holder(client: &Client) -> Result<(u64, String), StoreError> {
    let row = client.query_one("SELECT epoch, holder FROM authority WHERE shard = $1", &[&SHARD]).await?;
    Ok((unsigned(row.get(0)), row.get(1)))
}

/// Whether this database has the commit `seq` of an epoch that has ended. One that it never saw end it has nothing of.
pub async fn has(client: &Client, seq: u64) -> Result<bool, StoreError> {
    let epoch = i64::try_from(seq >> EPOCH_SHIFT).unwrap_or(i64::MAX);
    let row = client
        .query_opt("SELECT last_seq FROM term WHERE shard = $1 AND epoch = $2", &[&SHARD, &epoch])
        .await?;
    Ok(row.is_some_and(|row| unsigned(row.get(0)) >= seq))
}

/// Whether this epoch is still the one on record.
pub async fn stands(client: &Client, epoch: u64) -> Result<bool, StoreError> {
    Ok(holder(client).await?.0 == epoch)
}

/// Holds the row until the transaction ends: nobody can begin to lead. Returns who leads now.
pub async fn hold(work: &Transaction<'_>) -> Result<Option<String>, StoreError> {
    let text = "SELECT holder, expires_at > clock_timestamp() FROM authority WHERE shard = $1 FOR UPDATE";
    let row = work.query_one(text, &[&SHARD]).await?;
    Ok(row.get::<_, bool>(1).then(|| row.get(0)))
}
