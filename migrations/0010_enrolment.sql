-- How nodes become nodes of this cluster, and what an administrator has decided about them.

-- The cluster's own authority. `key_sealed` is AES-256-GCM under the master key `key_version`, with `cluster/ca` as
-- associated data: whoever has the database alone can make no certificate.
CREATE TABLE cluster_ca (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    certificate bytea NOT NULL,
    key_sealed  bytea NOT NULL,
    key_nonce   bytea NOT NULL,
    key_version integer NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Invitations. Of a token's secret only SHA-256 is kept. `used_at` is written once, with the node that it made.
CREATE TABLE join_token (
    token_id    bytea PRIMARY KEY,
    secret_hash bytea NOT NULL,
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz,
    node_name   text NOT NULL DEFAULT '',
    node_id     uuid,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Nodes that this authority gave a certificate, before and after their first hello. `certificate_until`: end of the last one.
-- Revocation is monotone; it stands in `node` too, once the node is there.
CREATE TABLE enrolled_node (
    node_id           uuid PRIMARY KEY,
    name              text NOT NULL,
    certificate_until timestamptz NOT NULL,
    enrolled_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at        timestamptz
);
