import type { ReportBody } from '../../report/schema.ts';
import type { RunStatus } from '../../ledger/run.ts';
import type { StopReason } from './stop-reason.ts';

/** A run's status and exit code; where several exit codes apply, 1, 4, 3, 6 in this order. */
export function judge(
  { counts, controls, run }: ReportBody,
  o: {
    broken: boolean;
    listFailed: boolean;
    unlisted: boolean;
    booksBroken: boolean;
    stopReason: StopReason | undefined;
  },
): { status: RunStatus; exitCode: number } {
  const complete = counts.failed === 0 && counts.notStarted === 0 && !counts.staged && !o.unlisted;
  const controlsFailed = controls.some(({ result, severity }) => result === 'fail' && severity === 'fail');
  if (o.broken || o.listFailed) return { status: 'failed', exitCode: 1 };
  // Figures that contradict each other prove nothing, so this comes before every other verdict.
  if (o.booksBroken) return { status: 'controls-failed', exitCode: 4 };
  if (o.stopReason?.code === 'SIGNAL' && !complete)
    return { status: 'stopped', exitCode: o.stopReason.exitCode ?? 130 };
  if (controlsFailed && run.mode !== 'dry-run') return { status: 'controls-failed', exitCode: 4 };
  if (counts.failed > 0) return { status: o.stopReason ? 'stopped' : 'partial', exitCode: 3 };
  if (counts.notStarted > 0 || o.unlisted)
    return o.stopReason ? { status: 'stopped', exitCode: 6 } : { status: 'partial', exitCode: 3 };
  return { status: 'succeeded', exitCode: 0 };
}
