-- Nodes know each other: by a number that stands in every op id a node makes, and by the address of its fragments.

-- `number`: given at the first hello, for ever; never another's. `peer_addr`: '' is a node that keeps its fragments to itself.
-- `state`: what an administrator wants of it; whoever is revoked is that whatever stands here.
ALTER TABLE node
    ADD COLUMN number    integer,
    ADD COLUMN peer_addr text NOT NULL DEFAULT '',
    ADD COLUMN state     text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'draining'));
UPDATE node SET number = given.number
    FROM (SELECT node_id, row_number() OVER (ORDER BY first_seen, node_id) AS number FROM node) AS given
    WHERE given.node_id = node.node_id;
ALTER TABLE node
    ALTER COLUMN number SET NOT NULL,
    ADD CONSTRAINT node_number UNIQUE (number),
    ADD CONSTRAINT node_number_fits CHECK (number BETWEEN 1 AND 65535);
