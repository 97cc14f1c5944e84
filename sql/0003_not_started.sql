-- Why a chunk was not started by the run that last could have, and the earliest time it makes sense to try again.
ALTER TABLE nightfill.chunk
  ADD COLUMN reason text,               -- a sentence; NULL once it has been worked on
  ADD COLUMN retry_after timestamptz;   -- NULL: at once
