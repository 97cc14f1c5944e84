import type { Queryable } from '../sinks/postgres.ts';
import type { Marking, RunFigures } from './figures.ts';
import type { ControlResult, Report } from './schema.ts';

/** Checks that independently obtained figures agree. A control whose figures are not there is not evaluated, never passed. */
export async function evaluateControls(
  database: Queryable,
  o: { instance: string; figures: RunFigures; counts: Report['counts']; planned: boolean },
): Promise<ControlResult[]> {
  const { counts, figures } = o;
  const loaded = counts.enriched + counts.degraded;
  // Rows held back are in no target yet.
  const ofTarget = (control: ControlResult): ControlResult =>
    counts.staged ? { ...control, result: 'not-evaluated' } : control;
  const rows = counts.inserted + counts.updated + counts.unchanged;
  return [
    countControl(counts, o.planned),
    ofTarget(equal({ name: 'rows in the target for contracts loaded', type: 'keys' }, loaded, rows)),
    ...(figures.marking ? [markControl(figures.marking)] : []),
    ...(figures.completeness === null ? [] : [completeness(counts, figures.completeness, o.planned)]),
    ...(await sumControls(database, o.instance)).map(ofTarget),
  ];
}

const equal = (control: Pick<ControlResult, 'name' | 'type'>, expected: number, actual: number): ControlResult => ({
  ...control,
  expected: String(expected),
  actual: String(actual),
  delta: String(actual - expected),
  tolerance: '0',
  result: actual === expected ? 'pass' : 'fail',
});

function countControl({ sourceTotal, listed, duplicates }: Report['counts'], planned: boolean): ControlResult {
  const control = { name: "records listed against the source's own count", type: 'count' } as const;
  if (sourceTotal !== null && planned) return equal(control, sourceTotal, listed + duplicates);
  const actual = String(listed + duplicates);
  return { ...control, expected: '0', actual, delta: '0', tolerance: '0', result: 'not-evaluated' };
}

function markControl({ control, contracts }: Marking): ControlResult {
  const named = { name: 'rows marked for contracts no longer listed', type: 'keys' } as const;
  if (control) return equal(named, control.expected, control.actual);
  return { ...named, expected: '0', actual: String(contracts), delta: '0', tolerance: '0', result: 'not-evaluated' };
}

function completeness(
  { listed, enriched, degraded, notStarted }: Report['counts'],
  share: number,
  planned: boolean,
): ControlResult {
  const actual = enriched + degraded;
  const expected = Math.ceil(listed * share - 1e-9);
  return {
    name: `loaded of listed, at least ${+(share * 100).toFixed(4)}%`,
    type: 'completeness',
    expected: String(expected),
    actual: String(actual),
    delta: String(actual - expected),
    tolerance: '0',
    // Of a night that was stopped it is asked once the night is finished.
    result: !planned || notStarted > 0 ? 'not-evaluated' : actual >= expected ? 'pass' : 'fail',
  };
}

/** Per summed column and currency: the digits the source sent against what stands in the target, both summed by Postgres. */
async function sumControls(database: Queryable, instance: string): Promise<ControlResult[]> {
  const { rows } = await database.query<{
    column: string;
    currency: string | null;
    expected: string;
    actual: string;
    delta: string;
    equal: boolean;
  }>(
    `SELECT column_name AS column, currency, sum(sourced)::text AS expected, sum(loaded)::text AS actual,
       (sum(loaded) - sum(sourced))::text AS delta, sum(loaded) = sum(sourced) AS equal
     FROM nightfill.chunk_amount WHERE instance = $1
     GROUP BY 1, 2 ORDER BY column_name COLLATE "C", currency COLLATE "C" NULLS LAST`,
    [instance],
  );
  return rows.map(({ column, currency, expected, actual, delta, equal: same }) => ({
    name: `sum of ${column}: source against target`,
    type: 'sum',
    currency,
    expected,
    actual,
    delta,
    tolerance: '0',
    result: same ? 'pass' : 'fail',
  }));
}
