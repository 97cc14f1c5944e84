/** The pace of long ago says little. */
export const latestRuns = 30;

/** SQL: id, instance, started_at and figures of the latest runs of the job $1 that have figures. */
export const latestFigures = (limit: number): string => `
  SELECT run.id, instance, started_at, figures FROM nightfill.run JOIN nightfill.instance ON instance.id = run.instance
  WHERE job = $1 AND figures IS NOT NULL ORDER BY started_at DESC, run.id DESC LIMIT ${limit}`;
