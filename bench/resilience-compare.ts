/*
 * nightfill/resilience against the libraries a batch job would otherwise be put together from, on the same histories.
 * Writes the table of docs/reference/resilience-compared.md; exits 1 when a row is not ours.
 * Run: npm run bench:resilience (about a minute)
 */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { arch, availableParallelism, platform, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { breakerHistory } from './resilience/breaker-history.ts';
import { callCosts } from './resilience/call-cost.ts';
import { limitHistory } from './resilience/limit-history.ts';
import { retryAfterHistory } from './resilience/retry-after-history.ts';
import { contestants, isOurs, type Row } from './resilience/row.ts';
import { timeoutHistory } from './resilience/timeout-history.ts';

const page = new URL('../docs/reference/resilience-compared.md', import.meta.url);
const begin = '<!-- begin: written by npm run bench:resilience -->';
const end = '<!-- end: written by npm run bench:resilience -->';

async function versionOf(name: string): Promise<string> {
  const path = name === 'nightfill' ? '../package.json' : `../node_modules/${name}/package.json`;
  const { version } = JSON.parse(await readFile(new URL(path, import.meta.url), 'utf8')) as { version: string };
  return `${name} ${version}`;
}

function line(row: Row): string {
  const ours = isOurs(row);
  const cells = contestants.map((name) => {
    const figure = row.figures[name];
    if (figure === undefined) return 'n/a';
    const text = figure.toFixed(row.decimals ?? 0).replace(/^-0$/, '0');
    return name === 'nightfill' && ours ? `**${text}**` : text;
  });
  return `| ${row.what} | ${cells.join(' | ')} |`;
}

async function firstAcquires(): Promise<{ first: number; later: number }> {
  const program = fileURLToPath(new URL('resilience/first-acquires.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [program]);
  return JSON.parse(stdout) as { first: number; later: number };
}

const began = performance.now();
const rows = [
  ...(await limitHistory()),
  ...(await retryAfterHistory()),
  ...(await breakerHistory()),
  ...(await timeoutHistory()),
  ...(await callCosts()),
];
const { first, later } = await firstAcquires();
const lost = rows.filter((row) => !isOurs(row));
const versions = await Promise.all(contestants.map(versionOf));
const machine = `${availableParallelism()} cores ${arch()}, ${Math.round(totalmem() / 2 ** 30)} GB, ${platform()}`;
const table = [
  begin,
  '',
  `Made by \`npm run bench:resilience\` in ${Math.round((performance.now() - began) / 1000)} s on a machine of ${machine}, with Node ${process.version} and ${versions.join(', ')}.`,
  '',
  `| | ${contestants.join(' | ')} |`,
  `| --- |${contestants.map(() => ' ---: |').join('')}`,
  ...rows.map(line),
  '',
  lost.length === 0
    ? 'nightfill is the best or equal to the best in every row.'
    : `nightfill is not the best in: ${lost.map(({ what }) => what).join('; ')}.`,
  '',
  `10,000 acquires of an idle rolling window cost ${later.toFixed(1)} ms of CPU, and ${first.toFixed(1)} ms as the first thing a process does, before the code is compiled.`,
  '',
  end,
].join('\n');

const text = await readFile(page, 'utf8');
const [before, after] = [text.indexOf(begin), text.indexOf(end)];
if (before < 0 || after < 0) throw new Error(`${page.pathname} must hold the two markers ${begin} and ${end}`);
await writeFile(page, text.slice(0, before) + table + text.slice(after + end.length));
console.log(table);
// Bottleneck and opossum leave timers behind that would keep the process up.
process.exit(lost.length === 0 ? 0 : 1);
