import pg from 'pg';
import { declaredDigits, declaredLength } from './type-modifier.ts';

/** A type in the catalog: `modifier` is -1 without one. */
export interface TypeWithModifier {
  oid: number;
  modifier: number;
}

const { INT2, INT4, INT8, NUMERIC, TEXT, VARCHAR, BPCHAR, TIME, TIMETZ, TIMESTAMP, TIMESTAMPTZ } = pg.types.builtins;

/** Decimal digits of an integer type's largest value. */
const integerDigits = new Map<number, number>([
  [INT2, 5],
  [INT4, 10],
  [INT8, 19],
]);

const lengthOf = ({ oid, modifier }: TypeWithModifier): number =>
  (oid === TEXT ? undefined : declaredLength(modifier)) ?? Infinity;

/** Digits before and after the point. */
function digitsOf({ modifier }: TypeWithModifier): { before: number; after: number } {
  const digits = declaredDigits(modifier);
  return digits
    ? { before: digits.precision - digits.scale, after: digits.scale }
    : { before: Infinity, after: Infinity };
}

interface Rule {
  /** The job's type, and the table's. */
  from: readonly number[];
  to: readonly number[];
  fits: (job: TypeWithModifier, table: TypeWithModifier) => boolean;
}

/**
 * The pairs in which the table's type may be wider than the job's: it takes every value of the job's type, returns the same
 * text but for zeros after the point, and compares alike, so that an unchanged row is found unchanged. Other pairs are
 * refused, because `real` in `double precision` shows other digits, `date` in
 * `timestamp` gets a time, `json` in `jsonb` loses its spelling, and `char(n)` ignores blanks at the end when it compares,
 * which `text` and `varchar` do not. Domains, enumerations and arrays must be the same type.
 */
const rules: readonly Rule[] = [
  {
    from: [INT2, INT4],
    to: [INT4, INT8],
    fits: (job, table) => integerDigits.get(table.oid)! >= integerDigits.get(job.oid)!,
  },
  {
    from: [INT2, INT4, INT8],
    to: [NUMERIC],
    fits: (job, table) => digitsOf(table).before >= integerDigits.get(job.oid)! && digitsOf(table).after >= 0,
  },
  {
    from: [NUMERIC],
    to: [NUMERIC],
    fits: (job, table) =>
      digitsOf(table).before >= digitsOf(job).before && digitsOf(table).after >= digitsOf(job).after,
  },
  { from: [VARCHAR, TEXT], to: [VARCHAR, TEXT], fits: (job, table) => lengthOf(table) >= lengthOf(job) },
  // Without a length bpchar is another type: it is not padded with blanks.
  {
    from: [BPCHAR],
    to: [BPCHAR],
    fits: (job, table) => job.modifier > 0 && table.modifier > 0 && table.modifier >= job.modifier,
  },
  // Microseconds unless declared otherwise.
  ...[TIME, TIMETZ, TIMESTAMP, TIMESTAMPTZ].map((type) => ({
    from: [type],
    to: [type],
    fits: (job: TypeWithModifier, table: TypeWithModifier) =>
      (table.modifier < 0 ? 6 : table.modifier) >= (job.modifier < 0 ? 6 : job.modifier),
  })),
];

/** Whether a column of the table's type takes every value of the job's type. */
export function isAtLeastAsWide(table: TypeWithModifier, job: TypeWithModifier): boolean {
  if (table.oid === job.oid && table.modifier === job.modifier) return true;
  const rule = rules.find(({ from, to }) => from.includes(job.oid) && to.includes(table.oid));
  return rule?.fits(job, table) ?? false;
}

/** A third type that takes every value of both, such as `numeric(20,4)` for `numeric(12,4)` and `numeric(18,2)`; undefined without one. */
export function commonType(one: TypeWithModifier, other: TypeWithModifier): string | undefined {
  if (one.oid !== NUMERIC || other.oid !== NUMERIC) return undefined;
  const [a, b] = [digitsOf(one), digitsOf(other)];
  const after = Math.max(a.after, b.after);
  return `numeric(${Math.max(a.before, b.before) + after},${after})`;
}
