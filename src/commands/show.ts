import { pipeline } from 'node:stream/promises';
import { ambiguousRun, findRun } from '../ledger/find-run.ts';
import type { HistoryEntry } from '../ledger/history/entry.ts';
import {
  countFailures,
  readChunkLines,
  readControlLines,
  readFailureLines,
  type ChunkLine,
  type ControlLine,
  type FailureLine,
} from '../ledger/history/night-details.ts';
import { readRefusedStarts } from '../ledger/history/refused-start.ts';
import { readRuns } from '../ledger/history/runs.ts';
import { isIdBeginning } from '../ledger/id-beginning.ts';
import { harmlessJson, harmlessLines } from '../observe/terminal-text.ts';
import { UsageError } from '../resilience/failure.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import { commandLog } from '../session/command-log.ts';
import type { HistoryOptions } from './history.ts';
import { openHistory } from '../session/open-database.ts';
import { table } from '../session/summary.ts';
import { writeLines, type Terminal } from '../session/terminal.ts';

/** The most chunks, failures and ranges of chunk numbers that are shown. */
const shown = 50;

/** Failures that one query reads for `--json`. */
const page = 10_000;

type Found = { refused: HistoryEntry } | { run: HistoryEntry; instance: string };

/** `nightfill show`: one run with its chunks, its failures and the controls that failed; or a start that was refused. */
export async function showCommand(run: string, options: HistoryOptions, terminal: Terminal): Promise<number> {
  const { stdout } = terminal;
  await using opened = await openHistory(options, { ...terminal, log: commandLog(terminal) });
  const { database } = opened;
  const found = await find(database, { run, job: opened.job });
  if (options.json) await pipeline(asJson(database, found), stdout, { end: false }).catch(unlessReadEnough);
  else writeLines(stdout, await asLines(database, found));
  return 0;
}

/** Ignores EPIPE: the reader of the output may stop early, as `head` does. */
function unlessReadEnough(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
}

/** The run or refused start that an id, its beginning or `latest` names. Throws UsageError. */
async function find(database: Queryable, o: { run: string; job: string | undefined }): Promise<Found> {
  const job = o.job === undefined ? {} : { job: o.job };
  const latest = o.run === 'latest';
  const refused =
    latest || isIdBeginning(o.run)
      ? (await readRefusedStarts(database, { ...job, ...(!latest && { id: o.run }), limit: latest ? 1 : 2 })).filter(
          ({ id }) => latest || id.startsWith(o.run.toLowerCase()),
        )
      : [];
  if (refused.length > 1) throw ambiguousRun(o.run);
  const run = await findRun(database, { run: o.run, ...job }).catch((error: unknown) => {
    if (refused.length === 0 || !(error instanceof UsageError)) throw error;
    return undefined;
  });
  if (run === undefined) return { refused: refused[0]! };
  const [entry] = await readRuns(database, { id: run.id, limit: 1 });
  if (refused[0] && !latest) throw ambiguousRun(o.run);
  if (refused[0] && refused[0].startedAt > entry!.startedAt) return { refused: refused[0] };
  return { run: entry!, instance: run.instance };
}

/** In pieces, because a run may have a million failures. */
async function* asJson(database: Queryable, found: Found): AsyncGenerator<string> {
  const isRun = 'run' in found;
  const head = {
    ...(isRun ? found.run : found.refused),
    controls: isRun ? await readControlLines(database, found.run.id) : [],
    chunks: isRun ? await readChunkLines(database, found.instance) : [],
  };
  yield `${harmlessJson(JSON.stringify(head, null, 2)).slice(0, -2)},\n  "failures": [`;
  let separator = '\n';
  if (isRun)
    for await (const failure of allFailures(database, found.instance)) {
      yield `${separator}${harmlessJson(JSON.stringify(failure, null, 2)).replaceAll(/^/gm, '    ')}`;
      separator = ',\n';
    }
  yield `${separator === '\n' ? '' : '\n  '}]\n}\n`;
}

async function* allFailures(database: Queryable, instance: string): AsyncGenerator<FailureLine> {
  for (let after: FailureLine | undefined; ;) {
    // oxlint-disable-next-line no-await-in-loop -- a page at a time, to bound the memory
    const failures = await readFailureLines(database, { instance, after, limit: page });
    yield* failures;
    after = failures.at(-1);
    if (failures.length < page) return;
  }
}

async function asLines(database: Queryable, found: Found): Promise<string[]> {
  if ('refused' in found) return refusedLines(found.refused);
  const { run, instance } = found;
  const chunks = await readChunkLines(database, instance);
  return [
    ...entryLines(run),
    ...controlLines(await readControlLines(database, run.id)),
    ...chunkLines(chunks, run),
    ...notStarted(chunks),
    ...failureLines(await countFailures(database, instance), {
      first: await readFailureLines(database, { instance, limit: shown }),
      run,
    }),
  ];
}

function entryLines(entry: HistoryEntry): string[] {
  const { code, noHeartbeatSince, ...named } = entry;
  if (noHeartbeatSince === null) return fieldLines(named, code);
  return [
    ...fieldLines({ ...named, status: `${entry.status}, no heartbeat since ${noHeartbeatSince}` }, code),
    '',
    `Its process is gone or cannot reach the database; the next run of ${entry.job} continues from here.`,
  ];
}

function refusedLines(refused: HistoryEntry): string[] {
  const { id, job, businessDate, trigger, status, exitCode, startedAt, code, reason } = refused;
  return [
    ...fieldLines({ id, job, businessDate, trigger, status, exitCode, startedAt, code, reason }, code),
    '',
    'Nothing was started. Correct the cause and start it again; nightfill runs lists the earlier runs.',
  ];
}

/** A line per field; more for a reason whose code says that it is a list. */
const fieldLines = (fields: object, code: string | null): string[] =>
  Object.entries(fields).flatMap(([name, value]) => {
    const [first, ...more] = harmlessLines(String(value ?? ''), code);
    return [`${name.padEnd(14)}${first}`, ...more.map((line) => `${' '.repeat(14)}${line}`)];
  });

function controlLines(controls: readonly ControlLine[]): string[] {
  const failed = controls.filter(({ result }) => result === 'fail');
  if (failed.length === 0) return [];
  const lines = failed.map(({ name, currency, expected, actual, severity }) => {
    const title = severity === 'warn' ? 'CONTROL WARNS ' : 'CONTROL FAILED';
    return `  ${title}  ${name}${currency ? ` (${currency})` : ''}: expected ${expected}, found ${actual}`;
  });
  return ['', 'controls', ...lines];
}

const textOf = (row: object): string[] => Object.values(row).map((value) => String(value ?? ''));

const listing = (title: string, entries: readonly object[]): string[] =>
  entries.length === 0 ? [] : ['', title, ...table([Object.keys(entries[0]!), ...entries.map(textOf)])];

/** All chunks, or if there are many those with failures. */
function chunkLines(chunks: readonly ChunkLine[], run: HistoryEntry): string[] {
  const lines = (some: readonly ChunkLine[]): object[] => some.map(({ reason: _, retryAfter: __, ...chunk }) => chunk);
  if (chunks.length <= shown) return listing('chunks', lines(chunks));
  const byStatus = Map.groupBy(chunks, ({ status }) => status);
  const counts = [...byStatus].map(([status, those]) => `${those.length} ${status}`).join(', ');
  const failed = chunks.filter(({ status }) => status === 'partial' || status === 'failed');
  return [
    '',
    `${chunks.length} chunks: ${counts}; ${wholeList(run)}`,
    ...listing(
      failed.length > shown ? `the first ${shown} of ${failed.length} chunks with failures` : 'chunks with failures',
      lines(failed.slice(0, shown)),
    ),
  ];
}

function failureLines(
  counts: readonly { code: string; count: number }[],
  { first, run }: { first: readonly FailureLine[]; run: HistoryEntry },
): string[] {
  const all = counts.reduce((sum, { count }) => sum + count, 0);
  const lines = first.map(({ httpStatus: _, stage: __, adviceAfter: ___, ...failure }) => failure);
  if (all <= first.length) return listing('failures', lines);
  const most = counts.slice(0, 5).map(({ code, count }) => `${count} ${code}`);
  const others = counts.length > 5 ? `, and ${counts.length - 5} more codes` : '';
  return [
    '',
    `${all} failures: ${most.join(', ')}${others}; ${wholeList(run)}`,
    ...listing(`the first ${first.length} failures`, lines),
  ];
}

const wholeList = ({ id }: HistoryEntry): string => `nightfill show ${id} --json has all`;

/** Why chunks were not started and when to try again, once per reason. */
function notStarted(chunks: readonly ChunkLine[]): string[] {
  const left = chunks.filter(({ reason }) => reason !== null);
  const byReason = Map.groupBy(
    left,
    ({ reason, retryAfter }) => `${reason}${retryAfter ? `; not before ${retryAfter}` : ''}`,
  );
  return [...byReason].flatMap(([reason, those]) => [
    '',
    `not started: ${those.length === 1 ? 'chunk' : 'chunks'} ${ranges(those.map(({ number }) => number))}`,
    `  ${reason}`,
  ]);
}

/** `1-3, 7` */
function ranges(numbers: readonly number[]): string {
  const texts: string[] = [];
  let first = numbers[0]!;
  numbers.forEach((number, index) => {
    if (numbers[index + 1] === number + 1) return;
    texts.push(first === number ? String(number) : `${first}-${number}`);
    first = numbers[index + 1]!;
  });
  if (texts.length <= shown) return texts.join(', ');
  return `${texts.slice(0, shown).join(', ')} and more, ${numbers.length} in all`;
}
