/** A type in the catalog: `modifier` is -1 without one. */
export interface TypeWithModifier {
  oid: string;
  modifier: number;
}

/** Object ids of built-in types, which never change (pg_type.dat). */
const int2 = '21';
const int4 = '23';
const int8 = '20';
const numeric = '1700';
const text = '25';
const varchar = '1043';
const bpchar = '1042';
const times = ['1083', '1266', '1114', '1184'];

/** Decimal digits that every value of an integer type fits into; by rank. */
const integerDigits = new Map([
  [int2, 5],
  [int4, 10],
  [int8, 19],
]);

/** The modifier of these is four more than what was declared (VARHDRSZ, varchar.c and numeric.c). */
const declared = (modifier: number): number => modifier - 4;

const lengthOf = ({ oid, modifier }: TypeWithModifier): number =>
  oid === text || modifier < 0 ? Infinity : declared(modifier);

/** Digits before and after the point; the scale is a signed number of eleven bits. */
function digitsOf({ modifier }: TypeWithModifier): { before: number; after: number } {
  if (modifier < 0) return { before: Infinity, after: Infinity };
  const after = ((declared(modifier) & 0x7ff) ^ 0x400) - 0x400;
  return { before: (declared(modifier) >> 16) - after, after };
}

interface Rule {
  /** The job's type, and the table's. */
  from: readonly string[];
  to: readonly string[];
  fits: (job: TypeWithModifier, table: TypeWithModifier) => boolean;
}

/**
 * Where the table's type may be wider than the job's: it takes every value of the job's type and gives it back as the
 * same text, but for zeros after the point, and compares it in the same way, so that a row that did not change is found
 * unchanged. What is not here is refused, with these in mind: `real` in `double precision` shows other digits, `date` in
 * `timestamp` gets a time, `json` in `jsonb` loses its spelling, and `char(n)` compares without the blanks at its end,
 * which `text` and `varchar` count. Domains, enumerations and arrays must be the very type.
 */
const rules: readonly Rule[] = [
  {
    from: [int2, int4],
    to: [int4, int8],
    fits: (job, table) => integerDigits.get(table.oid)! >= integerDigits.get(job.oid)!,
  },
  {
    from: [int2, int4, int8],
    to: [numeric],
    fits: (job, table) => digitsOf(table).before >= integerDigits.get(job.oid)! && digitsOf(table).after >= 0,
  },
  {
    from: [numeric],
    to: [numeric],
    fits: (job, table) =>
      digitsOf(table).before >= digitsOf(job).before && digitsOf(table).after >= digitsOf(job).after,
  },
  { from: [varchar, text], to: [varchar, text], fits: (job, table) => lengthOf(table) >= lengthOf(job) },
  // Without a length it is another type: blanks are not filled in.
  {
    from: [bpchar],
    to: [bpchar],
    fits: (job, table) => job.modifier > 0 && table.modifier > 0 && table.modifier >= job.modifier,
  },
  // Microseconds unless declared otherwise.
  ...times.map((type) => ({
    from: [type],
    to: [type],
    fits: (job: TypeWithModifier, table: TypeWithModifier) =>
      (table.modifier < 0 ? 6 : table.modifier) >= (job.modifier < 0 ? 6 : job.modifier),
  })),
];

/** Whether a column of the table's type takes whatever the job's type holds. */
export function holds(table: TypeWithModifier, job: TypeWithModifier): boolean {
  if (table.oid === job.oid && table.modifier === job.modifier) return true;
  const rule = rules.find(({ from, to }) => from.includes(job.oid) && to.includes(table.oid));
  return rule?.fits(job, table) ?? false;
}

/** The type that holds what either holds, when it is neither and there is one: of `numeric(12,4)` and `numeric(18,2)`, `numeric(20,4)`. */
export function union(one: TypeWithModifier, other: TypeWithModifier): string | undefined {
  if (one.oid !== numeric || other.oid !== numeric) return undefined;
  const [a, b] = [digitsOf(one), digitsOf(other)];
  const after = Math.max(a.after, b.after);
  return `numeric(${Math.max(a.before, b.before) + after},${after})`;
}
