import type { Queryable } from '../../sinks/postgres/postgres.ts';
import type { HistoryEntry, HistorySelection } from './entry.ts';
import { readRefusedStarts } from './refused-start.ts';
import { readRuns } from './runs.ts';

/** The latest runs and refused starts, newest first. */
export async function readHistory(database: Queryable, o: HistorySelection): Promise<HistoryEntry[]> {
  const runs = await readRuns(database, o);
  const refused = await readRefusedStarts(database, o);
  return [...runs, ...refused]
    .toSorted((one, other) => compare(other.startedAt, one.startedAt) || compare(other.id, one.id))
    .slice(0, o.limit);
}

const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);
