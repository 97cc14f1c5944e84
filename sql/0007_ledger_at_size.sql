-- The ledger at a million contracts a night and a thousand nights. Instant whatever the size of the ledger, but for one
-- small index: no table is scanned or rewritten.

-- What a plan's rows hang on was checked for every row, a third of what writing the ledger cost, and deleting an instance
-- compared each of its chunks with each of its amounts. What writes these rows holds the chunk's row locked, so the check
-- found nothing; what deletes an instance now deletes its own row, its runs and their reports, and nobody sees it any
-- more. The rows left without their instance are swept in bounded steps (src/jobs/forget.ts), along the primary keys.
ALTER TABLE nightfill.chunk DROP CONSTRAINT chunk_instance_fkey;
ALTER TABLE nightfill.contract DROP CONSTRAINT contract_instance_chunk_fkey;
ALTER TABLE nightfill.chunk_attempt DROP CONSTRAINT chunk_attempt_instance_chunk_fkey;
ALTER TABLE nightfill.chunk_attempt DROP CONSTRAINT chunk_attempt_run_fkey;
ALTER TABLE nightfill.chunk_amount DROP CONSTRAINT chunk_amount_instance_chunk_fkey;
ALTER TABLE nightfill.failure DROP CONSTRAINT failure_instance_chunk_fkey;
ALTER TABLE nightfill.stale DROP CONSTRAINT stale_instance_chunk_fkey;
ALTER TABLE nightfill.contract_amount DROP CONSTRAINT contract_amount_instance_chunk_fkey;
ALTER TABLE nightfill.staged DROP CONSTRAINT staged_instance_chunk_fkey;

-- One row per chunk and attempt, so it costs a load nothing; the history asks for a run's attempts.
CREATE INDEX chunk_attempt_run ON nightfill.chunk_attempt (run);
-- The latest runs, however many there were.
CREATE INDEX run_started ON nightfill.run (started_at, id);

-- Starts that were refused (exit code 2) before there was an instance to be a run of: no night was due for nothing.
CREATE TABLE nightfill.refused_start (
  id            uuid PRIMARY KEY,            -- UUIDv7: sorts by start
  command       text NOT NULL CHECK (command IN ('run', 'rerun')),
  job           text NOT NULL,
  business_date date,                        -- NULL when the job file does not tell it
  trigger       text NOT NULL CHECK (trigger IN ('manual', 'cron', 'schedule', 'worker')),
  refused_at    timestamptz NOT NULL DEFAULT now(),
  exit_code     integer NOT NULL,
  code          text NOT NULL,
  message       text NOT NULL,               -- as it was printed; holds no secret
  job_file      text NOT NULL,               -- absolute path
  host          text NOT NULL,
  process_id    integer NOT NULL,
  version       text NOT NULL
);
CREATE INDEX refused_start_refused ON nightfill.refused_start (refused_at, id);
