import type { HistoryEntry } from '../ledger/history/entry.ts';
import { readHistory } from '../ledger/history/history.ts';
import { commandLog } from '../session/command-log.ts';
import { openHistory, type DatabaseSelection } from '../session/open-database.ts';
import { table } from '../session/summary.ts';
import { writeJson, writeLines, type Terminal } from '../session/terminal.ts';

export interface HistoryOptions extends DatabaseSelection {
  json?: boolean;
  job?: string;
  limit?: number;
}

/** `nightfill runs`: the latest runs and refused starts, newest first. */
export async function runsCommand(options: HistoryOptions, terminal: Terminal): Promise<number> {
  const { stdout } = terminal;
  await using opened = await openHistory(options, { ...terminal, log: commandLog(terminal) });
  const entries = await readHistory(opened.database, { job: opened.job, limit: options.limit ?? 20 });
  const rows = [head, ...entries.map(lineOf)];
  const noted = entries.some((entry) => noteOf(entry) !== '');
  const lines = entries.length === 0 ? ['no runs yet'] : table(noted ? rows : rows.map((row) => row.slice(0, -1)));
  if (options.json) writeJson(stdout, `${JSON.stringify(entries, null, 2)}\n`);
  else writeLines(stdout, lines);
  return 0;
}

const head = ['run', 'job', 'date', 'mode', 'status', 'exit', 'started', 'contracts', 'loaded', 'failed', 'note'];

function lineOf(entry: HistoryEntry): string[] {
  const { id, job, businessDate, status, exitCode, startedAt, contracts, loaded, failed } = entry;
  const counts = [contracts, loaded, failed].map((count) => (status === 'refused' ? '' : String(count)));
  const texts = [businessDate, modeOf(entry), status, exitCode].map((value) => String(value ?? ''));
  return [id, job, ...texts, shortTime(startedAt), ...counts, noteOf(entry)];
}

/** Marks samples: `sample` instead of `normal`, `sample rerun`. */
function modeOf({ purpose, mode }: HistoryEntry): string | null {
  if (purpose !== 'sample') return mode;
  return mode === 'normal' ? 'sample' : `sample ${mode}`;
}

/** The note at the end of a run's line; mostly empty. */
function noteOf({ noHeartbeatSince, status, code }: HistoryEntry): string {
  if (noHeartbeatSince !== null) return `no heartbeat since ${shortTime(noHeartbeatSince)}`;
  return status === 'refused' ? (code ?? '') : '';
}

/** `2026-11-21 05:56:30`, UTC. */
const shortTime = (time: string): string => time.slice(0, 19).replace('T', ' ');
