import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test, type TestContext } from 'node:test';
import { createLog } from '../../src/observe/log.ts';
import {
  progressMode,
  startLines,
  type Progress,
  type ProgressMode,
  type ProgressSnapshot,
} from '../../src/observe/progress.ts';
import { startDisplay } from '../../src/observe/progress-display.ts';
import { snapshotOf } from '../support/snapshot.ts';

test('progress is drawn on a terminal only, and not where CI or a dumb one asks for lines', () => {
  assert.equal(progressMode({ isTTY: true }, {}), 'display');
  assert.equal(progressMode({ isTTY: true }, { TERM: 'xterm', NO_COLOR: '1', CI: '' }), 'display');
  assert.equal(progressMode({ isTTY: true }, { CI: 'false' }), 'display');
  assert.equal(progressMode({ isTTY: true }, { CI: 'true' }), 'lines');
  assert.equal(progressMode({ isTTY: true }, { TERM: 'dumb' }), 'lines');
  assert.equal(progressMode({ isTTY: false }, {}), 'lines');
  assert.equal(progressMode({}, {}), 'lines');
});

/** A terminal that understands what the display writes, and fails on anything else. */
class Screen extends EventEmitter {
  isTTY = true;
  #grid: string[] = [''];
  cursorShown = true;
  written = 0;
  columns: number;
  #row = 0;
  #column = 0;

  constructor(columns = 80) {
    super();
    this.columns = columns;
  }

  hasColors(): boolean {
    return true;
  }

  write(text: string): boolean {
    this.written += 1;
    for (const [piece, sequence] of text.matchAll(/\p{Cc}\[([?\d]*[A-Za-z])|[^]/gu)) {
      if (sequence !== undefined) this.#obey(sequence);
      else if (piece === '\r') this.#column = 0;
      else if (piece === '\n') this.#move(this.#row + 1);
      else {
        const row = this.#grid[this.#row]!.padEnd(this.#column);
        this.#grid[this.#row] = row.slice(0, this.#column) + piece + row.slice(this.#column + 1);
        this.#column += 1;
        assert.ok(this.#column < this.columns, `a line of ${this.#column} columns: ${this.#grid[this.#row]}`);
      }
    }
    return true;
  }

  #move(row: number): void {
    this.#row = row;
    this.#column = 0;
    while (this.#grid.length <= row) this.#grid.push('');
  }

  #obey(sequence: string): void {
    if (sequence === '?25l') this.cursorShown = false;
    else if (sequence === '?25h') this.cursorShown = true;
    else if (sequence === 'K') this.#grid[this.#row] = this.#grid[this.#row]!.slice(0, this.#column);
    else if (sequence === 'J') this.#grid.splice(this.#row + 1, Infinity, '');
    else if (sequence.endsWith('A')) this.#move(this.#row - Number.parseInt(sequence, 10));
    else assert.match(sequence, /^(\?2026[hl]|\d+m)$/);
    if (sequence === 'J') this.#grid[this.#row] = this.#grid[this.#row]!.slice(0, this.#column);
  }

  get text(): string[] {
    return this.#grid.slice(0, this.#grid.findLastIndex((row) => row !== '') + 1).map((row) => row.trimEnd());
  }
}

function started(t: TestContext, options: { mode: ProgressMode; environment?: NodeJS.ProcessEnv; screen?: Screen }) {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const screen = options.screen ?? new Screen();
  const lines: Record<string, unknown>[] = [];
  const log = createLog({
    level: 'info',
    secrets: [],
    write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>),
  });
  const state = { now: snapshotOf() };
  const { mode, environment = {} } = options;
  const progress: Progress = (mode === 'display' ? startDisplay : startLines)({
    snapshot: () => state.now,
    stream: screen as unknown as NodeJS.WriteStream,
    log,
    environment,
  });
  t.after(() => progress.stop());
  const change = (changes: Partial<ProgressSnapshot>): void => {
    state.now = snapshotOf({ ...state.now, ...changes });
  };
  return { screen, lines, log, progress, change, tick: (ms: number) => t.mock.timers.tick(ms) };
}

test('the display is redrawn in its place', (t) => {
  const { screen, change, tick } = started(t, { mode: 'display' });
  const before = screen.text;
  assert.equal(before.length, 7);
  change({ done: 1300, enriched: 1285 });
  tick(200);
  assert.equal(screen.text.length, 7);
  assert.match(screen.text[2]!, /^1,300 of 2,000/);
});

test('a shorter line leaves nothing of a longer one behind', (t) => {
  const { screen, change, tick } = started(t, { mode: 'display' });
  change({ degraded: 0, failed: 0 });
  tick(200);
  assert.equal(screen.text[2], '1,248 of 2,000 contracts, 0 failed, 2 of 4 chunks loaded');
});

test('nothing is written while nothing has changed', (t) => {
  const { screen, tick } = started(t, { mode: 'display' });
  const { written } = screen;
  tick(5000);
  assert.equal(screen.written, written);
});

test('notes and log lines stand above the display, for people, and harmless', (t) => {
  const { screen, progress, log, lines } = started(t, { mode: 'display' });
  progress.note('stopping \u001b[2J after this chunk');
  log.warn({ api: 'crm', error: new Error('it broke\nforged') }, 'an idle connection failed');
  assert.equal(screen.text[0], 'stopping \uFFFD[2J after this chunk');
  assert.match(
    screen.text[1]!,
    /^\d\d:\d\d:\d\d warn {2}an idle connection failed api=crm error=it broke\uFFFDforged$/,
  );
  assert.match(screen.text[2]!, /^contract-enrichment/);
  assert.equal(screen.text.length, 9);
  assert.equal(lines.length, 0);
});

test('the cursor is hidden while the display lives, and comes back with the last state standing', (t) => {
  const { screen, progress, log, lines, change } = started(t, { mode: 'display' });
  const listeners = process.listenerCount('exit');
  assert.equal(screen.cursorShown, false);
  change({ done: 2000, enriched: 1985 });
  progress.stop();
  progress.stop();
  assert.equal(screen.cursorShown, true);
  assert.match(screen.text[1]!, /100\.0%$/);
  assert.equal(process.listenerCount('exit'), listeners - 1);
  assert.equal(screen.listenerCount('resize'), 0);
  log.info('afterwards');
  assert.equal(lines.length, 1);
});

test('a resize is followed at once', (t) => {
  const { screen } = started(t, { mode: 'display' });
  screen.columns = 120;
  screen.emit('resize');
  assert.match(screen.text[1]!, /^[━─]{93} {2}62\.4%$/);
});

test('NO_COLOR takes the colours away', (t) => {
  const plain = new Screen();
  const written: string[] = [];
  const write = plain.write.bind(plain);
  plain.write = (text) => {
    written.push(text);
    return write(text);
  };
  const { progress } = started(t, { mode: 'display', environment: { NO_COLOR: '1' }, screen: plain });
  progress.stop();
  assert.doesNotMatch(written.join(''), /\[\d+m/);
});

test('as lines, one comes each 100 contracts, and one each 30 seconds when fewer are done', (t) => {
  const { lines, change, tick } = started(t, { mode: 'lines' });
  tick(1000);
  const begun = lines.length;
  change({ done: 1347 });
  tick(200);
  assert.equal(lines.length, begun);
  change({ done: 1348 });
  tick(200);
  assert.equal(lines.length, begun + 1);
  change({ elapsedMs: 13_400 + 29_999 });
  tick(200);
  assert.equal(lines.length, begun + 1);
  change({ elapsedMs: 13_400 + 30_000 });
  tick(200);
  assert.equal(lines.length, begun + 2);
});

test('who announces each contract gets a line every 100 of them without any time passing', (t) => {
  const { lines, change, progress } = started(t, { mode: 'lines' });
  for (let done = 1; done <= 1000; done += 1) {
    change({ done });
    progress.advance();
  }
  assert.deepEqual(
    lines.map(({ done }) => done),
    [100, 200, 300, 400, 500, 600, 700, 800, 900, 1000],
  );
});

test('a second chance, which takes back failures, does not silence the lines', (t) => {
  const { lines, change, tick } = started(t, { mode: 'lines' });
  tick(200);
  change({ done: 1000 });
  tick(200);
  const begun = lines.length;
  change({ done: 1100 });
  tick(200);
  assert.equal(lines.length, begun + 1);
});

test('the last line says where the run ended, with whole milliseconds and without the terminal', (t) => {
  const { lines, screen, progress, change } = started(t, { mode: 'lines' });
  change({ done: 2000, elapsedMs: 20_000.7 });
  progress.note('stopping');
  progress.stop();
  progress.stop();
  assert.deepEqual(
    lines.map(({ msg, done, elapsedMs }) => [msg, done, elapsedMs]),
    [
      ['stopping', undefined, undefined],
      ['progress', 2000, 20_001],
    ],
  );
  assert.equal(screen.written, 0);
});
