-- How long nodes may go on believing keys, policies and buckets when they are cut off.

-- Until when access leases may run that any leader has granted so far beyond its term; NULL: never any. A leader writes it when
-- it takes and prolongs its term, before it grants them.
ALTER TABLE authority
    ADD COLUMN access_until timestamptz;

-- The same as it was when the node was revoked: it got no more after that.
ALTER TABLE node
    ADD COLUMN access_until timestamptz;

-- For how long a node that is cut off shows what it knew of this bucket's objects, milliseconds; 0: not at all.
ALTER TABLE bucket
    ADD COLUMN stale_reads_ms bigint NOT NULL DEFAULT 0 CHECK (stale_reads_ms >= 0);
