import type { Report } from '../../report/schema.ts';
import { latestReport } from '../../ledger/stored-report.ts';
import type { Queryable } from '../../sinks/postgres/postgres.ts';

/** The result of a start that had nothing to do. */
export interface NothingToDo {
  nothingToDo: string;
  /** The date's latest report, as its text is stored. */
  stored: string | undefined;
  /** 4 when the controls of the closed night failed, on each further call too; otherwise 0. */
  exitCode: number;
  /** The controls that failed. */
  controls: Report['controls'];
}

/** Says that there is nothing to do for a closed instance, with the verdict of its latest report. `nothingToDo` says why. */
export async function closedNight(
  database: Queryable,
  { instance, nothingToDo }: { instance: string; nothingToDo: string },
): Promise<NothingToDo> {
  const stored = await latestReport(database, instance);
  const report = stored === undefined ? undefined : (JSON.parse(stored) as Report);
  if (report?.run.exitCode !== 4) return { nothingToDo, stored, exitCode: 0, controls: [] };
  return { nothingToDo, stored, exitCode: 4, controls: report.controls.filter(({ result }) => result === 'fail') };
}
