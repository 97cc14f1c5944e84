import type { Purpose } from '../instance.ts';

/** A run, or a start that was refused, as the history lists it. Times are RFC 3339. */
export interface HistoryEntry {
  id: string;
  job: string;
  /** Null where a start was refused before its date was known. */
  businessDate: string | null;
  /** A night, or the sample of `--limit`, which is none. Null of a refused start. */
  purpose: Purpose | null;
  /** Null of a refused start. */
  mode: string | null;
  trigger: string;
  status: string;
  exitCode: number | null;
  startedAt: string;
  finishedAt: string | null;
  contracts: number;
  loaded: number;
  failed: number;
  /** Of a refused start: its stable code. */
  code: string | null;
  reason: string | null;
  /** Of a run that is `running` although its lease has expired or its process is gone: its last sign of life. */
  noHeartbeatSince: string | null;
}

export interface HistorySelection {
  job?: string | undefined;
  /** A run's id, or its beginning. */
  id?: string | undefined;
  limit: number;
}
