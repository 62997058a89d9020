-- Where fragments live and which nodes are with us.

CREATE TABLE node (
    node_id    uuid PRIMARY KEY,
    name       text NOT NULL,
    region     text NOT NULL,
    build      text NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen  timestamptz NOT NULL DEFAULT clock_timestamp(),
    oldest_op  uuid,                       -- oldest op id it may still commit; NULL: none open
    open_ops   bigint NOT NULL DEFAULT 0,
    revoked_at timestamptz
);

-- Sessions on record: a new leader knows from them whose leases it has to outwait.
CREATE TABLE session (
    session_id uuid PRIMARY KEY,
    node_id    uuid NOT NULL REFERENCES node (node_id),
    shard      integer NOT NULL,
    epoch      bigint NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz
);
CREATE INDEX session_open ON session (node_id) WHERE ended_at IS NULL;

-- Ids are given by the leader (highest + 1), stable per drive id, never used again.
CREATE TABLE backend (
    id             integer PRIMARY KEY,
    kind           text NOT NULL,
    drive_id       uuid UNIQUE,
    node_id        uuid REFERENCES node (node_id),
    label          text NOT NULL,
    state          text NOT NULL,
    region         text NOT NULL DEFAULT '',
    country        text NOT NULL DEFAULT '',
    provider       text NOT NULL DEFAULT '',
    capacity_bytes bigint NOT NULL DEFAULT 0,
    free_bytes     bigint NOT NULL DEFAULT 0,
    revision       bigint NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Dictionary of ordered backends, so that draining a drive rewrites one row here and not one per object.
CREATE TABLE placement (
    id       integer PRIMARY KEY,
    backends integer[] NOT NULL UNIQUE
);
