-- In which row of the target each contract of a night stands: two contracts never share one.
CREATE TABLE nightfill.target_row (
  instance uuid NOT NULL,
  key      text NOT NULL,                    -- of the contract
  chunk    integer NOT NULL,
  row_key  text NOT NULL,                    -- the key columns as the target holds them, as a JSON array of texts
  row      bytea NOT NULL,                   -- first 16 bytes of its SHA-256: a key may be longer than an index entry
  PRIMARY KEY (instance, key),
  UNIQUE (instance, row)
);

-- False for nights begun before this table was there: of those nothing can be said about rows that contracts share.
ALTER TABLE nightfill.instance ADD COLUMN knows_rows boolean NOT NULL DEFAULT false;

-- The source's own count was another one on a later page: what was listed meanwhile is not proven to be all.
ALTER TABLE nightfill.instance ADD COLUMN total_changed boolean NOT NULL DEFAULT false;

-- Contracts planned by a listing that was cut off, and not listed when it was begun again.
ALTER TABLE nightfill.instance ADD COLUMN gone_meanwhile integer NOT NULL DEFAULT 0;

-- Contracts whose amount, or what splits it, is not in the target as it was sent, though the sums may agree.
ALTER TABLE nightfill.chunk_amount ADD COLUMN altered integer NOT NULL DEFAULT 0;

-- NULL: of a failed contract, that nobody said its amount; of a loaded one, that the amount is NULL.
ALTER TABLE nightfill.contract_amount ALTER COLUMN amount DROP NOT NULL;
