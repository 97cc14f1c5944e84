import { fitLine, piecesWidth, type Piece, type Style } from './styled-line.ts';

/** The state of a run. Durations in milliseconds. */
export interface ProgressSnapshot {
  job: string;
  businessDate: string;
  phase: 'listing' | 'enriching' | 'second-chance' | 'closing';
  /** Contracts known so far; grows until `listingDone`. */
  listed: number;
  /** The source's own count of contracts. */
  sourceTotal?: number;
  /** False while listing, and when the listing failed or was truncated. */
  listingDone: boolean;
  /** Contracts with an outcome: `enriched`, `degraded` and `failed` together. */
  done: number;
  enriched: number;
  degraded: number;
  failed: number;
  chunksLoaded: number;
  chunks: number;
  elapsedMs: number;
  /** Until the last contract is done; when stopping, the last one in progress. */
  etaMs?: number;
  /** No further contract is started. */
  stopping?: boolean;
  /** When stopping: contracts in progress. */
  working?: number;
  /** When stopping: the most time they have. */
  graceMs?: number;
  /** `HH:MM`. */
  finishBy?: string;
  /** From now; negative once it has passed. */
  finishByMs?: number;
  apis: ApiProgress[];
}

export interface ApiProgress {
  name: string;
  ratePerSecond: number;
  limitPerSecond?: number;
  inFlight: number;
  concurrency: number;
  requests: number;
  retries: number;
  rateLimited: number;
  breaker: string;
  /** `HH:MM`: no request is sent before then, because the API asked for a pause or is down. */
  restsUntil?: string;
  /** Until then, from now. */
  restsMs?: number;
}

export interface RenderOptions {
  /** Columns; no line takes more. */
  width: number;
  colour: boolean;
}

const phases = {
  listing: 'listing and enriching',
  enriching: 'enriching',
  'second-chance': 'second chance',
  closing: 'closing',
} satisfies Record<ProgressSnapshot['phase'], string>;

const widest = 100;

/** The display as lines of at most `width` columns: title, bar, counts, time, one line per API. */
export function renderProgress(snapshot: ProgressSnapshot, { width, colour }: RenderOptions): string[] {
  const fit = { width: Math.min(width, widest), colour };
  return [
    titleLine(snapshot, fit.width),
    barLine(snapshot, fit.width),
    countsLine(snapshot),
    snapshot.stopping ? stoppingLine(snapshot) : timeLine(snapshot),
    [],
    ...apiLines(snapshot.apis, fit.width),
  ].map((pieces) => fitLine(pieces, fit));
}

function titleLine({ job, businessDate, phase, stopping, elapsedMs }: ProgressSnapshot, width: number): Piece[] {
  const now = stopping && phase !== 'closing' ? styled('stopping', 'yellow') : styled(phases[phase], 'cyan');
  const left: Piece[] = [styled(job, 'bold'), `  ${businessDate}  `, now];
  const right = duration(elapsedMs);
  const gap = width - piecesWidth(left) - right.length;
  return gap < 2 ? left : [...left, ' '.repeat(gap), styled(right, 'dim')];
}

/** The total number of contracts; undefined while the listing does not know it. */
function totalOf({ phase, listed, sourceTotal }: ProgressSnapshot): number | undefined {
  if (phase !== 'listing') return listed;
  return sourceTotal !== undefined && sourceTotal >= listed ? sourceTotal : undefined;
}

/** Never moves backwards if the source's total is right: without a total there is no share, and a second chance counts as done. */
function barLine(snapshot: ProgressSnapshot, width: number): Piece[] {
  const { phase, enriched, degraded, failed, done } = snapshot;
  const total = totalOf(snapshot);
  if (total === undefined) return bar([], { total: 0, width });
  const again = phase === 'second-chance' ? Math.max(0, total - done) : 0;
  const share = total === 0 ? 1 : Math.min(1, (done + again) / total);
  // Rounded down, so that 100% means all.
  const percent = ` ${(Math.floor(share * 1000) / 10).toFixed(1)}%`.padStart(7);
  const parts: [number, Style][] = [
    [enriched, 'green'],
    [degraded, 'yellow'],
    [failed, 'red'],
    [again, 'cyan'],
  ];
  return [...bar(parts, { total: Math.max(total, done), width: Math.max(0, width - percent.length) }), percent];
}

function countsLine(snapshot: ProgressSnapshot): Piece[] {
  const { phase, listed, listingDone, done, degraded, failed, chunksLoaded, chunks } = snapshot;
  const total = phase === 'listing' ? totalOf(snapshot) : undefined;
  return [
    styled(count(done), 'bold'),
    ` of ${total === undefined ? `${count(listed)}${listingDone ? '' : '+'}` : count(total)} contracts`,
    ...(degraded > 0 ? [', ', styled(`${count(degraded)} degraded`, 'yellow')] : []),
    ', ',
    failed > 0 ? styled(`${count(failed)} failed`, 'red') : '0 failed',
    `, ${count(chunksLoaded)} of ${count(chunks)}${listingDone ? '' : '+'} chunks loaded`,
  ];
}

/** What a stopping run still waits for. */
function stoppingLine({ working = 0, etaMs, graceMs }: ProgressSnapshot): Piece[] {
  if (working === 0) return ['no further contract is started; loading what was fetched'];
  const contracts = `${count(working)} ${working === 1 ? 'contract' : 'contracts'} in progress`;
  const bound = graceMs === undefined ? '' : `, at most ${duration(graceMs)}`;
  return ['finishing ', styled(contracts, 'bold'), etaMs === undefined ? '' : `, about ${duration(etaMs)}`, bound];
}

function timeLine({ etaMs, finishBy, finishByMs }: ProgressSnapshot): Piece[] {
  const eta = etaMs === undefined ? [styled('ETA not known yet', 'dim')] : ['ETA ', styled(duration(etaMs), 'bold')];
  if (finishBy === undefined || finishByMs === undefined) return eta;
  const spare = finishByMs - (etaMs ?? 0);
  if (spare < 0) return [...eta, ', ', styled(`${duration(-spare)} after ${finishBy}`, 'red')];
  if (etaMs === undefined) return [...eta, `, ${duration(spare)} until ${finishBy}`];
  return [...eta, ', ', styled(`${duration(spare)} before ${finishBy}`, 'green')];
}

/** A column of the API lines; on a narrow terminal the columns with the highest `dispensable` go first. */
interface ApiColumn {
  dispensable: number;
  right?: boolean;
  cell: (api: ApiProgress) => Piece;
}

const rateBarWidth = 12;

function apiLines(apis: readonly ApiProgress[], width: number): Piece[][] {
  const anyPaused = apis.some(({ breaker, restsUntil }) => breaker !== 'closed' || restsUntil !== undefined);
  const bars = apis.map((api) => rateBar(api));
  const columns: ApiColumn[] = [
    { dispensable: 0, cell: ({ name }) => styled(name, 'bold') },
    { dispensable: 1, right: true, cell: rateText },
    { dispensable: 3, right: true, cell: (api) => `${count(api.inFlight)}/${count(api.concurrency)} in flight` },
    { dispensable: 4, right: true, cell: ({ retries }) => attention(retries, `${count(retries)} retries`) },
    { dispensable: 6, right: true, cell: ({ rateLimited }) => attention(rateLimited, `${count(rateLimited)} × 429`) },
    { dispensable: anyPaused ? 2 : 7, cell: restText },
    { dispensable: 8, right: true, cell: ({ requests }) => styled(`${count(requests)} requests`, 'dim') },
  ];
  const barDispensable = 5;

  const rows = (kept: readonly ApiColumn[], withBar: boolean): Piece[][] => {
    const cells = kept.map((column) => aligned(apis.map(column.cell), column.right ?? false));
    return apis.map((_, row) => {
      const line = cells.flatMap((column, index) => [index === 0 ? '' : '  ', ...column[row]!]);
      // The bar stands after the name.
      return withBar ? [...line.slice(0, 3), '  ', ...bars[row]!, ...line.slice(3)] : line;
    });
  };
  for (let limit = 9; limit > 0; limit -= 1) {
    const lines = rows(
      columns.filter(({ dispensable }) => dispensable < limit),
      barDispensable < limit,
    );
    if (limit === 1 || lines.every((line) => piecesWidth(line) <= width)) return lines;
  }
  return [];
}

/** Each cell as [padding or nothing, text or padding], all of one width. */
function aligned(cells: readonly Piece[], right: boolean): Piece[][] {
  const width = Math.max(0, ...cells.map((cell) => piecesWidth([cell])));
  return cells.map((cell) => {
    const padding = ' '.repeat(width - piecesWidth([cell]));
    return right ? [padding, cell] : [cell, padding];
  });
}

function rateBar({ ratePerSecond, limitPerSecond }: ApiProgress): Piece[] {
  if (limitPerSecond === undefined) return [' '.repeat(rateBarWidth)];
  return bar([[Math.min(ratePerSecond, limitPerSecond), 'cyan']], { total: limitPerSecond, width: rateBarWidth });
}

function rateText({ ratePerSecond, limitPerSecond }: ApiProgress): string {
  return limitPerSecond === undefined
    ? `${rate(ratePerSecond)} per s`
    : `${rate(ratePerSecond)}/${rate(limitPerSecond)} per s`;
}

/** Until when the API pauses, or the state of its breaker. */
function restText({ breaker, restsUntil, restsMs = 0 }: ApiProgress): Piece {
  if (restsUntil !== undefined && restsMs > 0)
    return styled(`rests until ${restsUntil}, ${duration(restsMs)} more`, 'yellow');
  const style = breaker === 'closed' ? 'dim' : breaker === 'open' ? 'red' : 'yellow';
  return styled(`breaker ${breaker}`, style);
}

function attention(number: number, text: string): Piece {
  return styled(text, number > 0 ? 'yellow' : 'dim');
}

/** Parts of a total side by side; a part that exists takes at least one cell, so that one failure in a million is seen. */
function bar(parts: readonly [number, Style][], { total, width }: { total: number; width: number }): Piece[] {
  const pieces: Piece[] = [];
  let sum = 0;
  let used = 0;
  for (const [amount, style] of parts) {
    if (!(amount > 0)) continue;
    sum += amount;
    const end = total > 0 ? Math.min(width, Math.max(used + 1, Math.floor((sum / total) * width))) : 0;
    if (end > used) pieces.push(styled('━'.repeat(end - used), style));
    used = Math.max(used, end);
  }
  if (used < width) pieces.push(styled('─'.repeat(width - used), 'dim'));
  return pieces;
}

function styled(text: string, style: Style): Piece {
  return { text, style };
}

const wholeNumber = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const fineNumber = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });

function count(number: number): string {
  return wholeNumber.format(number);
}

function rate(perSecond: number): string {
  return (perSecond < 10 ? fineNumber : wholeNumber).format(perSecond);
}

/** `0:07`, `12:34`, `3:21:09`. */
function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  const two = (number: number): string => String(number).padStart(2, '0');
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}:${two(seconds % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}
