/*
 * Nights with a server that misbehaves, by the command line of one or more checkouts, side by side: what came of the
 * contracts, how long it took, and what the server was sent. Servers and database are this process's own.
 * Run: npx node bench/hard-nights.ts NAME=CHECKOUT [NAME=CHECKOUT …] [--only WORD] [--results FILE]
 * for example: npx node bench/hard-nights.ts before=/tmp/before now=. --results /tmp/hard-nights.json
 * A checkout needs its node_modules. FILE keeps what was measured; what stands in it is not measured again.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { startCluster } from '../test/support/cluster.ts';
import { ScriptedServer } from '../test/support/scripted-server.ts';
import { hardNights, type HardNight } from './hard-nights/nights.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { only: { type: 'string' }, results: { type: 'string' } },
});
const checkouts = positionals.map((argument) => {
  const [name = '', folder = ''] = argument.split('=');
  return { name, program: path.join(path.resolve(folder), 'bin/nightfill.js') };
});
if (checkouts.length === 0) throw new Error('name a checkout, for example now=.');

/** By night, then by checkout. */
const results: Record<string, Record<string, string>> = values.results
  ? (JSON.parse(await readFile(values.results, 'utf8').catch(() => '{}')) as typeof results)
  : {};
const nights = hardNights.filter(({ name }) => name.includes(values.only ?? ''));

await using cluster = await startCluster();
let databases = 0;
for (const night of nights)
  for (const checkout of checkouts) {
    const known = (results[night.name] ??= {});
    if (known[checkout.name] !== undefined) continue;
    known[checkout.name] = await measure(night, checkout.program);
    process.stderr.write(`${checkout.name}: ${night.name}: ${known[checkout.name]}\n`);
    if (values.results) await writeFile(values.results, JSON.stringify(results, undefined, 2));
  }

const names = checkouts.map(({ name }) => name);
const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
const table = [
  row(['night', ...names]),
  row(['---', ...names.map(() => '---')]),
  ...nights.map(({ name }) => row([name, ...names.map((checkout) => results[name]?.[checkout] ?? '')])),
];
process.stdout.write(`${table.join('\n')}\n`);

interface Counts {
  listed: number;
  enriched: number;
  failed: number;
  notStarted: number;
}

/** Runs the night in a folder and a database of its own, and says what came of it. */
async function measure(night: HardNight, program: string): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'nightfill-hard-'));
  databases += 1;
  const database = `hard_${databases}`;
  await execute(`CREATE DATABASE ${database}`);
  const server = night.demo ? undefined : await ScriptedServer.start(night.script());
  try {
    if (server && !night.demo) {
      const job = JSON.stringify(night.job(server.origin));
      await writeFile(path.join(folder, 'job.yaml'), job);
    }
    const outcomes: string[] = [];
    for (let start = 1; start <= (night.starts ?? 1); start += 1) {
      const begun = performance.now();
      const command = night.demo ? ['demo', ...night.demo] : ['run', 'job.yaml', ...(night.options?.() ?? [])];
      const { exitCode, stdout } = await run([program, ...command, '--json'], { folder, database });
      const seconds = ((performance.now() - begun) / 1_000).toFixed(1);
      outcomes.push(`exit ${exitCode}, ${outcomeOf(stdout)}, ${seconds} s`);
    }
    return [...outcomes, ...((!night.demo && night.seen?.(server!.requests)) || [])].join('; ');
  } finally {
    await server?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** `290 of 300, 10 failed (HTTP_500)`, from the report on standard output. */
function outcomeOf(stdout: string): string {
  try {
    const report = JSON.parse(stdout) as { counts: Counts; failures: { code: string }[] } | { nothingToDo: string };
    if ('nothingToDo' in report) return 'nothing to do';
    const { counts, failures } = report;
    const codes = new Map<string, number>();
    for (const { code } of failures) codes.set(code, (codes.get(code) ?? 0) + 1);
    const causes = Array.from(codes, ([code, times]) => (codes.size > 1 ? `${times} ${code}` : code)).join(', ');
    const parts = [
      `${counts.enriched} of ${counts.listed}`,
      ...(counts.failed > 0 ? [`${counts.failed} failed`] : []),
      ...(causes === '' ? [] : [causes]),
      ...(counts.notStarted > 0 ? [`${counts.notStarted} not started`] : []),
    ];
    return parts.join(', ');
  } catch {
    return 'no report';
  }
}

async function run(
  command: string[],
  { folder, database }: { folder: string; database: string },
): Promise<{ exitCode: number | null; stdout: string }> {
  const child = spawn(process.execPath, command, {
    cwd: folder,
    env: {
      PATH: process.env['PATH'],
      HOME: folder,
      DATABASE_URL: addressOf(database),
      CRM_TOKEN: 'token',
      CRM_SECRET: 'secret',
    },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [stdout, exitCode] = await Promise.all([
    text(child.stdout),
    new Promise<number | null>((resolve) => {
      child.once('exit', resolve);
    }),
  ]);
  return { exitCode, stdout };
}

function addressOf(database: string): string {
  const url = new URL(cluster.url);
  url.pathname = `/${database}`;
  return url.href;
}

async function execute(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: cluster.url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
