import type { Report } from '../../report/schema.ts';
import { latestReport } from '../../ledger/stored-report.ts';
import type { Queryable } from '../../sinks/postgres/postgres.ts';

/** The news that there was nothing to do. */
export interface NothingToDo {
  nothingToDo: string;
  /** The date's latest report, as its text is stored. */
  stored: string | undefined;
  /** A night whose controls failed stays one whose controls failed (4), however often it is called again; else 0. */
  exitCode: number;
  /** Those that failed. */
  controls: Report['controls'];
}

/** There is nothing to do for this instance, because of `nothingToDo`; with the verdict on what was done before. */
export async function closedNight(
  database: Queryable,
  { instance, nothingToDo }: { instance: string; nothingToDo: string },
): Promise<NothingToDo> {
  const stored = await latestReport(database, instance);
  const report = stored === undefined ? undefined : (JSON.parse(stored) as Report);
  if (report?.run.exitCode !== 4) return { nothingToDo, stored, exitCode: 0, controls: [] };
  return { nothingToDo, stored, exitCode: 4, controls: report.controls.filter(({ result }) => result === 'fail') };
}
