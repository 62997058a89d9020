-- Who we are, who leads, who owns, who may sign.

-- One row. `restored_at` is set by whoever restores a dump, so that nodes are asked what they remember.
CREATE TABLE cluster (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    cluster_id  uuid NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    restored_at timestamptz
);

-- Leadership of a shard is this row: every commit reads `epoch` FOR SHARE, a takeover writes `epoch + 1`.
-- `trimmed_seq`: the changelog holds every commit after it.
CREATE TABLE authority (
    shard       integer PRIMARY KEY,
    epoch       bigint NOT NULL,
    holder      text NOT NULL,
    expires_at  timestamptz NOT NULL,
    trimmed_seq bigint NOT NULL DEFAULT 0
);
INSERT INTO authority (shard, epoch, holder, expires_at) VALUES (0, 0, '', '-infinity');

-- How far each ended epoch came: a node that remembers more has seen commits which this database lost.
CREATE TABLE term (
    shard    integer NOT NULL,
    epoch    bigint NOT NULL,
    last_seq bigint NOT NULL,
    PRIMARY KEY (shard, epoch)
);

CREATE TABLE tenant (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text NOT NULL UNIQUE,
    canonical_id text NOT NULL UNIQUE,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- `secret_sealed` is AES-256-GCM under the master key `key_version`, with the access key id as associated data.
-- `bucket_ids`: NULL is the whole tenant, an empty list nothing. Rows are never deleted: a revoked id stays taken.
CREATE TABLE access_key (
    access_key_id     text PRIMARY KEY,
    name              text NOT NULL,
    tenant_id         bigint NOT NULL REFERENCES tenant (id),
    secret_sealed     bytea NOT NULL,
    secret_nonce      bytea NOT NULL,
    key_version       integer NOT NULL,
    bucket_ids        bigint[],
    permissions       integer[] NOT NULL,
    signed_not_before integer NOT NULL DEFAULT 0,
    revision          bigint NOT NULL DEFAULT 1,
    root              boolean NOT NULL DEFAULT false,
    created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at        timestamptz
);
CREATE INDEX access_key_tenant ON access_key (tenant_id);
