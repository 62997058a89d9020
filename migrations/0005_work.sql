-- Background work: what is deleted and repaired by whom and when, and how far op ids are settled.

-- Due once `not_before` has passed: at first the end of `delete_delay`, later that of a lease or of a pause.
-- `pages`: those of a long manifest, which the control plane drops itself; all others are deleted by nodes.
-- `placement_id`: the blob's, 0 for pages; NULL in rows of before this migration, until upkeep has read their blobs.
ALTER TABLE freed
    ADD COLUMN pages        boolean NOT NULL DEFAULT false,
    ADD COLUMN placement_id integer,
    ADD COLUMN not_before   timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN leased_to    uuid,
    ADD COLUMN attempts     integer NOT NULL DEFAULT 0,
    ADD COLUMN error        text;
CREATE INDEX freed_due ON freed (not_before) WHERE NOT pages;
CREATE INDEX freed_pages ON freed (not_before) WHERE pages;
CREATE INDEX freed_unplaced ON freed (op_id) WHERE placement_id IS NULL;

-- A repair. `missing`: bit i is fragment i, not proven; `missing_leased`: what of it the lease was given for, so that
-- findings of meanwhile survive its report. `slack`: fragments the blob can still lose; the endangered go first.
-- `placement_id` as above; 0: only `found_by`, the node that reported it, knows where the fragments are.
ALTER TABLE job
    ADD COLUMN missing        bigint NOT NULL DEFAULT 0,
    ADD COLUMN missing_leased bigint NOT NULL DEFAULT 0,
    ADD COLUMN slack          smallint NOT NULL DEFAULT 0,
    ADD COLUMN placement_id   integer,
    ADD COLUMN found_by       uuid;
DROP INDEX job_waiting;
CREATE INDEX job_due ON job (kind, slack, not_before) WHERE state IN (0, 1);
CREATE INDEX job_failed ON job (kind, placement_id) WHERE state = 3;
CREATE INDEX job_unplaced ON job (job_id) WHERE placement_id IS NULL;

-- Op ids of a node below it have all been asked about; the node makes none at or below it again.
ALTER TABLE node ADD COLUMN settled_to uuid;

-- Op ids below it may have been trimmed from the changelog: that one has no row there says nothing.
ALTER TABLE authority ADD COLUMN trimmed_before uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
