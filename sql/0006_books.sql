-- In which row of the target each contract of a night stands: two contracts never share one.
CREATE TABLE nightfill.target_row (
  instance uuid NOT NULL,
  key      text NOT NULL,                    -- of the contract
  chunk    integer NOT NULL,
  row      bytea NOT NULL,                   -- first 16 bytes of the SHA-256 of the key columns as the target holds them, as a JSON array
  PRIMARY KEY (instance, key),
  UNIQUE (instance, row)
);

-- False for nights begun before this table was there: of those nothing can be said about rows that contracts share.
ALTER TABLE nightfill.instance ADD COLUMN knows_rows boolean NOT NULL DEFAULT false;

-- NULL: of a failed contract, that nobody said its amount; of a loaded one, that the amount is NULL.
ALTER TABLE nightfill.contract_amount ALTER COLUMN amount DROP NOT NULL;
