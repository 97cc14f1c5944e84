import type { Report } from '../report/schema.ts';
import { settledLine, settledOf } from '../jobs/settled-concurrency.ts';
import type { NextCommands } from './next-commands.ts';

/** A report in a dozen lines for a terminal. */
export function summaryLines(report: Report, next: NextCommands): string[] {
  const { run, counts, amounts, controls, failures, apis, timing, stale, marked } = report;
  const lines = [
    `${run.job} ${run.businessDate}${purposes[run.purpose].name}: ${run.status}${run.reason ? ` (${run.reason})` : ''}`,
    ...purposes[run.purpose].lines(counts),
    ...(run.overNewer
      ? [
          `  OVER NEWER  loaded over the rows of ${run.overNewer.businessDate} (run ${run.overNewer.runId}), by --over-newer`,
        ]
      : []),
    `  contracts  ${counts.listed} listed = ${counts.enriched} enriched + ${counts.degraded} degraded + ${counts.failed} failed + ${counts.notStarted} not started`,
    `  rows       ${counts.inserted} inserted, ${counts.updated} updated, ${counts.unchanged} unchanged${counts.staged ? `, ${counts.staged} held back` : ''}`,
    ...stale.map(staleLine),
    ...(marked ? markedLines(marked) : []),
    ...table(
      amounts.map(({ column, currency, loaded, staged, failed, notStarted, variance, unknown }) => [
        `${column}${currency ? ` ${currency}` : ''}`,
        `${loaded} loaded`,
        ...(staged === undefined ? [] : [`${staged} held back`]),
        `${withUnknown(failed, unknown.failed)} failed`,
        `${withUnknown(notStarted, unknown.notStarted)} not started`,
        `variance ${variance}`,
      ]),
    ),
    ...controlLines(controls.filter(({ result }) => result === 'fail')),
    ...table(failuresByCode(failures)),
    ...table(
      apis.map(({ name, requests, retries, rateLimited, rates }) => [
        name,
        `${requests} requests`,
        `${retries} retries`,
        `${rateLimited} rate-limited`,
        rates.map(({ requests: limit, perMs, peak }) => `peak ${peak} of ${limit} per ${perMs / 1_000} s`).join(', '),
      ]),
    ),
    `  took       ${(run.durationMs / 1_000).toFixed(1)} s; the limits allow ${(timing.idealMs / 1_000).toFixed(1)} s`,
  ];
  lines.push(...settledOf(apis).map((settled) => `  ${settledLine(settled)}`));
  const besides = next.besides === undefined ? '' : `; ${next.besides}`;
  if ([3, 4].includes(run.exitCode) && counts.failed > 0 && run.mode !== 'dry-run')
    lines.push(`  ${next.rerun} fetches again what failed or never started${besides}`);
  if ([6, 130, 143].includes(run.exitCode) && run.mode !== 'dry-run')
    lines.push(`  ${next.run} continues from here${besides}`);
  return lines;
}

/** Names what is not a full run. */
const purposes: Record<
  Report['run']['purpose'],
  { name: string; lines: (counts: Pick<Report['counts'], 'listed'>) => string[] }
> = {
  night: { name: '', lines: () => [] },
  sample: {
    name: ' sample',
    lines: ({ listed }) => [`  SAMPLE     of ${contractsOf(listed)}: not the night`],
  },
  'dry-run': { name: ' dry run', lines: () => ['  DRY RUN    the rows were rolled back, the target is unchanged'] },
};

const contractsOf = (count: number): string => `${count} ${count === 1 ? 'contract' : 'contracts'}`;

/** A line each for controls that failed. */
export function controlLines(failed: Report['controls']): string[] {
  return failed.map(
    ({ name, currency, expected, actual, severity }) =>
      `  CONTROL ${severity === 'warn' ? 'WARNS ' : 'FAILED'}  ${name}${currency ? ` (${currency})` : ''}: expected ${expected}, found ${actual}`,
  );
}

/** Names unknown amounts: `0.00` alone would read as if nothing were missing. */
function withUnknown(amount: string, contracts: number): string {
  if (contracts === 0) return amount;
  const unknown = `unknown amount of ${contractsOf(contracts)}`;
  return /[1-9]/.test(amount) ? `${amount} + ${unknown}` : unknown;
}

/** How many contracts use answers of earlier runs. */
function staleLine({ lookup, contracts, oldestAsOf, amounts }: Report['stale'][number]): string {
  return `  degraded   ${contractsOf(contracts)} ${contracts === 1 ? 'stands' : 'stand'} on last known values of ${lookup}, the oldest of ${oldestAsOf}${moneyOf(amounts)}`;
}

/** `: amount EUR 12.00, amount USD 3.00`; nothing where nothing is summed. */
function moneyOf(amounts: Report['stale'][number]['amounts']): string {
  const money = amounts.map(({ column, currency, amount }) => `${column} ${currency ? `${currency} ` : ''}${amount}`);
  return money.length > 0 ? `: ${money.join(', ')}` : '';
}

function markedLines({ contracts, tonight, amounts, reason }: NonNullable<Report['marked']>): string[] {
  return [
    `  missing    ${contracts} marked, ${tonight} of them tonight${moneyOf(amounts)}`,
    ...(reason === null ? [] : [`  NOTHING MARKED  ${reason}`]),
  ];
}

function failuresByCode(failures: Report['failures']): string[][] {
  const byCode = Map.groupBy(failures, ({ code, stage, api }) => [stage, api, code].filter(Boolean).join(' '));
  return [...byCode]
    .toSorted(([, one], [, other]) => other.length - one.length)
    .map(([kind, all]) => [`${all.length} ×`, kind, shortened(all[0]!.message)]);
}

/** The message, cut after the last word that fits the line. */
function shortened(message: string): string {
  return message.length <= 120 ? message : `${message.slice(0, message.lastIndexOf(' ', 120))} …`;
}

/** Rows of cells in columns, each line indented. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>(
    (wide, row) => row.map((cell, index) => Math.max(wide[index] ?? 0, cell.length)),
    [],
  );
  return rows.map((row) => `  ${row.map((cell, index) => cell.padEnd(widths[index]!)).join('  ')}`.trimEnd());
}
