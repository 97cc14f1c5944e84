-- Which row of the target each contract was last loaded into, by jobs with `missing: mark`: only such rows are ever marked.
CREATE TABLE nightfill.loaded_row (
  job            text NOT NULL,
  contract       text NOT NULL,              -- the key it is listed by
  target         text NOT NULL,              -- the table with its key columns and their types
  row_key        jsonb NOT NULL,             -- texts of the key columns, in their order
  first_instance uuid NOT NULL,              -- that loaded it first
  PRIMARY KEY (job, contract)
);
