import type { Queryable } from '../sinks/postgres/postgres.ts';
import { evaluateAmounts } from './amount-controls.ts';
import type { Books } from './books.ts';
import { allowed, askedFor, percent, toleranceText, type Definition, type Evidence } from './evidence.ts';
import type { ControlDefinition, Marking, RunFigures } from './figures.ts';
import type { ControlResult } from './schema.ts';

/** Checks that independently obtained figures agree. A control whose figures are missing is not evaluated, never passed. */
export async function evaluateControls(
  database: Queryable,
  o: Evidence & { instance: string },
): Promise<ControlResult[]> {
  const { books, figures } = o;
  const { counts } = books;
  const loaded = counts.enriched + counts.degraded;
  // Rows held back are not in the target yet.
  const ofTarget = (control: ControlResult): ControlResult =>
    counts.staged ? { ...control, result: 'not-evaluated' } : control;
  const rows = counts.inserted + counts.updated + counts.unchanged;
  return [
    ...countControls(o),
    equal({ name: 'faults in the books of the night', type: 'count' }, 0, books.problems.length),
    ofTarget(equal({ name: 'rows in the target for contracts loaded', type: 'keys' }, loaded, rows)),
    distinctRows(books),
    standingRows(figures),
    ...(figures.marking ? [markControl(figures.marking)] : []),
    ...typesOfCounts.flatMap((type) => controlsOfCounts(type, o)),
    ...(await evaluateAmounts(database, o)),
  ];
}

type TypeOfCounts = Exclude<ControlDefinition['type'], 'sum' | 'change'>;

/** How each control of counts that a job file asks for is evaluated; those of amounts are in amount-controls.ts. */
const evaluateByType: {
  [Type in TypeOfCounts]: (control: Definition<Type>, evidence: Evidence) => ControlResult;
} = { completeness, listed: listedControl };

/** In the order of the report. */
const typesOfCounts = Object.keys(evaluateByType) as TypeOfCounts[];

const controlsOfCounts = <Type extends TypeOfCounts>(type: Type, evidence: Evidence): ControlResult[] =>
  askedFor(evidence.figures, type).map((control) => evaluateByType[type](control, evidence));

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

/** What was listed against the source's own count, and whatever keeps that count from proving anything. */
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
    // Pages that shift while they are read show one record twice and skip another, so the count still agrees.
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

/** Two contracts in one row of the target: one of them is lost, although the other counts agree. */
function distinctRows({ counts, distinctRows: actual }: Books): ControlResult {
  const control = { name: 'distinct rows of the target for contracts loaded', type: 'keys' } as const;
  if (actual === null) return notEvaluated(control, '0');
  return equal(control, counts.enriched + counts.degraded - (counts.staged ?? 0), actual);
}

/** Loaded rows may have been changed since, by a user or by a trigger on later rows. */
function standingRows({ standing }: RunFigures): ControlResult {
  const control = { name: 'rows of the night that stand in the target as it is closed', type: 'keys' } as const;
  return standing ? equal(control, standing.loaded, standing.rows) : notEvaluated(control, '0');
}

function markControl({ control, contracts }: Marking): ControlResult {
  const named = { name: 'rows marked for contracts no longer listed', type: 'keys' } as const;
  if (control) return equal(named, control.expected, control.actual);
  return notEvaluated(named, String(contracts));
}

function completeness(
  { atLeast, tolerance, severity }: Definition<'completeness'>,
  { books, planned }: Evidence,
): ControlResult {
  const { listed, enriched, degraded, notStarted } = books.counts;
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
    // A night that was stopped is judged once it is finished.
    result:
      !planned || notStarted > 0
        ? 'not-evaluated'
        : actual >= expected - allowed(tolerance, expected)
          ? 'pass'
          : 'fail',
  };
}

/** Fails a listing that is empty, or that changed by more than the contracts of a job usually do overnight. */
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
