-- Older versions and delete markers are listed by key, of a key the newest first, and named by their id. That is one index
-- for walking and one for naming; until now nothing wrote here. The one for naming is made last: where two indexes look
-- equally good, as they do while the table is empty, PostgreSQL takes the younger one, and by the other a version would be
-- looked for among all of its key.
ALTER TABLE version DROP CONSTRAINT version_pkey;
DROP INDEX version_by_id;
CREATE UNIQUE INDEX version_newest_first ON version (bucket_id, key, seq DESC);
ALTER TABLE version ADD PRIMARY KEY (bucket_id, key, version_id);
ALTER TABLE version SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
