-- Buckets and what is in them. Keys are bytea: their order is bytewise, whatever the database's collation.
-- Ids come from the commit sequence, never from a database sequence.

CREATE TABLE bucket (
    id            bigint PRIMARY KEY,
    name          text NOT NULL UNIQUE,
    tenant_id     bigint NOT NULL REFERENCES tenant (id),
    shard         integer NOT NULL DEFAULT 0,
    created_ms    bigint NOT NULL,
    revision      bigint NOT NULL,
    region        text NOT NULL,
    versioning    integer NOT NULL DEFAULT 0,   -- 0 never, 1 enabled, 2 suspended
    class_id      integer NOT NULL DEFAULT 0,
    quota_bytes   bigint,
    configuration bytea NOT NULL DEFAULT ''
);
CREATE INDEX bucket_tenant ON bucket (tenant_id);

-- Live current objects only: what listings scan. No indexed column changes on overwrite and pages keep room, so an
-- overwrite stays in its page (HOT). Manifests and metadata beyond a row of 1 KiB move out of the way of scans.
CREATE TABLE head (
    bucket_id   bigint NOT NULL,
    key         bytea NOT NULL,
    seq         bigint NOT NULL,
    op_id       uuid NOT NULL,
    version_id  text NOT NULL DEFAULT '',
    size        bigint NOT NULL,
    modified_ms bigint NOT NULL,
    etag        text NOT NULL,
    tenant_id   bigint NOT NULL,
    manifest    bytea NOT NULL,
    meta        bytea NOT NULL,
    PRIMARY KEY (bucket_id, key)
) WITH (fillfactor = 85, toast_tuple_target = 1024, autovacuum_vacuum_scale_factor = 0.05,
        autovacuum_analyze_scale_factor = 0.02);

-- What is not current: older versions and delete markers.
CREATE TABLE version (
    bucket_id     bigint NOT NULL,
    key           bytea NOT NULL,
    seq           bigint NOT NULL,
    op_id         uuid NOT NULL,
    version_id    text NOT NULL,
    delete_marker boolean NOT NULL DEFAULT false,
    size          bigint NOT NULL,
    modified_ms   bigint NOT NULL,
    etag          text NOT NULL,
    tenant_id     bigint NOT NULL,
    manifest      bytea NOT NULL,
    meta          bytea NOT NULL,
    PRIMARY KEY (bucket_id, key, seq)
) WITH (toast_tuple_target = 1024);
CREATE UNIQUE INDEX version_by_id ON version (bucket_id, key, version_id);

-- References of what is shared (copies, parts that several objects use). A blob without a row has one reference.
-- Named by the blob's op id, or by the op id of a paged manifest, which is counted as one thing.
CREATE TABLE blob (
    op_id uuid PRIMARY KEY,
    refs  bigint NOT NULL
) WITH (fillfactor = 85);

-- `state`: 0 open, 1 completed; an aborted one is deleted. A completed one keeps its outcome for repeated completes.
CREATE TABLE upload (
    upload_id          uuid PRIMARY KEY,
    bucket_id          bigint NOT NULL,
    key                bytea NOT NULL,
    tenant_id          bigint NOT NULL,
    initiated_ms       bigint NOT NULL,
    state              smallint NOT NULL DEFAULT 0,
    checksum_algorithm integer NOT NULL,
    checksum_kind      integer NOT NULL,
    meta               bytea NOT NULL,
    outcome            bytea,
    closed_ms          bigint
);
CREATE INDEX upload_listing ON upload (bucket_id, key, upload_id) WHERE state = 0;
CREATE INDEX upload_closed ON upload (closed_ms) WHERE state <> 0;

CREATE TABLE part (
    upload_id uuid NOT NULL,
    number    integer NOT NULL,
    part      bytea NOT NULL,
    PRIMARY KEY (upload_id, number)
);

-- Parts of manifests too long to stand in their object's row.
CREATE TABLE manifest_page (
    pages_of uuid NOT NULL,
    page     integer NOT NULL,
    parts    bytea NOT NULL,
    PRIMARY KEY (pages_of, page)
);
