-- Requests per day, by all runs of all jobs that give the API a quota. Added up every two seconds, and when a run ends.
CREATE TABLE nightfill.quota_use (
  origin   text NOT NULL,                    -- scheme, host and port of the API
  day      date NOT NULL,                    -- in the job's time zone
  requests bigint NOT NULL,                  -- sent, repeats included
  left_now bigint,                           -- the least that the API's header said is left; NULL when none is read
  left_of  bigint,                           -- of how many: as it said, else the most that was left
  PRIMARY KEY (origin, day)
);
