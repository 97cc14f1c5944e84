import { resolve } from 'node:path';
import { findRun } from '../ledger/find-run.ts';
import { readReport } from '../ledger/stored-report.ts';
import { reportFormats, type ReportFormat } from '../report/formats.ts';
import { writeReportFile } from '../report/store.ts';
import { UsageError } from '../resilience/failure.ts';
import { commandLog } from '../session/command-log.ts';
import { openHistory, type DatabaseSelection } from '../session/open-database.ts';
import { writeJson, type Terminal } from '../session/terminal.ts';

export type { ReportFormat } from '../report/formats.ts';

export interface ReportCommandOptions extends DatabaseSelection {
  format: ReportFormat;
  output?: string;
  job?: string;
}

/** `nightfill report`: writes a run's report; as JSON it is byte for byte what was stored. */
export async function reportCommand(run: string, options: ReportCommandOptions, terminal: Terminal): Promise<number> {
  await using opened = await openHistory(options, { ...terminal, log: commandLog(terminal) });
  const found = await findRun(opened.database, { run, ...(opened.job && { job: opened.job }) });
  const stored = await readReport(opened.database, found.id);
  if (stored === undefined)
    throw new UsageError(`run ${found.id} has no report: it is ${found.status}; nightfill runs lists the runs`, {
      code: 'NO_REPORT',
    });
  const text = reportFormats[options.format](stored);
  const { output } = options;
  if (output) await writeReportFile(resolve(terminal.directory, output), text, output);
  else writeJson(terminal.stdout, text);
  return 0;
}
