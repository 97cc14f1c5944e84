/*
 * Counts what makes the sources easy or hard to follow, now and at another commit, as a table.
 * Run: npm run figures [-- COMMIT]
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { steps } from './docs/way-of-a-key.ts';
import { circlesOf, readSources, type SourceFile } from './imports.ts';

const run = promisify(execFile);
const checkout = fileURLToPath(new URL('../', import.meta.url));

interface Figures {
  'files on the way of a key': number | undefined;
  'visits to them': number | undefined;
  "fields of the run's context": number;
  'import circles, types included': number;
  'files in them': number;
  'source files': number;
  'median file, lines': number;
  'largest file, lines': string;
  'files with SQL on nightfill outside src/ledger': number;
}

/** `way`: the files that the key enters, in order, as often as it enters them. */
async function figuresOf(folder: string, way: readonly string[] | undefined): Promise<Figures> {
  const sources = await readSources(join(folder, 'src'));
  const files = [...sources.values()];
  for (const path of way ?? [])
    if (!sources.has(path)) throw new Error(`the way names src/${path}, which does not exist`);
  const circles = circlesOf(sources);
  const bySize = files.map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 })).toSorted(byLines);
  const largest = bySize.at(-1)!;
  return {
    'files on the way of a key': way && new Set(way).size,
    'visits to them': way?.length,
    "fields of the run's context": fieldsOfContext(files),
    'import circles, types included': circles.length,
    'files in them': circles.flat().length,
    'source files': files.length,
    'median file, lines': bySize[Math.floor(bySize.length / 2)]!.lines,
    'largest file, lines': `${largest.lines} (${largest.path})`,
    'files with SQL on nightfill outside src/ledger': files.filter(
      ({ path, text }) => !path.startsWith('ledger/') && namesTables(text),
    ).length,
  };
}

const byLines = (a: { lines: number }, b: { lines: number }): number => a.lines - b.lines;

/** Members of the interface RunContext, wherever it stands. */
function fieldsOfContext(files: readonly SourceFile[]): number {
  const [, body = ''] =
    files
      .flatMap(({ text }) => [/^export interface RunContext \{\n(.*?)^\}/ms.exec(text) ?? []])
      .find((match) => match.length > 0) ?? [];
  return [...body.matchAll(/^ {2}(?:readonly )?\w+\??[:(]/gm)].length;
}

/** Whether a statement in it reads or writes a table of the schema nightfill. */
const namesTables = (text: string): boolean =>
  /(?:FROM|INTO|UPDATE|JOIN|TABLE(?: IF NOT EXISTS)?|to_regclass\() ?'?nightfill\./.test(text);

/** The sources at a commit, lent as a folder. */
async function atCommit<T>(commit: string, task: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'nightfill-figures-'));
  try {
    const archive = join(folder, 'src.tar');
    await run('git', ['archive', '--output', archive, commit, 'src'], { cwd: checkout });
    await mkdir(join(folder, 'at'));
    await run('tar', ['-xf', archive, '-C', join(folder, 'at')]);
    return await task(join(folder, 'at'));
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** A way that was followed by hand at a commit, where there is a file of it: a file's path in each line. */
async function wayAt(commit: string): Promise<string[] | undefined> {
  const text = await readFile(new URL(`figures/way-at-${commit}.txt`, import.meta.url), 'utf8').catch(() => undefined);
  return text?.split('\n').flatMap((line) => (line === '' || line.startsWith('#') ? [] : [line.split(' ')[0]!]));
}

const commit = process.argv[2];
const now = await figuresOf(
  checkout,
  steps.map(({ file }) => file),
);
const before =
  commit === undefined ? undefined : await atCommit(commit, async (folder) => figuresOf(folder, await wayAt(commit)));
console.table(
  Object.fromEntries(
    Object.entries(now).map(([name, value]) => [
      name,
      commit === undefined
        ? { now: value }
        : { [commit]: before?.[name as keyof Figures] ?? 'not followed', now: value },
    ]),
  ),
);
