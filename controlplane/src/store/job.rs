//! `job`: background work, made in the transaction that made it necessary.

/// `$1` ids, `$2` subjects (blobs), `$3` encoded blobs, `$4` unix milliseconds.
pub const INSERT_REPAIR: &str = "INSERT INTO job (job_id, kind, subject, payload, created_ms)
     SELECT i.job_id, 'repair', i.subject, i.payload, $4
     FROM UNNEST($1::uuid[], $2::uuid[], $3::bytea[]) AS i(job_id, subject, payload)
     ON CONFLICT (kind, subject) DO NOTHING";
