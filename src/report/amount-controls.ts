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
  return judge(database, [
    ...(await sumControls(database, o, sums)),
    ...(await standingControls(database, o, sums)),
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
  /** Figure that a share is meant of. */
  base: string;
  /** The share itself is too much already. */
  exclusive?: boolean;
  /** It fails whatever the figures say, or is not evaluated. */
  decided?: ControlResult['result'];
}

/** Per summed column and currency: the digits the source sent against what stands in the target, both summed by Postgres. */
async function sumControls(
  database: Queryable,
  { books, figures, instance }: Evidence & { instance: string },
  controls: readonly Definition<'sum'>[],
): Promise<AmountControl[]> {
  const { rows } = await database.query<{
    column: string;
    currency: string | null;
    expected: string;
    actual: string;
    altered: number;
  }>(
    `SELECT column_name AS column, currency, sum(sourced)::text AS expected, sum(loaded)::text AS actual,
       sum(altered)::integer AS altered
     FROM nightfill.chunk_amount WHERE instance = $1
     GROUP BY 1, 2 ORDER BY column_name COLLATE "C", currency COLLATE "C" NULLS LAST`,
    [instance],
  );
  return controls.flatMap(({ column, tolerance, severity }) =>
    rows
      .filter((row) => row.column === column)
      .map(({ currency, expected, actual, altered }) => ({
        name: `sum of ${column}: source against target${altered > 0 && expected === actual ? `, altered in ${altered} of its contracts` : ''}`,
        type: 'sum' as const,
        currency,
        expected,
        actual,
        base: expected,
        tolerance,
        severity,
        // Differences that make up for one another are differences.
        ...(altered > 0 && isExact(tolerance) && { decided: 'fail' as const }),
        ...((books.counts.staged || !isIndependent(figures, column)) && { decided: 'not-evaluated' as const }),
      })),
  );
}

/** Per summed column and currency: what was read back as it was loaded against what stands as the night is closed. */
async function standingControls(
  database: Queryable,
  { figures: { standing }, instance }: Evidence & { instance: string },
  controls: readonly Definition<'sum'>[],
): Promise<AmountControl[]> {
  if (!standing) return [];
  const { rows } = await database.query<{ column: string; currency: string | null; loaded: string }>(
    `SELECT column_name AS column, currency, sum(loaded)::text AS loaded FROM nightfill.chunk_amount WHERE instance = $1
     GROUP BY 1, 2 ORDER BY column_name COLLATE "C", currency COLLATE "C" NULLS LAST`,
    [instance],
  );
  const lines = new Map(rows.map((row) => [`${row.column} ${row.currency}`, row]));
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

/** What a transform made could only be compared with itself. */
const isIndependent = ({ sums }: RunFigures, column: string): boolean =>
  sums.find((sum) => sum.column === column)?.independent !== false;

/** What was listed and is neither loaded, failed nor left has got lost, or was never there. */
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
        // Chunks whose variances make up for one another are off as well.
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
  if (controls.length === 0) return [];
  // NaN is within nothing: Postgres takes it for greater than all numbers.
  const { rows } = await database.query<{ delta: string; within: boolean }>(
    `SELECT (actual - expected)::text AS delta,
       abs(actual - expected) <= absolute OR abs(actual - expected) < share * abs(base)
         OR (NOT exclusive AND abs(actual - expected) <= share * abs(base)) AS within
     FROM unnest($1::numeric[], $2::numeric[], $3::numeric[], $4::numeric[], $5::numeric[], $6::boolean[])
       WITH ORDINALITY AS control (expected, actual, base, absolute, share, exclusive, position) ORDER BY position`,
    [
      controls.map(({ expected }) => expected),
      controls.map(({ actual }) => actual),
      controls.map(({ base }) => base),
      controls.map(({ tolerance }) => tolerance.absolute),
      controls.map(({ tolerance }) => String(tolerance.share)),
      controls.map(({ exclusive }) => exclusive ?? false),
    ],
  );
  return controls.map(({ name, type, currency, expected, actual, tolerance, severity, decided }, index) => ({
    name,
    type,
    currency,
    expected,
    actual,
    delta: rows[index]!.delta,
    tolerance: toleranceText(tolerance),
    severity,
    result: decided ?? (rows[index]!.within ? 'pass' : 'fail'),
  }));
}
