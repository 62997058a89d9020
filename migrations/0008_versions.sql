-- Older versions and delete markers are listed by key, of a key the newest first, and named by their id. That is one index
-- for walking and one for naming; until now nothing wrote here.
CREATE UNIQUE INDEX version_newest_first ON version (bucket_id, key, seq DESC);
ALTER TABLE version
    DROP CONSTRAINT version_pkey,
    ADD CONSTRAINT version_pkey PRIMARY KEY USING INDEX version_by_id;
ALTER TABLE version SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
