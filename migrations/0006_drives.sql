-- What an administrator has decided about a drive stands beside what its node says of it, so that no report undoes it.
-- `intent`: '' none, 'draining', 'drained', 'replaced'. It is what nodes are told while there is one.
ALTER TABLE backend
    ADD COLUMN intent    text NOT NULL DEFAULT '',
    ADD COLUMN intent_at timestamptz NOT NULL DEFAULT clock_timestamp();
UPDATE backend SET intent = 'draining', state = 'active' WHERE state = 'draining';
