import { completeInstance, discardInstance, lockInstance } from '../../ledger/instance.ts';
import { joinByHash } from '../../ledger/join-by-hash.ts';
import { explainNotStarted } from '../../ledger/not-started.ts';
import { discardRun, finishRun, hasAttempts } from '../../ledger/run.ts';
import type { RunLedger } from '../../ledger/run-ledger.ts';
import { dropReplacedRows } from '../../ledger/held-back.ts';
import { readStanding } from '../../ledger/standing.ts';
import { buildReport, withVerdict } from '../../report/build.ts';
import { storeFigures } from '../../ledger/run-figures.ts';
import type { Report } from '../../report/schema.ts';
import { storeReport } from '../../report/store.ts';
import { NightfillError, UsageError } from '../../resilience/failure.ts';
import { isRefusedCredentials } from '../enrich/refused-credentials.ts';
import { summedColumns } from '../load/amounts.ts';
import { failureRecord } from '../load/failure-record.ts';
import { markMissing } from '../load/mark-missing.ts';
import { targetName } from '../plan/stored-plan.ts';
import { judge } from './judge.ts';
import type { RunContext } from './run-context.ts';
import { runFigures, type RunFacts } from './run-figures.ts';
import { StopReason } from './stop-reason.ts';
import type { WorkOutcome } from './work.ts';

/** How a run ended. */
export interface RunEnd extends WorkOutcome, RunFacts {
  stopReason: StopReason | undefined;
  /** Why rows held back for the switch at the end were not switched. */
  heldBack?: string | undefined;
  /** Numbers of the chunks that the run was asked to work on; all when undefined. */
  chunks: readonly number[] | undefined;
  /** An earlier run planned the instance, so it is kept even if this run is refused. */
  planned: boolean;
}

/**
 * Stores a run's figures, judges it by its controls and its contracts, and gives its report, all in one transaction, so
 * that a kill never leaves a closed run without a report. Throws UsageError when the run was refused before it did anything.
 */
export async function closeRun(context: RunContext, end: RunEnd, ledger: RunLedger): Promise<Report> {
  const { job, dryRun } = context;
  const { run, instance } = ledger;
  const { stopReason, left = [] } = end;
  const broken = end.error !== undefined && !(end.error instanceof StopReason);
  const refusal = await refusedAtOnce(context, end, ledger);
  if (refusal) {
    await ledger.commit(async (client) => {
      if (!end.planned) return discardInstance(client, instance);
      await discardRun(client, run);
      // An instance that was complete before this run reopened it becomes complete again.
      await completeInstance(client, instance);
    });
    throw new UsageError(refusal.message, { code: refusal.code, cause: refusal });
  }
  const listFailure = end.listFailure ? failureRecord(end.listFailure, { stage: 'list' }) : undefined;
  const figures = runFigures(context, end, listFailure);
  const stopped = stopReason && withLeft(stopReason.message, left);
  const reason = broken ? messageOf(end.error) : (listFailure?.message ?? stopped ?? end.heldBack ?? null);
  return ledger.commit(async (client) => {
    await lockInstance(client, instance);
    const marking = broken ? null : await markMissing(client, { ...context, instance });
    const standing =
      broken || dryRun
        ? null
        : await readStanding(
            client,
            {
              job: job.name,
              instance,
              businessDate: context.businessDate,
              target: context.target,
              targetName: targetName(job),
              sums: summedColumns(job),
            },
            { hurried: stopReason !== undefined },
          );
    await storeFigures(client, run, { ...figures, marking, standing: standing ?? null });
    if (reason !== null)
      await explainNotStarted(client, {
        instance,
        token: ledger.token,
        chunks: end.chunks && [...end.chunks, ...ledger.numbers.cut],
        // A listing that failed is the run's reason; its chunks were left because of what stopped the run.
        reason: (broken ? undefined : stopReason?.message) ?? reason,
        after: stopReason?.after,
      });
    // The verdict needs the report's figures, and the report contains the verdict: so build, judge, then add the verdict.
    await finishRun(client, { run, status: 'failed', exitCode: 1, reason: null });
    await joinByHash(client);
    const { body, problems } = await buildReport(client, run);
    const verdict = judge(body, {
      broken,
      listFailed: listFailure !== undefined,
      // If the target could not be read, it is unknown whether the night is complete.
      unlisted: (end.unlisted ?? false) || standing === undefined || left.length > 0,
      booksBroken: problems.length > 0,
      stopReason,
    });
    const why = problems.length > 0 ? brokenBooks(problems, reason) : reason;
    await finishRun(client, { run, ...verdict, reason: why });
    await dropReplacedRows(client, instance);
    if (!dryRun) await completeInstance(client, instance);
    const report = await storeReport(client, withVerdict(body, { ...verdict, reason: why }));
    if (dryRun) await discardInstance(client, instance);
    return report;
  });
}

/** The configuration error or refused credentials, when the run did nothing before it; such a run is discarded. */
async function refusedAtOnce(
  { progress: { tally } }: RunContext,
  { listFailure, error }: RunEnd,
  ledger: RunLedger,
): Promise<NightfillError | undefined> {
  if (listFailure instanceof NightfillError && listFailure.class === 'config' && tally.listed === 0) return listFailure;
  if (!(error instanceof NightfillError) || !isRefusedCredentials(error)) return undefined;
  return (await ledger.read(async (database) => hasAttempts(database, ledger.run))) ? undefined : error;
}

const brokenBooks = (problems: readonly string[], reason: string | null): string =>
  [`the books of this night do not balance, so none of its figures can be trusted: ${problems.join('; ')}`, reason]
    .filter((part) => part !== null)
    .join('. Also: ');

const withLeft = (reason: string, left: readonly number[]): string =>
  left.length === 0
    ? reason
    : `${reason}; not fetched again: ${left.length === 1 ? 'chunk' : 'chunks'} ${left.join(',')}; rerun --chunk ${left.join(',')} --whole-chunks fetches ${left.length === 1 ? 'it' : 'them'}`;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
