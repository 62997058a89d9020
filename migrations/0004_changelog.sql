-- What was done, once per op id: the answer to a retry, the replay of a node that was away, the arbiter of the reaper.
-- Partitioned by the day in the op id (UUIDv7), so that trimming drops tables. The default partition takes op ids of
-- clocks that are far off.
CREATE TABLE changelog (
    op_id     uuid NOT NULL,
    seq       bigint NOT NULL,
    epoch     bigint NOT NULL,
    bucket_id bigint NOT NULL,
    key       bytea NOT NULL,
    kind      smallint NOT NULL,
    outcome   bytea NOT NULL,
    PRIMARY KEY (op_id)
) PARTITION BY RANGE (op_id);
CREATE INDEX changelog_seq ON changelog (seq);
CREATE TABLE changelog_default PARTITION OF changelog DEFAULT;

-- Blobs whose last reference is gone: fragments may be deleted after `delete_delay` and the readers' pins.
CREATE TABLE freed (
    op_id    uuid PRIMARY KEY,
    seq      bigint NOT NULL,
    blob     bytea NOT NULL,
    freed_ms bigint NOT NULL
);
CREATE INDEX freed_age ON freed (freed_ms);

-- Background work with a lease; made in the transaction that made it necessary.
CREATE TABLE job (
    job_id       uuid PRIMARY KEY,
    kind         text NOT NULL,
    subject      uuid NOT NULL,
    payload      bytea NOT NULL,
    state        smallint NOT NULL DEFAULT 0,   -- 0 waiting, 1 leased, 2 done, 3 failed
    attempts     integer NOT NULL DEFAULT 0,
    leased_to    uuid,
    leased_until timestamptz,
    created_ms   bigint NOT NULL,
    not_before   timestamptz NOT NULL DEFAULT '-infinity',
    error        text,
    UNIQUE (kind, subject)
);
CREATE INDEX job_waiting ON job (not_before) WHERE state IN (0, 1);
