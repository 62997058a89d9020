//! `blob`: how often shared bytes are referenced.

/// Counts further references: `$1` names, `$2` how many more. A name without a row had one.
pub const SHARE: &str = "INSERT INTO blob AS b (op_id, refs)
     SELECT i.op_id, i.more + 1 FROM UNNEST($1::uuid[], $2::bigint[]) AS i(op_id, more)
     ON CONFLICT (op_id) DO UPDATE SET refs = b.refs + excluded.refs - 1";

/// Takes references away, `$1` names, `$2` how many; returns the names that still have one.
pub const DROP: &str = "UPDATE blob b SET refs = b.refs - i.fewer
     FROM UNNEST($1::uuid[], $2::bigint[]) AS i(op_id, fewer)
     WHERE b.op_id = i.op_id RETURNING b.op_id, b.refs";

/// Forgets counters that reached nothing.
pub const FORGET: &str = "DELETE FROM blob WHERE op_id = ANY($1) AND refs <= 0";
