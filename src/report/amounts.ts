import * as books from '../ledger/books/amounts.ts';
import { readChanges } from '../ledger/books/changes.ts';
import type { SumDefinition } from '../ledger/books/known-amounts.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import type { Report } from './schema.ts';

/** An amount of the books, and the first chunks whose own amounts do not add up. */
export type BookedAmount = Report['amounts'][number] & { chunksOff: number[] };

/** What became of the money in each summed column, by currency. */
export async function readAmounts(
  database: Queryable,
  { instance, sums }: { instance: string; sums: readonly SumDefinition[] },
): Promise<BookedAmount[]> {
  const all: BookedAmount[] = [];
  for (const sum of sums) {
    // oxlint-disable-next-line no-await-in-loop -- one database connection, which does one statement at a time
    const rows = await books.readAmounts(database, { instance, sum });
    all.push(...rows.map(({ heldBack, ...amount }) => ({ ...amount, ...(heldBack !== null && { staged: heldBack }) })));
  }
  return all;
}

type Comparison = Pick<NonNullable<Report['previous']>, 'changes' | 'notComparable'>;

/** How the known amounts moved since an earlier night, and what of them cannot be compared. */
export async function compareWith(
  database: Queryable,
  { instance, previous, sums }: { instance: string; previous: string; sums: readonly SumDefinition[] },
): Promise<Comparison> {
  const all: Comparison = { changes: [], notComparable: [] };
  for (const sum of sums)
    for (const { notComparable, ...change } of await readChanges(database, { instance, previous, sum })) {
      all.changes.push(change);
      const { column, currency } = change;
      if (notComparable.contracts > 0) all.notComparable.push({ column, currency, ...notComparable });
    }
  return all;
}
