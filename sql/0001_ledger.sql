-- The ledger: what was planned, what was done, what failed. Chunk rows change in the same transaction as the data they describe.

CREATE TABLE nightfill.instance (
  id            uuid PRIMARY KEY,
  job           text NOT NULL,
  business_date date NOT NULL,
  generation    integer NOT NULL,            -- `run --again` plans the same date anew
  purpose       text NOT NULL CHECK (purpose IN ('night', 'sample', 'dry-run')),  -- sample: `--limit`
  status        text NOT NULL CHECK (status IN ('planning', 'planned', 'complete')),
  timezone      text NOT NULL,
  target        text NOT NULL,
  target_key    text[] NOT NULL,
  config_sha256 text NOT NULL,
  source_total  numeric,                     -- the source's own count; NULL when it gives none
  listed        integer NOT NULL DEFAULT 0,  -- distinct contracts
  duplicates    integer NOT NULL DEFAULT 0,  -- listed again under the same key, taken once
  created_at    timestamptz NOT NULL DEFAULT now(),
  completed_at  timestamptz,
  UNIQUE (job, business_date, purpose, generation)
);

CREATE TABLE nightfill.run (
  id            uuid PRIMARY KEY,            -- UUIDv7: sorts by start
  instance      uuid NOT NULL REFERENCES nightfill.instance ON DELETE CASCADE,
  mode          text NOT NULL CHECK (mode IN ('normal', 'continue', 'rerun', 'dry-run')),
  trigger       text NOT NULL CHECK (trigger IN ('manual', 'cron', 'schedule', 'worker')),
  rerun_of      uuid,
  root_run      uuid NOT NULL,
  status        text NOT NULL DEFAULT 'running'
                CHECK (status IN ('running', 'succeeded', 'partial', 'controls-failed', 'failed', 'stopped', 'crashed')),
  exit_code     integer,
  reason        text,                        -- why it stopped or failed, as a sentence
  started_at    timestamptz NOT NULL DEFAULT now(),
  finished_at   timestamptz,
  host          text NOT NULL,
  process_id    integer NOT NULL,
  version       text NOT NULL,
  config_sha256 text NOT NULL,
  job_file      text NOT NULL,               -- absolute path, for `rerun`
  figures       json                         -- what only the process knew: APIs, phases
);
CREATE INDEX run_instance ON nightfill.run (instance);

-- One row per job that is running. The token fences: a holder that lost its lease can commit nothing more.
CREATE TABLE nightfill.lease (
  job          text PRIMARY KEY,
  token        uuid NOT NULL,
  run          uuid NOT NULL,
  host         text NOT NULL,                -- machine, boot and process namespace
  process_id   integer NOT NULL,
  process_born text NOT NULL,                -- tells a reused process id from the holder
  renewed_at   timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL
);

CREATE TABLE nightfill.chunk (
  instance    uuid NOT NULL REFERENCES nightfill.instance ON DELETE CASCADE,
  number      integer NOT NULL,
  status      text NOT NULL DEFAULT 'not-started' CHECK (status IN ('not-started', 'succeeded', 'partial', 'failed')),
  lease       uuid NOT NULL,                 -- only the holder of this token may commit it
  contracts   integer NOT NULL,
  enriched    integer NOT NULL DEFAULT 0,
  degraded    integer NOT NULL DEFAULT 0,
  failed      integer NOT NULL DEFAULT 0,
  inserted    integer NOT NULL DEFAULT 0,
  updated     integer NOT NULL DEFAULT 0,
  unchanged   integer NOT NULL DEFAULT 0,
  attempts    integer NOT NULL DEFAULT 0,
  duration_ms integer NOT NULL DEFAULT 0,
  digest      text,
  PRIMARY KEY (instance, number)
);

-- The frozen plan: a rerun asks for these keys and never lists again.
CREATE TABLE nightfill.contract (
  instance uuid NOT NULL,
  key      text NOT NULL,
  chunk    integer NOT NULL,
  position integer NOT NULL,
  listed   jsonb,                            -- the fields of the listing's record that the job uses
  problem  text,                             -- why the listing's record cannot be worked on; NULL when it can
  PRIMARY KEY (instance, key),
  FOREIGN KEY (instance, chunk) REFERENCES nightfill.chunk ON DELETE CASCADE
);
CREATE INDEX contract_chunk ON nightfill.contract (instance, chunk);

CREATE TABLE nightfill.chunk_attempt (
  instance    uuid NOT NULL,
  chunk       integer NOT NULL,
  attempt     integer NOT NULL,
  run         uuid NOT NULL REFERENCES nightfill.run ON DELETE CASCADE,
  contracts   integer NOT NULL,
  enriched    integer NOT NULL,
  degraded    integer NOT NULL,
  failed      integer NOT NULL,
  inserted    integer NOT NULL,
  updated     integer NOT NULL,
  unchanged   integer NOT NULL,
  digest      text,
  enrich_ms   integer NOT NULL,
  load_ms     integer NOT NULL,
  finished_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (instance, chunk, attempt),
  FOREIGN KEY (instance, chunk) REFERENCES nightfill.chunk ON DELETE CASCADE
);

-- Control totals of what an attempt loaded: `sourced` summed from the answers' digits, `loaded` read back from the target.
CREATE TABLE nightfill.chunk_amount (
  instance    uuid NOT NULL,
  chunk       integer NOT NULL,
  attempt     integer NOT NULL,
  column_name text NOT NULL,
  currency    text,
  contracts   integer NOT NULL,
  sourced     numeric NOT NULL,
  loaded      numeric NOT NULL,
  FOREIGN KEY (instance, chunk) REFERENCES nightfill.chunk ON DELETE CASCADE
);
CREATE INDEX chunk_amount_chunk ON nightfill.chunk_amount (instance, chunk);

CREATE TABLE nightfill.failure (
  instance     uuid NOT NULL,
  key          text NOT NULL,
  chunk        integer NOT NULL,
  run          uuid NOT NULL,
  stage        text NOT NULL CHECK (stage IN ('list', 'lookup', 'map', 'load')),
  api          text,
  lookup       text,
  code         text NOT NULL,
  class        text NOT NULL CHECK (class IN ('transient', 'config', 'data', 'system')),
  http_status  integer,
  message      text NOT NULL,
  attempts     integer NOT NULL,
  advice       text NOT NULL CHECK (advice IN ('retry-now', 'retry-after', 'fix-config', 'fix-record', 'never')),
  advice_after timestamptz,
  failed_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (instance, key),
  FOREIGN KEY (instance, chunk) REFERENCES nightfill.chunk ON DELETE CASCADE
);
CREATE INDEX failure_chunk ON nightfill.failure (instance, chunk);

-- Contracts loaded with a last known value, and the money that stands on it.
CREATE TABLE nightfill.stale (
  instance uuid NOT NULL,
  key      text NOT NULL,
  lookup   text NOT NULL,
  chunk    integer NOT NULL,
  as_of    timestamptz NOT NULL,
  PRIMARY KEY (instance, key, lookup),
  FOREIGN KEY (instance, chunk) REFERENCES nightfill.chunk ON DELETE CASCADE
);

-- What the sources said of each contract's amount: its answers, else its listing record. Contracts not started have none yet.
CREATE TABLE nightfill.contract_amount (
  instance    uuid NOT NULL,
  key         text NOT NULL,
  column_name text NOT NULL,
  chunk       integer NOT NULL,
  currency    text,
  amount      numeric NOT NULL,
  PRIMARY KEY (instance, key, column_name),
  FOREIGN KEY (instance, chunk) REFERENCES nightfill.chunk ON DELETE CASCADE
);

CREATE TABLE nightfill.last_known (
  job    text NOT NULL,
  lookup text NOT NULL,
  key    text NOT NULL,
  value  jsonb NOT NULL,
  as_of  timestamptz NOT NULL,
  PRIMARY KEY (job, lookup, key)
);

CREATE TABLE nightfill.report (
  run             uuid PRIMARY KEY REFERENCES nightfill.run ON DELETE CASCADE,
  job             text NOT NULL,
  body            text NOT NULL,             -- the JSON as written, byte for byte
  sha256          text NOT NULL,
  previous_sha256 text,
  created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX report_job ON nightfill.report (job, created_at);
