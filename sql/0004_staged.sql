-- `commit: run`: rows fetched and held back until the whole night switches into the target in one transaction.
CREATE TABLE nightfill.staged (
  instance uuid NOT NULL,
  key      text NOT NULL,                    -- of the contract
  chunk    integer NOT NULL,
  attempt  integer NOT NULL,                 -- of the chunk, whose figures the switch completes
  position integer NOT NULL,                 -- of rows with one load key the last one counts
  cells    text[] NOT NULL,                  -- the row's values in the order of the job file's columns, as Postgres reads them
  layout   text NOT NULL,                    -- digest of those columns' names: a job file that changed meanwhile is noticed
  PRIMARY KEY (instance, key),
  FOREIGN KEY (instance, chunk) REFERENCES nightfill.chunk ON DELETE CASCADE
);
CREATE INDEX staged_chunk ON nightfill.staged (instance, chunk);
