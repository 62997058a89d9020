-- Control planes that may lead on this database, by the name they lead under. `node_heard_at`: when a node last asked here
-- for the leader; one that no node reaches any more reads it, and lets the other try.
CREATE TABLE candidate (
    holder        text PRIMARY KEY,
    admin_url     text NOT NULL DEFAULT '',
    seen_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    node_heard_at timestamptz
);

-- A node remembered commits that this database lacks. Set until an administrator says that it is known
-- (`holdfast admin recover`): nothing is deleted meanwhile. What is remembered of `history_accepted_epoch` and earlier ones
-- counts no more after that, nor do caches of then.
ALTER TABLE cluster
    ADD COLUMN history_lost_at        timestamptz,
    ADD COLUMN history_accepted_epoch bigint NOT NULL DEFAULT 0;
