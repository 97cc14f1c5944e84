import { compareAmounts } from '../ledger/books/compare-amounts.ts';
import { readLoadedSums, type LoadedSum } from '../ledger/books/loaded-sums.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import { askedFor, isExact, toleranceText, type Definition, type Evidence } from './evidence.ts';
import type { Judged, RunFigures } from './figures.ts';
import type { ControlResult } from './schema.ts';

const always: Judged = { tolerance: { absolute: '0', share: 0 }, severity: 'fail' };

/** The controls on amounts: sums as loaded and as they stand, variances, and swings since the night before. */
export async function evaluateAmounts(
  database: Queryable,
  o: Evidence & { instance: string },
): Promise<ControlResult[]> {
  const sums = askedFor(o.figures, 'sum');
  const loadedSums = await readLoadedSums(database, o.instance);
  return judge(database, [
    ...sumControls(o, { loadedSums, controls: sums }),
    ...standingControls(o, { loadedSums, controls: sums }),
    ...varianceControls(o, sums),
    ...askedFor(o.figures, 'change').flatMap((control) => changeControls(control, o)),
  ]);
}

/** A control on amounts, which Postgres judges: its numbers are exact. */
interface AmountControl extends Judged {
  name: string;
  type: ControlResult['type'];
  currency: string | null;
  expected: string;
  actual: string;
  /** What a share is taken of. */
  base: string;
  /** A difference of exactly the share fails too. */
  exclusive?: boolean;
  /** Settled without comparing: it fails, or is not evaluated. */
  decided?: ControlResult['result'];
}

/** Per summed column and currency: what the source sent against what the target read back, both summed by Postgres. */
function sumControls(
  { books, figures }: Evidence,
  { loadedSums, controls }: { loadedSums: readonly LoadedSum[]; controls: readonly Definition<'sum'>[] },
): AmountControl[] {
  return controls.flatMap(({ column, tolerance, severity }) =>
    loadedSums
      .filter((sum) => sum.column === column)
      .map(({ currency, sourced, loaded, altered }) => ({
        name: `sum of ${column}: source against target${altered > 0 && sourced === loaded ? `, altered in ${altered} of its contracts` : ''}`,
        type: 'sum' as const,
        currency,
        expected: sourced,
        actual: loaded,
        base: sourced,
        tolerance,
        severity,
        // Differences that cancel out are still differences.
        ...(altered > 0 && isExact(tolerance) && { decided: 'fail' as const }),
        ...((books.counts.staged || !isIndependent(figures, column)) && { decided: 'not-evaluated' as const }),
      })),
  );
}

/** Per summed column and currency: what was read back as it was loaded against what stands as the night is closed. */
function standingControls(
  { figures: { standing } }: Evidence,
  { loadedSums, controls }: { loadedSums: readonly LoadedSum[]; controls: readonly Definition<'sum'>[] },
): AmountControl[] {
  if (!standing) return [];
  const lines = new Map<string, Pick<LoadedSum, 'column' | 'currency' | 'loaded'>>(
    loadedSums.map((sum) => [`${sum.column} ${sum.currency}`, sum]),
  );
  for (const { column, currency } of standing.amounts)
    if (!lines.has(`${column} ${currency}`)) lines.set(`${column} ${currency}`, { column, currency, loaded: '0' });
  return [...lines.values()].map(({ column, currency, loaded }) => {
    const found = standing.amounts.find((amount) => amount.column === column && amount.currency === currency);
    const { tolerance, severity } = controls.find((control) => control.column === column) ?? always;
    return {
      name: `sum of ${column}: loaded against what stands in the target as the night is closed`,
      type: 'sum',
      currency,
      expected: loaded,
      actual: found?.amount ?? '0',
      base: loaded,
      tolerance,
      severity,
    };
  });
}

/** False where only the transform made the amounts: they could only be compared with themselves. */
const isIndependent = ({ sums }: RunFigures, column: string): boolean =>
  sums.find((sum) => sum.column === column)?.independent !== false;

/** Listed money that is neither loaded, failed, waiting nor held back is lost, or was never listed. */
function varianceControls({ books, figures }: Evidence, controls: readonly Definition<'sum'>[]): AmountControl[] {
  return figures.sums.flatMap(({ column }) => {
    const { tolerance, severity } = controls.find((control) => control.column === column) ?? always;
    const exact = isExact(tolerance);
    return books.amounts
      .filter((amount) => amount.column === column)
      .map(({ currency, listed, variance, chunksOff }) => ({
        name: `variance of ${column}${exact && chunksOff.length > 0 ? `, in chunk ${chunksOff.join(', ')}` : ''}`,
        type: 'variance' as const,
        currency,
        expected: '0',
        actual: variance,
        base: listed,
        tolerance,
        severity,
        // Variances of chunks that cancel out fail as well.
        ...(exact && chunksOff.length > 0 && { decided: 'fail' as const }),
        ...(!isIndependent(figures, column) && { decided: 'not-evaluated' as const }),
      }));
  });
}

function changeControls({ column, change, severity, tolerance }: Definition<'change'>, o: Evidence): AmountControl[] {
  const changes = o.previous?.changes.filter((one) => one.column === column) ?? [];
  return changes.map(({ currency, before, after }) => ({
    name: `change of ${column} since the night before`,
    type: 'change',
    currency,
    expected: before,
    actual: after,
    base: before,
    tolerance: { absolute: tolerance.absolute, share: Math.max(change, tolerance.share) },
    exclusive: true,
    severity,
    ...(!o.planned && { decided: 'not-evaluated' as const }),
  }));
}

async function judge(database: Queryable, controls: readonly AmountControl[]): Promise<ControlResult[]> {
  const compared = await compareAmounts(
    database,
    controls.map(({ expected, actual, base, tolerance, exclusive = false }) => ({
      expected,
      actual,
      absolute: tolerance.absolute,
      share: String(tolerance.share),
      base,
      exclusive,
    })),
  );
  return controls.map(({ name, type, currency, expected, actual, tolerance, severity, decided }, index) => ({
    name,
    type,
    currency,
    expected,
    actual,
    delta: compared[index]!.delta,
    tolerance: toleranceText(tolerance),
    severity,
    result: decided ?? (compared[index]!.within ? 'pass' : 'fail'),
  }));
}
