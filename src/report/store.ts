import { createHash } from 'node:crypto';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import canonicalize from 'canonicalize';
import { insertReport, previousDigest } from '../ledger/stored-report.ts';
import { harmlessJson } from '../observe/terminal-text.ts';
import { NightfillError, UsageError } from '../resilience/failure.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import { reportSchema, type Report, type ReportBody } from './schema.ts';

/** Adds to a report its digest and that of the job's previous report, and stores it. Throws when it breaks its own schema. */
export async function storeReport(database: Queryable, body: ReportBody): Promise<Report> {
  const { id: run, job } = body.run;
  const report: Report = {
    ...body,
    integrity: {
      algorithm: 'sha256 of RFC 8785 canonical JSON without integrity',
      sha256: digestOf(body),
      previousSha256: await previousDigest(database, { job, run }),
    },
  };
  requireSchema(report);
  const { sha256, previousSha256 } = report.integrity;
  await insertReport(database, { run, job, text: formatReport(report), sha256, previousSha256 });
  return report;
}

/** Figures that break the schema are wrong, and must not be published as a night's. */
function requireSchema(report: Report): void {
  const { error } = reportSchema.safeParse(report);
  if (!error) return;
  const [issue] = error.issues;
  throw new NightfillError({
    code: 'REPORT_INVALID',
    class: 'system',
    message: `the report of run ${report.run.id} breaks its own schema at ${issue!.path.join('.')}: ${issue!.message}; it is not stored, and the ledger keeps what was loaded`,
  });
}

export function digestOf(body: ReportBody): string {
  return createHash('sha256').update(canonicalize(body)!).digest('hex');
}

/** The report's text, the same in the database, in the file and on a terminal. */
export const formatReport = (report: Report): string => harmlessJson(`${JSON.stringify(report, null, 2)}\n`);

/** Creates a folder for reports and its missing parents, accessible to owner and group. */
export async function makeReportFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o750 });
}

/**
 * Writes a file whole or not at all, readable only by owner and group because it names contracts and their money. Throws
 * UsageError, which calls the file by its `name`, when it cannot be written there.
 */
export async function writeReportFile(path: string, text: string, name = path): Promise<void> {
  const unfinished = `${path}.${process.pid}.tmp`;
  try {
    await makeReportFolder(dirname(path));
    await writeFile(unfinished, text, { mode: 0o640 });
    await rename(unfinished, path);
  } catch (error) {
    throw new UsageError(
      `the report cannot be written to ${name}: ${(error as Error).message}; it stands in the database, from which the report command writes it elsewhere (-o FILE)`,
      {
        code: 'REPORT_NOT_WRITTEN',
        cause: error,
      },
    );
  }
}
