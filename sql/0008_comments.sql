-- Says of every table and column what it holds, for whoever reads the ledger with SQL: psql shows it with \d+, and
-- docs/reference/ledger.md is written from it. Comments alone: no table is read, rewritten or closed to readers and writers.

COMMENT ON TABLE nightfill.instance IS
  'Job + business date (+ purpose and generation): one plan, finished once, however many runs that takes.';
COMMENT ON COLUMN nightfill.instance.id IS 'UUIDv7.';
COMMENT ON COLUMN nightfill.instance.job IS 'Name of the job.';
COMMENT ON COLUMN nightfill.instance.business_date IS 'The day the work is for.';
COMMENT ON COLUMN nightfill.instance.generation IS 'Counts up from 1: `run --again` plans the same date anew.';
COMMENT ON COLUMN nightfill.instance.purpose IS
  'sample: of `--limit`, apart from the night. dry-run: its rows were taken back.';
COMMENT ON COLUMN nightfill.instance.status IS
  'planning: the listing is under way. planned: the whole plan is stored; again while a rerun works on a complete one. complete: closed.';
COMMENT ON COLUMN nightfill.instance.timezone IS 'Of the business date.';
COMMENT ON COLUMN nightfill.instance.target IS 'The table its rows are loaded into.';
COMMENT ON COLUMN nightfill.instance.target_key IS 'The load key: the columns of that table that identify a row.';
COMMENT ON COLUMN nightfill.instance.config_sha256 IS
  'SHA-256 of what the job file meant when the instance was planned.';
COMMENT ON COLUMN nightfill.instance.source_total IS 'The source''s own count; NULL when it gives none.';
COMMENT ON COLUMN nightfill.instance.listed IS 'Distinct contracts of the plan.';
COMMENT ON COLUMN nightfill.instance.duplicates IS 'Records listed again under the same key, taken once.';
COMMENT ON COLUMN nightfill.instance.created_at IS 'When planning began.';
COMMENT ON COLUMN nightfill.instance.completed_at IS 'When it was closed; NULL until then.';
COMMENT ON COLUMN nightfill.instance.knows_rows IS
  'False for instances begun before nightfill.target_row existed: of those nothing can be said about rows that contracts share.';
COMMENT ON COLUMN nightfill.instance.total_changed IS
  'The source''s own count was different on a later page, so the listing is not proven to be complete.';
COMMENT ON COLUMN nightfill.instance.gone_meanwhile IS
  'Contracts planned by a listing that was cut off, and not listed when it was begun again.';

COMMENT ON TABLE nightfill.run IS
  'One execution for an instance.';
COMMENT ON COLUMN nightfill.run.id IS 'UUIDv7: sorts by start.';
COMMENT ON COLUMN nightfill.run.instance IS 'The instance it works on.';
COMMENT ON COLUMN nightfill.run.mode IS
  'normal: the first run. continue: `run` on an unfinished date. rerun: the command.';
COMMENT ON COLUMN nightfill.run.trigger IS 'What started it, as `--trigger` says.';
COMMENT ON COLUMN nightfill.run.rerun_of IS 'The run that was named to `rerun`; otherwise NULL.';
COMMENT ON COLUMN nightfill.run.root_run IS 'The first run of the chain of runs that continue or rerun one another.';
COMMENT ON COLUMN nightfill.run.status IS 'crashed: its process died before it could say how it ended.';
COMMENT ON COLUMN nightfill.run.exit_code IS 'As the process ended; NULL while it runs and when it crashed.';
COMMENT ON COLUMN nightfill.run.reason IS 'Why it stopped or failed, as a sentence; otherwise NULL.';
COMMENT ON COLUMN nightfill.run.started_at IS 'When it began.';
COMMENT ON COLUMN nightfill.run.finished_at IS 'When it ended; NULL while it runs and when it crashed.';
COMMENT ON COLUMN nightfill.run.host IS 'Name of the machine.';
COMMENT ON COLUMN nightfill.run.process_id IS 'Process id on that machine.';
COMMENT ON COLUMN nightfill.run.version IS 'Version of Nightfill.';
COMMENT ON COLUMN nightfill.run.config_sha256 IS 'SHA-256 of what the job file meant.';
COMMENT ON COLUMN nightfill.run.job_file IS 'Absolute path of the job file, for `rerun`.';
COMMENT ON COLUMN nightfill.run.figures IS
  'What only the process knew: figures of its APIs, and how long its phases took. NULL until it ended.';

COMMENT ON TABLE nightfill.refused_start IS
  'A start that was refused (exit code 2) before there was an instance it could have been a run of. `runs` and `show` list it. Samples and dry runs leave none.';
COMMENT ON COLUMN nightfill.refused_start.id IS 'UUIDv7: sorts by start.';
COMMENT ON COLUMN nightfill.refused_start.command IS 'The command that was called.';
COMMENT ON COLUMN nightfill.refused_start.job IS 'Name of the job.';
COMMENT ON COLUMN nightfill.refused_start.business_date IS 'NULL when the job file does not tell it.';
COMMENT ON COLUMN nightfill.refused_start.trigger IS 'What started it, as `--trigger` says.';
COMMENT ON COLUMN nightfill.refused_start.refused_at IS 'When.';
COMMENT ON COLUMN nightfill.refused_start.exit_code IS 'As the process ended.';
COMMENT ON COLUMN nightfill.refused_start.code IS 'Stable code of the cause: see errors.md.';
COMMENT ON COLUMN nightfill.refused_start.message IS 'As it was printed; holds no secret.';
COMMENT ON COLUMN nightfill.refused_start.job_file IS 'Absolute path.';
COMMENT ON COLUMN nightfill.refused_start.host IS 'Name of the machine.';
COMMENT ON COLUMN nightfill.refused_start.process_id IS 'Process id on that machine.';
COMMENT ON COLUMN nightfill.refused_start.version IS 'Version of Nightfill.';

COMMENT ON TABLE nightfill.lease IS
  'One row per job that is running. A holder that lost its lease can commit nothing more, because every commit checks the token.';
COMMENT ON COLUMN nightfill.lease.job IS 'Name of the job.';
COMMENT ON COLUMN nightfill.lease.token IS 'Made anew each time the lease is taken.';
COMMENT ON COLUMN nightfill.lease.run IS 'The run that holds it.';
COMMENT ON COLUMN nightfill.lease.host IS 'Machine, boot and process namespace of the holder.';
COMMENT ON COLUMN nightfill.lease.process_id IS 'Process id of the holder.';
COMMENT ON COLUMN nightfill.lease.process_born IS
  'When that process was started: tells a reused process id from the holder.';
COMMENT ON COLUMN nightfill.lease.renewed_at IS 'When the holder was last known to be alive.';
COMMENT ON COLUMN nightfill.lease.expires_at IS 'From then on another run may take over.';

COMMENT ON TABLE nightfill.chunk IS
  'The unit of transaction, retry and rerun: up to `chunk.size` contracts of a plan.';
COMMENT ON COLUMN nightfill.chunk.instance IS 'The instance it belongs to.';
COMMENT ON COLUMN nightfill.chunk.number IS 'From 1.';
COMMENT ON COLUMN nightfill.chunk.status IS 'partial: some of its contracts failed.';
COMMENT ON COLUMN nightfill.chunk.lease IS 'Token of the lease: only its holder may commit the chunk.';
COMMENT ON COLUMN nightfill.chunk.contracts IS 'How many it has.';
COMMENT ON COLUMN nightfill.chunk.enriched IS 'Contracts loaded with a fresh answer for every lookup.';
COMMENT ON COLUMN nightfill.chunk.degraded IS 'Contracts loaded with a last known value.';
COMMENT ON COLUMN nightfill.chunk.failed IS 'Contracts not loaded.';
COMMENT ON COLUMN nightfill.chunk.inserted IS 'Rows that were new in the target.';
COMMENT ON COLUMN nightfill.chunk.updated IS 'Rows that changed.';
COMMENT ON COLUMN nightfill.chunk.unchanged IS 'Rows that were right already.';
COMMENT ON COLUMN nightfill.chunk.attempts IS 'Number of its attempts: transactions that recorded it.';
COMMENT ON COLUMN nightfill.chunk.duration_ms IS 'Milliseconds of fetching and loading, over all attempts.';
COMMENT ON COLUMN nightfill.chunk.digest IS
  'SHA-256 of its rows as they stood in the target, chained over attempts; NULL when none was loaded.';
COMMENT ON COLUMN nightfill.chunk.reason IS
  'Why the run that last could have did not start it, as a sentence; NULL once it has been worked on.';
COMMENT ON COLUMN nightfill.chunk.retry_after IS 'The earliest time it makes sense to try again; NULL: at once.';

COMMENT ON TABLE nightfill.contract IS
  'The plan, contract by contract: a rerun asks for these keys and never lists again.';
COMMENT ON COLUMN nightfill.contract.instance IS 'The instance it belongs to.';
COMMENT ON COLUMN nightfill.contract.key IS 'The contract key: names it in the listing.';
COMMENT ON COLUMN nightfill.contract.chunk IS 'Number of its chunk.';
COMMENT ON COLUMN nightfill.contract.position IS 'Its place in the chunk, from 1.';
COMMENT ON COLUMN nightfill.contract.listed IS
  'The fields of its record in the listing that the job uses; NULL when it uses none.';
COMMENT ON COLUMN nightfill.contract.problem IS 'Why its record in the listing cannot be worked on; NULL when it can.';

COMMENT ON TABLE nightfill.chunk_attempt IS
  'An attempt of a chunk: one transaction that recorded it, and what it loaded.';
COMMENT ON COLUMN nightfill.chunk_attempt.instance IS 'The instance of the chunk.';
COMMENT ON COLUMN nightfill.chunk_attempt.chunk IS 'Number of the chunk.';
COMMENT ON COLUMN nightfill.chunk_attempt.attempt IS 'From 1.';
COMMENT ON COLUMN nightfill.chunk_attempt.run IS 'The run that made it.';
COMMENT ON COLUMN nightfill.chunk_attempt.contracts IS 'Contracts worked on.';
COMMENT ON COLUMN nightfill.chunk_attempt.enriched IS 'Contracts loaded with a fresh answer for every lookup.';
COMMENT ON COLUMN nightfill.chunk_attempt.degraded IS 'Contracts loaded with a last known value.';
COMMENT ON COLUMN nightfill.chunk_attempt.failed IS 'Contracts not loaded.';
COMMENT ON COLUMN nightfill.chunk_attempt.inserted IS 'Rows that were new in the target.';
COMMENT ON COLUMN nightfill.chunk_attempt.updated IS 'Rows that changed.';
COMMENT ON COLUMN nightfill.chunk_attempt.unchanged IS 'Rows that were right already.';
COMMENT ON COLUMN nightfill.chunk_attempt.digest IS
  'SHA-256 of the rows it loaded, as they stood in the target; NULL when there were none.';
COMMENT ON COLUMN nightfill.chunk_attempt.enrich_ms IS 'Milliseconds of fetching.';
COMMENT ON COLUMN nightfill.chunk_attempt.load_ms IS 'Milliseconds of loading.';
COMMENT ON COLUMN nightfill.chunk_attempt.finished_at IS 'When it was committed.';

COMMENT ON TABLE nightfill.chunk_amount IS
  'Control totals of what an attempt of a chunk loaded, per column of a sum control and value it is split by.';
COMMENT ON COLUMN nightfill.chunk_amount.instance IS 'The instance of the chunk.';
COMMENT ON COLUMN nightfill.chunk_amount.chunk IS 'Number of the chunk.';
COMMENT ON COLUMN nightfill.chunk_amount.attempt IS 'Number of the attempt.';
COMMENT ON COLUMN nightfill.chunk_amount.column_name IS 'The summed column.';
COMMENT ON COLUMN nightfill.chunk_amount.currency IS
  'The value the sums are split by; NULL when they are not, or where it is NULL.';
COMMENT ON COLUMN nightfill.chunk_amount.contracts IS 'How many contracts the sums are of.';
COMMENT ON COLUMN nightfill.chunk_amount.sourced IS 'The sum of the digits in the answers.';
COMMENT ON COLUMN nightfill.chunk_amount.loaded IS 'The same sum, read back from the target after the load.';
COMMENT ON COLUMN nightfill.chunk_amount.altered IS
  'Contracts whose amount, or what splits it, is not in the target as it was sent, even where the sums agree.';

COMMENT ON TABLE nightfill.failure IS
  'Why a contract of the instance is not loaded; deleted once it is.';
COMMENT ON COLUMN nightfill.failure.instance IS 'The instance of the contract.';
COMMENT ON COLUMN nightfill.failure.key IS 'The contract key.';
COMMENT ON COLUMN nightfill.failure.chunk IS 'Number of its chunk.';
COMMENT ON COLUMN nightfill.failure.run IS 'The run in which it failed.';
COMMENT ON COLUMN nightfill.failure.stage IS 'Where it failed.';
COMMENT ON COLUMN nightfill.failure.api IS 'The API that was asked; NULL when none was.';
COMMENT ON COLUMN nightfill.failure.lookup IS 'The lookup that failed; NULL when none did.';
COMMENT ON COLUMN nightfill.failure.code IS 'Stable code of the cause: see errors.md.';
COMMENT ON COLUMN nightfill.failure.class IS
  'Who can mend it. transient: time. config: who runs the job. data: who keeps the record. system: who runs the machine or database.';
COMMENT ON COLUMN nightfill.failure.http_status IS 'NULL when there was no answer.';
COMMENT ON COLUMN nightfill.failure.message IS 'A sentence without secrets.';
COMMENT ON COLUMN nightfill.failure.attempts IS 'How often it was asked for in total.';
COMMENT ON COLUMN nightfill.failure.advice IS 'What to do about it.';
COMMENT ON COLUMN nightfill.failure.advice_after IS 'With retry-after: not earlier.';
COMMENT ON COLUMN nightfill.failure.failed_at IS 'When.';

COMMENT ON TABLE nightfill.stale IS
  'Contracts loaded with a last known value.';
COMMENT ON COLUMN nightfill.stale.instance IS 'The instance of the contract.';
COMMENT ON COLUMN nightfill.stale.key IS 'The contract key.';
COMMENT ON COLUMN nightfill.stale.lookup IS 'The lookup whose last known value was taken.';
COMMENT ON COLUMN nightfill.stale.chunk IS 'Number of its chunk.';
COMMENT ON COLUMN nightfill.stale.as_of IS 'When that value was fetched.';

COMMENT ON TABLE nightfill.contract_amount IS
  'What the sources said of each contract''s amount: its answers, else its record in the listing. Contracts not started have none yet.';
COMMENT ON COLUMN nightfill.contract_amount.instance IS 'The instance of the contract.';
COMMENT ON COLUMN nightfill.contract_amount.key IS 'The contract key.';
COMMENT ON COLUMN nightfill.contract_amount.column_name IS 'The summed column.';
COMMENT ON COLUMN nightfill.contract_amount.chunk IS 'Number of its chunk.';
COMMENT ON COLUMN nightfill.contract_amount.currency IS
  'The value the sums are split by; NULL when they are not, or where it is NULL.';
COMMENT ON COLUMN nightfill.contract_amount.amount IS
  'NULL: of a failed contract, that nobody said its amount; of a loaded one, that the amount is NULL.';

COMMENT ON TABLE nightfill.target_row IS
  'The row of the target in which each contract of an instance stands: two contracts never share one.';
COMMENT ON COLUMN nightfill.target_row.instance IS 'The instance of the contract.';
COMMENT ON COLUMN nightfill.target_row.key IS 'The contract key.';
COMMENT ON COLUMN nightfill.target_row.chunk IS 'Number of its chunk.';
COMMENT ON COLUMN nightfill.target_row.row_key IS 'Its load key as the target holds it, as a JSON array of texts.';
COMMENT ON COLUMN nightfill.target_row.row IS
  'First 16 bytes of the SHA-256 of row_key, because a key may be longer than an index entry.';

COMMENT ON TABLE nightfill.last_known IS
  'The last answer of each lookup with onFailure: last-known, per contract.';
COMMENT ON COLUMN nightfill.last_known.job IS 'Name of the job.';
COMMENT ON COLUMN nightfill.last_known.lookup IS 'The lookup.';
COMMENT ON COLUMN nightfill.last_known.key IS 'The contract key.';
COMMENT ON COLUMN nightfill.last_known.value IS 'The answer.';
COMMENT ON COLUMN nightfill.last_known.as_of IS 'When it was fetched.';

COMMENT ON TABLE nightfill.loaded_row IS
  'The row of the target that each contract was last loaded into, by jobs with missing: mark. Only such rows are ever marked.';
COMMENT ON COLUMN nightfill.loaded_row.job IS 'Name of the job.';
COMMENT ON COLUMN nightfill.loaded_row.contract IS 'The contract key.';
COMMENT ON COLUMN nightfill.loaded_row.target IS 'The table with the columns of its load key and their types.';
COMMENT ON COLUMN nightfill.loaded_row.row_key IS 'The load key as texts, in the order of its columns.';
COMMENT ON COLUMN nightfill.loaded_row.first_instance IS 'The instance that loaded it first.';

COMMENT ON TABLE nightfill.quota_use IS
  'Requests per day of the APIs that have a quota, over all runs of all jobs.';
COMMENT ON COLUMN nightfill.quota_use.origin IS 'Scheme, host and port of the API.';
COMMENT ON COLUMN nightfill.quota_use.day IS 'In the time zone of the job.';
COMMENT ON COLUMN nightfill.quota_use.requests IS 'Requests sent, repeats included.';
COMMENT ON COLUMN nightfill.quota_use.left_now IS
  'The least that the API''s header said is left; NULL when no header is read.';
COMMENT ON COLUMN nightfill.quota_use.left_of IS
  'Of how many: the total the header told, else the most it said was left.';

COMMENT ON TABLE nightfill.staged IS
  'Rows held back: with commit: run, rows that are fetched and wait for the one transaction that switches the whole night into the target.';
COMMENT ON COLUMN nightfill.staged.instance IS 'The instance of the contract.';
COMMENT ON COLUMN nightfill.staged.key IS 'The contract key.';
COMMENT ON COLUMN nightfill.staged.chunk IS 'Number of its chunk.';
COMMENT ON COLUMN nightfill.staged.attempt IS 'Number of the attempt, whose figures the switch completes.';
COMMENT ON COLUMN nightfill.staged.position IS 'Of rows with one load key the last one counts.';
COMMENT ON COLUMN nightfill.staged.cells IS
  'The row''s values in the order of the job file''s columns, as Postgres reads them.';
COMMENT ON COLUMN nightfill.staged.layout IS
  'Digest of the names of those columns, so that a job file that changed meanwhile is noticed.';

COMMENT ON TABLE nightfill.report IS
  'Each run''s report, byte for byte.';
COMMENT ON COLUMN nightfill.report.run IS 'The run.';
COMMENT ON COLUMN nightfill.report.job IS 'Name of the job.';
COMMENT ON COLUMN nightfill.report.body IS 'The JSON as it was written.';
COMMENT ON COLUMN nightfill.report.sha256 IS 'Its digest, as in integrity.sha256.';
COMMENT ON COLUMN nightfill.report.previous_sha256 IS 'Digest of the job''s previous report; NULL when there was none.';
COMMENT ON COLUMN nightfill.report.created_at IS 'When it was stored.';

COMMENT ON TABLE nightfill.migration IS
  'The files of sql/ that were applied to this database, once each.';
COMMENT ON COLUMN nightfill.migration.name IS 'Name of the file.';
COMMENT ON COLUMN nightfill.migration.sha256 IS
  'SHA-256 of the file when it was applied: a file that was changed since is refused.';
COMMENT ON COLUMN nightfill.migration.applied_at IS 'When.';
