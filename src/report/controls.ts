import type { Queryable } from '../sinks/postgres.ts';
import type { Books } from './books.ts';
import type { ControlDefinition, Judged, Marking, RunFigures, Tolerance } from './figures.ts';
import type { ControlResult, Report } from './schema.ts';

export interface Evidence {
  figures: RunFigures;
  books: Books;
  previous: Report['previous'];
  /** The listing has come to its end. */
  planned: boolean;
  /** Samples and rehearsals are compared with nothing. */
  isNight: boolean;
}

type Definition<Type extends ControlDefinition['type']> = Extract<ControlDefinition, { type: Type }>;

const always: Judged = { tolerance: { absolute: '0', share: 0 }, severity: 'fail' };

/** Checks that independently obtained figures agree. A control whose figures are not there is not evaluated, never passed. */
export async function evaluateControls(
  database: Queryable,
  o: Evidence & { instance: string },
): Promise<ControlResult[]> {
  const { books, figures, planned } = o;
  const { counts } = books;
  const loaded = counts.enriched + counts.degraded;
  // Rows held back are in no target yet.
  const ofTarget = (control: ControlResult): ControlResult =>
    counts.staged ? { ...control, result: 'not-evaluated' } : control;
  const rows = counts.inserted + counts.updated + counts.unchanged;
  const asked = <Type extends ControlDefinition['type']>(type: Type): Definition<Type>[] =>
    figures.controls.filter((control): control is Definition<Type> => control.type === type);
  return [
    ...countControls(o),
    equal({ name: 'faults in the books of the night', type: 'count' }, 0, books.problems.length),
    ofTarget(equal({ name: 'rows in the target for contracts loaded', type: 'keys' }, loaded, rows)),
    distinctRows(books),
    standingRows(figures),
    ...(figures.marking ? [markControl(figures.marking)] : []),
    ...asked('completeness').map((control) => completeness(counts, control, planned)),
    ...asked('listed').map((control) => listedControl(control, o)),
    ...(await amountControls(database, [
      ...(await sumControls(database, o, asked('sum'))),
      ...(await standingControls(database, o, asked('sum'))),
      ...varianceControls(o, asked('sum')),
      ...asked('change').flatMap((control) => changeControls(control, o)),
    ])),
  ];
}

const equal = (control: Pick<ControlResult, 'name' | 'type'>, expected: number, actual: number): ControlResult => ({
  ...control,
  expected: String(expected),
  actual: String(actual),
  delta: String(actual - expected),
  tolerance: '0',
  severity: 'fail',
  result: actual === expected ? 'pass' : 'fail',
});

const notEvaluated = (control: Pick<ControlResult, 'name' | 'type'> & Partial<ControlResult>, actual: string) =>
  ({
    expected: '0',
    actual,
    delta: '0',
    tolerance: '0',
    severity: 'fail',
    ...control,
    result: 'not-evaluated',
  }) satisfies ControlResult;

/** What was listed, against what the source itself counts; and what makes that count prove nothing. */
function countControls({ books, figures, planned, isNight }: Evidence): ControlResult[] {
  const { sourceTotal, listed, duplicates } = books.counts;
  const control = { name: "records listed against the source's own count", type: 'count' } as const;
  const actual = listed + duplicates;
  const counted =
    sourceTotal !== null && planned
      ? equal(control, sourceTotal, actual)
      : notEvaluated({ ...control, expected: 'not given' }, String(actual));
  const unproven = books.totalChanged
    ? 'which changed while it was listed'
    : figures.expectsTotal && sourceTotal === null && planned && isNight
      ? 'which it did not give'
      : undefined;
  return [
    unproven === undefined ? counted : { ...counted, name: `${control.name}, ${unproven}`, result: 'fail' },
    ...(books.goneMeanwhile === 0
      ? []
      : [
          equal(
            { name: 'contracts planned before the listing was cut off and gone when it went on', type: 'count' },
            0,
            books.goneMeanwhile,
          ),
        ]),
    // Pages that shift while they are read show one record twice and pass over another, and the count still agrees.
    ...(duplicates === 0
      ? []
      : [
          {
            ...equal(
              { name: 'records listed twice, as when pages shift while they are read', type: 'count' },
              0,
              duplicates,
            ),
            severity: 'warn' as const,
          },
        ]),
  ];
}

/** Of two contracts in one row of the target one is lost, whatever the other counts say. */
function distinctRows({ counts, distinctRows: actual }: Books): ControlResult {
  const control = { name: 'distinct rows of the target for contracts loaded', type: 'keys' } as const;
  if (actual === null) return notEvaluated(control, '0');
  return equal(control, counts.enriched + counts.degraded - (counts.staged ?? 0), actual);
}

/** What was loaded may have been changed since: by somebody, or by a trigger when later rows came. */
function standingRows({ standing }: RunFigures): ControlResult {
  const control = { name: 'rows of the night that stand in the target as it is closed', type: 'keys' } as const;
  return standing ? equal(control, standing.loaded, standing.rows) : notEvaluated(control, '0');
}

function markControl({ control, contracts }: Marking): ControlResult {
  const named = { name: 'rows marked for contracts no longer listed', type: 'keys' } as const;
  if (control) return equal(named, control.expected, control.actual);
  return notEvaluated(named, String(contracts));
}

const percent = (share: number): string => `${+(share * 100).toFixed(4)}%`;
const toleranceText = ({ absolute, share }: Tolerance): string => (share > 0 ? percent(share) : absolute);
const isExact = ({ absolute, share }: Tolerance): boolean => share === 0 && Number(absolute) === 0;
const allowed = ({ absolute, share }: Tolerance, expected: number): number =>
  Math.max(Number(absolute), share * expected);

function completeness(
  { listed, enriched, degraded, notStarted }: Report['counts'],
  { atLeast, tolerance, severity }: Definition<'completeness'>,
  planned: boolean,
): ControlResult {
  const actual = enriched + degraded;
  const expected = Math.ceil(listed * atLeast - 1e-9);
  return {
    name: `loaded of listed, at least ${percent(atLeast)}`,
    type: 'completeness',
    expected: String(expected),
    actual: String(actual),
    delta: String(actual - expected),
    tolerance: toleranceText(tolerance),
    severity,
    // Of a night that was stopped it is asked once the night is finished.
    result:
      !planned || notStarted > 0
        ? 'not-evaluated'
        : actual >= expected - allowed(tolerance, expected)
          ? 'pass'
          : 'fail',
  };
}

/** A listing that is empty, or has changed by more than the contracts of a night do, is not taken for a night's work. */
function listedControl({ change, tolerance, severity }: Definition<'listed'>, o: Evidence): ControlResult {
  const { listed } = o.books.counts;
  const before = o.previous?.counts.listed;
  const control = {
    name: 'contracts listed against the night before',
    type: 'listed',
    severity,
    tolerance: change === null ? 'any' : percent(change),
  } as const;
  if (!o.planned || !o.isNight || change === null) return notEvaluated(control, String(listed));
  if (listed > 0 && before === undefined) return notEvaluated(control, String(listed));
  const expected = before ?? 1;
  const apart = Math.abs(listed - expected);
  const within = apart === 0 || apart < change * expected || apart <= allowed(tolerance, expected);
  return {
    ...control,
    expected: String(expected),
    actual: String(listed),
    delta: String(listed - expected),
    result: listed > 0 && within ? 'pass' : 'fail',
  };
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

async function amountControls(database: Queryable, controls: readonly AmountControl[]): Promise<ControlResult[]> {
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
