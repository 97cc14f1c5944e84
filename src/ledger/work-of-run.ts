/** SQL, of a row `run`: the contracts it worked on, those given a second chance counted once, and how many it loaded. */
export const workOfRun = `
  SELECT coalesce(sum(attempt.contracts) FILTER (WHERE attempt.first), 0)::integer AS contracts,
    coalesce(sum(attempt.loaded), 0)::integer AS loaded
  FROM (
    SELECT contracts, enriched + degraded AS loaded, row_number() OVER (PARTITION BY chunk ORDER BY attempt) = 1 AS first
    FROM nightfill.chunk_attempt WHERE chunk_attempt.run = run.id
  ) AS attempt`;
