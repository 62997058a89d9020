-- Rows of a lost history come back from the fragments of their objects (`holdfast admin recover`).

-- What the keys of recovery manifests are made from: 32 random bytes, made once, sealed like the secrets of access keys.
ALTER TABLE cluster
    ADD COLUMN manifest_root_sealed      bytea,
    ADD COLUMN manifest_root_nonce       bytea,
    ADD COLUMN manifest_root_key_version integer;

-- A blob that nodes hold and this database has no row of. `manifest` is the opened RecoveryManifest.
-- `outcome`: 0 proposed, 1 recovered, 2 skipped, 3 refused; of the last two `reason` is a sentence.
CREATE TABLE recovery_proposal (
    op_id       uuid PRIMARY KEY,
    manifest    bytea NOT NULL,
    outcome     smallint NOT NULL DEFAULT 0,
    reason      text NOT NULL DEFAULT '',
    proposed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Its fragments, as far as nodes have said; also of blobs whose manifest no node has read yet.
CREATE TABLE recovery_fragment (
    op_id      uuid NOT NULL,
    index      smallint NOT NULL,
    backend_id integer NOT NULL,
    whole      boolean NOT NULL,
    PRIMARY KEY (op_id, index)
);

-- Nodes that have proposed everything their drives hold, since history was lost.
CREATE TABLE recovery_walk (
    node_id     uuid PRIMARY KEY,
    finished_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
