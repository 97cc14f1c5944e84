import { readUnbalancedChunks, type ChunkBalance } from '../ledger/books/chunk-balance.ts';
import { readCounts } from '../ledger/books/counts.ts';
import type { SumDefinition } from '../ledger/books/known-amounts.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import { readAmounts, type BookedAmount } from './amounts.ts';
import type { Report } from './schema.ts';

/** A night's figures, computed from the ledger, and every contradiction in them. */
export interface Books {
  counts: Report['counts'];
  amounts: BookedAmount[];
  /** The source's own count was another one on a later page. */
  totalChanged: boolean;
  /** Contracts planned by a listing that was cut off, and not listed when it was begun again. */
  goneMeanwhile: number;
  /** Rows of the target in which contracts of the night were loaded; null for nights begun before the ledger knew them. */
  distinctRows: number | null;
  /** A sentence each; empty when the books balance. */
  problems: string[];
}

/**
 * The one place that computes a night's books. They balance when every contract listed is enriched, degraded, failed or
 * not started, when each contract loaded stands in a row of its own, and when both hold chunk by chunk: what each chunk
 * says of itself against the rows that the ledger keeps of its contracts.
 */
export async function readBooks(
  database: Queryable,
  o: { instance: string; sums: readonly SumDefinition[] },
): Promise<Books> {
  const { distinctRows, totalChanged, goneMeanwhile, heldBack, ...rest } = await readCounts(database, o.instance);
  const counts = { ...rest, ...(heldBack !== null && { staged: heldBack }) };
  return {
    counts,
    distinctRows,
    totalChanged,
    goneMeanwhile,
    amounts: await readAmounts(database, o),
    problems: [...impossibleCounts(counts), ...(await brokenChunks(database, o.instance))],
  };
}

function impossibleCounts({ listed, enriched, degraded, failed, notStarted }: Report['counts']): string[] {
  const outcomes = enriched + degraded + failed + notStarted;
  if (outcomes === listed) return [];
  return [
    `${listed} contracts were listed, and ${outcomes} are counted as ${enriched} enriched, ${degraded} degraded, ${failed} failed and ${notStarted} not started`,
  ];
}

/** Each of these is described in full; more would only make the message longer. */
const shownChunks = 5;

async function brokenChunks(database: Queryable, instance: string): Promise<string[]> {
  const rows = await readUnbalancedChunks(database, { instance, limit: shownChunks + 1 });
  const sentences = rows.slice(0, shownChunks).map(describe);
  return rows.length > shownChunks ? [...sentences, 'and further chunks'] : sentences;
}

function describe(chunk: ChunkBalance): string {
  const { number, status, contracts, planned, loaded, rows, written, heldBack, failed, failures } = chunk;
  const kept = rows === null ? '' : `, ${rows} rows of the target are theirs`;
  return `chunk ${number} (${status}) counts ${contracts} contracts, ${loaded} loaded and ${failed} failed, where ${planned} are planned, ${failures} failures are kept, ${heldBack} rows are held back, ${written} rows were written${kept}`;
}
