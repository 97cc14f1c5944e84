import type { Queryable } from '../sinks/postgres/postgres.ts';
import { readAmounts, type BookedAmount } from './amounts.ts';
import { previousNight } from './previous.ts';
import type { SumDefinition } from './figures.ts';
import type { Report } from './schema.ts';

/** A night's figures, computed from the ledger, and everything in them that cannot be. */
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
  const { distinctRows, totalChanged, goneMeanwhile, ...counts } = await readCounts(database, o.instance);
  return {
    counts,
    distinctRows,
    totalChanged,
    goneMeanwhile,
    amounts: await readAmounts(database, o),
    problems: [...impossibleCounts(counts), ...(await brokenChunks(database, o.instance))],
  };
}

async function readCounts(
  database: Queryable,
  instance: string,
): Promise<Report['counts'] & Pick<Books, 'distinctRows' | 'totalChanged' | 'goneMeanwhile'>> {
  const { rows } = await database.query<
    Report['counts'] & {
      staged: number | null;
      distinctRows: number | null;
      totalChanged: boolean;
      goneMeanwhile: number;
    }
  >(
    `SELECT source_total::float8 AS "sourceTotal", total_changed AS "totalChanged", gone_meanwhile AS "goneMeanwhile", duplicates, totals.*, staged.staged, missing.missing,
       CASE WHEN knows_rows THEN (SELECT count(*)::integer FROM nightfill.target_row WHERE target_row.instance = instance.id) END
         AS "distinctRows"
     FROM nightfill.instance,
     LATERAL (
       SELECT coalesce(sum(contracts), 0)::integer AS listed, coalesce(sum(enriched), 0)::integer AS enriched,
         coalesce(sum(degraded), 0)::integer AS degraded, coalesce(sum(failed), 0)::integer AS failed,
         coalesce(sum(contracts) FILTER (WHERE status = 'not-started'), 0)::integer AS "notStarted",
         coalesce(sum(inserted), 0)::integer AS inserted, coalesce(sum(updated), 0)::integer AS updated,
         coalesce(sum(unchanged), 0)::integer AS unchanged
       FROM nightfill.chunk WHERE chunk.instance = instance.id
     ) AS totals,
     LATERAL (
       SELECT nullif(count(*), 0)::integer AS staged FROM nightfill.staged WHERE staged.instance = instance.id
     ) AS staged,
     LATERAL (
       SELECT count(*)::integer AS missing FROM nightfill.contract AS before
       WHERE instance.status <> 'planning' AND before.instance = (${previousNight('instance')})
         AND NOT EXISTS (SELECT FROM nightfill.contract AS now WHERE now.instance = instance.id AND now.key = before.key)
     ) AS missing
     WHERE instance.id = $1`,
    [instance],
  );
  const { staged, ...counts } = rows[0]!;
  return { ...counts, ...(staged !== null && { staged }) };
}

function impossibleCounts({ listed, enriched, degraded, failed, notStarted }: Report['counts']): string[] {
  const outcomes = enriched + degraded + failed + notStarted;
  if (outcomes === listed) return [];
  return [
    `${listed} contracts were listed, and ${outcomes} are counted as ${enriched} enriched, ${degraded} degraded, ${failed} failed and ${notStarted} not started`,
  ];
}

interface ChunkBalance {
  number: number;
  status: string;
  contracts: number;
  planned: number;
  loaded: number;
  rows: number | null;
  written: number;
  held: number;
  failed: number;
  failures: number;
}

/** Named in full, since each is a fault of its own; of a broken night the first tell enough. */
const shownChunks = 5;

async function brokenChunks(database: Queryable, instance: string): Promise<string[]> {
  // Grouped once per table and joined by hash: of tables that were filled tonight there are no statistics.
  const { rows } = await database.query<ChunkBalance>(
    `WITH planned AS (SELECT chunk, count(*)::integer AS n FROM nightfill.contract WHERE instance = $1 GROUP BY 1),
       failures AS (SELECT chunk, count(*)::integer AS n FROM nightfill.failure WHERE instance = $1 GROUP BY 1),
       held AS (SELECT chunk, count(*)::integer AS n FROM nightfill.staged WHERE instance = $1 GROUP BY 1),
       standing AS (SELECT chunk, count(*)::integer AS n FROM nightfill.target_row WHERE instance = $1 GROUP BY 1),
       balance AS (
         SELECT number, chunk.status, contracts, coalesce(planned.n, 0) AS planned, enriched + degraded AS loaded,
           CASE WHEN knows_rows THEN coalesce(standing.n, 0) END AS rows, inserted + updated + unchanged AS written,
           coalesce(held.n, 0) AS held, failed, coalesce(failures.n, 0) AS failures
         FROM nightfill.chunk JOIN nightfill.instance ON instance.id = chunk.instance
         LEFT JOIN planned ON planned.chunk = number LEFT JOIN failures ON failures.chunk = number
         LEFT JOIN held ON held.chunk = number LEFT JOIN standing ON standing.chunk = number
         WHERE chunk.instance = $1
       )
     SELECT * FROM balance
     WHERE contracts <> planned OR failed <> failures OR loaded <> held + coalesce(rows, written) OR written <> loaded - held
       OR (status = 'not-started' AND loaded + failed <> 0) OR (status <> 'not-started' AND loaded + failed <> contracts)
     ORDER BY number LIMIT ${shownChunks + 1}`,
    [instance],
  );
  const sentences = rows.slice(0, shownChunks).map(describe);
  return rows.length > shownChunks ? [...sentences, 'and further chunks'] : sentences;
}

function describe(chunk: ChunkBalance): string {
  const { number, status, contracts, planned, loaded, rows, written, held, failed, failures } = chunk;
  const kept = rows === null ? '' : `, ${rows} rows of the target are theirs`;
  return `chunk ${number} (${status}) counts ${contracts} contracts, ${loaded} loaded and ${failed} failed, where ${planned} are planned, ${failures} failures are kept, ${held} rows are held back, ${written} rows were written${kept}`;
}
