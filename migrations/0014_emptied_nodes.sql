-- Nodes that were to be emptied once: what they hold may have moved to other nodes since, although rows name their drives.
ALTER TABLE node ADD COLUMN scattered boolean NOT NULL DEFAULT false;
UPDATE node SET scattered = true WHERE state = 'draining';
