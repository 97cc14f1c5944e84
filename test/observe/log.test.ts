import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { test } from 'node:test';
import fc from 'fast-check';
import { createLog, type Log } from '../../src/observe/log.ts';
import { NightfillError, UsageError } from '../../src/resilience/failure.ts';
import { Secret } from '../../src/sources/auth/secret.ts';

type Line = Record<string, unknown>;

function recording(secrets: string[] = [], level = 'debug'): { log: Log; texts: string[]; lines: () => Line[] } {
  const texts: string[] = [];
  const log = createLog({ level, secrets, write: (line) => texts.push(line) });
  return { log, texts, lines: () => texts.map((text) => JSON.parse(text) as Line) };
}

test('a line is JSON with level, time and message, ended by a line break', () => {
  const { log, texts, lines } = recording();
  log.info({ chunk: 3, amount: 12n }, '100% done, %s untouched\nand one line');
  assert.equal(texts.length, 1);
  assert.equal(texts[0]!.indexOf('\n'), texts[0]!.length - 1);
  const { time, ...rest } = lines()[0]!;
  assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.deepEqual(rest, { level: 'info', chunk: 3, amount: '12', msg: '100% done, %s untouched\nand one line' });
});

test('a line is shown by a terminal as it is, and means what it meant', () => {
  const { log, texts, lines } = recording();
  const hostile = 'A\r\n\u001b[2J\u007f\u009b31m\u202e\u2069\u200e\u061c\u2028';
  log.warn({ key: hostile, [hostile]: 1 }, hostile);
  assert.doesNotMatch(texts[0]!.slice(0, -1), /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u);
  const { level, time, ...rest } = lines()[0]!;
  assert.deepEqual([level, typeof time, rest], ['warn', 'string', { key: hostile, [hostile]: 1, msg: hostile }]);
});

test('what is below the level is not written, and an unknown level is a usage error that names the known ones', () => {
  const { log, lines } = recording([], 'warn');
  log.debug('a');
  log.info('b');
  log.warn('c');
  log.error('d');
  assert.deepEqual(
    lines().map(({ msg }) => msg),
    ['c', 'd'],
  );
  assert.throws(
    () => createLog({ level: 'loud', secrets: [] }),
    (error) => error instanceof UsageError && /NIGHTFILL_LOG_LEVEL.*debug.*"loud"/.test(error.message),
  );
});

test('of an error stand name, code, message, stack and causes, and nothing that hangs on it', () => {
  const { log, lines } = recording();
  const cause = Object.assign(new TypeError('inner'), { code: 'ECONNRESET', headers: { authorization: 'Bearer x' } });
  const error = Object.assign(new Error('outer', { cause }), { client: { password: 'p' }, detail: 'Key (id)=(7)' });
  log.error({ error }, 'failed');
  const shown = lines()[0]!['error'] as Line;
  assert.deepEqual(Object.keys(shown), ['name', 'message', 'stack', 'cause']);
  const shownCause = shown['cause'] as Line;
  assert.deepEqual(
    { ...shownCause, stack: '' },
    { name: 'TypeError', code: 'ECONNRESET', message: 'inner', stack: '' },
  );
});

test('an error thrown on purpose is told without its stack, also when it is all there is to log', () => {
  const { log, lines } = recording();
  log.error(new NightfillError({ code: 'API_DOWN', class: 'transient', message: 'the API is down' }));
  const { error, msg } = lines()[0]!;
  assert.deepEqual(error, { name: 'NightfillError', code: 'API_DOWN', message: 'the API is down' });
  assert.equal(msg, 'the API is down');
});

class Client {
  readonly connection = 'postgres://user:word@host/database';
}

test('only plain data passes: headers, bodies, buffers and foreign objects do not', () => {
  const { log, lines } = recording();
  const facts = {
    nested: { headers: { a: 1 }, body: 'b', apiToken: 't', statusCode: 200 },
    client: new Client(),
    bytes: Buffer.from('bytes'),
    map: new Map([['k', 'v']]),
    date: new Date(0),
    secret: new Secret('s'),
    wrapped: [new Secret('s')],
    exact: JSON.rawJSON('1.50'),
    many: Array.from({ length: 130 }, () => 0),
  };
  log.info(facts);
  const { level: _level, time: _time, many, ...shown } = lines()[0]!;
  assert.deepEqual(shown, {
    nested: { headers: '[redacted]', body: '[redacted]', apiToken: '[redacted]', statusCode: 200 },
    client: '[Client]',
    bytes: '[Buffer of 5 bytes]',
    map: '[Map]',
    date: '1970-01-01T00:00:00.000Z',
    secret: '[redacted]',
    wrapped: ['[redacted]'],
    exact: '1.50',
  });
  assert.equal((many as unknown[]).length, 101);
});

test('whatever is logged, logging does not throw', () => {
  const { log, lines } = recording();
  const circle: Record<string, unknown> = {};
  circle['self'] = circle;
  const hostile = {
    get broken(): never {
      throw new Error('no');
    },
  };
  const selfCaused = new Error('loop');
  selfCaused.cause = selfCaused;
  for (const facts of [
    { circle },
    { hostile },
    hostile,
    { error: selfCaused },
    Object.create(null) as object,
    [1],
    { f: () => 1 },
  ]) {
    log.info(facts, 'said');
  }
  assert.deepEqual(new Set(lines().map(({ msg }) => msg)), new Set(['said']));
  // What goes round is shown for some turns, not given up.
  assert.match(JSON.stringify(lines()[0]!['circle']), /^(\{"self":)+"\[deeper\]"\}+$/);
  assert.equal((lines()[3]!['error'] as Line)['message'], 'loop');
});

/** Every text in a line but the level and the time, joined. */
function textsIn(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.entries(value)
    .map(([key, inner]) => `${key}\u0000${textsIn(inner)}`)
    .join('\u0000');
}

test('no known secret leaves, however it got into the line', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 8, unit: 'binary' }), fc.string({ minLength: 8 }), (first, second) => {
      const { log, lines } = recording([first, second]);
      for (const secret of [first, second]) {
        const base64 = Buffer.from(secret).toString('base64');
        log.info(`said ${secret} aloud`);
        log.error(new Error(`wrong key ${secret}`, { cause: new Error(secret) }), 'failed');
        log.warn({ error: new AggregateError([new Error(secret)], 'all failed') }, 'failed');
        log.info({ deep: [{ a: { b: secret } }], [secret]: 1, json: JSON.stringify({ key: secret }) });
        log.info({ base64 }, `https://host/?key=${encodeURIComponent(secret.toWellFormed())}`);
        for (const { level: _level, time: _time, ...rest } of lines()) {
          const texts = textsIn(rest);
          assert.ok(
            !texts.includes(secret) && !texts.includes(base64) && !texts.includes(JSON.stringify(secret).slice(1, -1)),
          );
          if (secret.isWellFormed()) assert.ok(!texts.includes(encodeURIComponent(secret)));
        }
      }
    }),
  );
});

test('a secret such as 2 or e does not break the line', () => {
  const { log, lines } = recording(['2', 'e', '', '"', '4711', 'info', 'T']);
  log.info({ pin: 4711, count: 12, time2: 'twenty-2' }, 'done "well"');
  const [line] = lines();
  assert.deepEqual([line!['level'], line!['pin'], line!['count']], ['info', '[redacted]', 12]);
  assert.match(String(line!['time']), /^20\d\d-.*T.*Z$/);
});

test('a secret that is the name of a level does not hide the level', () => {
  const { log, lines } = recording(['info']);
  log.info('for your info');
  assert.deepEqual([lines()[0]!['level'], lines()[0]!['msg']], ['info', 'for your [redacted]']);
});

test('the credentials in a URL are removed though nobody named them', () => {
  const { log, lines } = recording();
  log.error(new Error('cannot connect to postgres://etl:pa@ss:w0rd@db.internal:5432/crm?x=a@b'), 'failed');
  const { message } = lines()[0]!['error'] as Line;
  assert.equal(message, 'cannot connect to postgres://[redacted]@db.internal:5432/crm?x=a@b');
});

test('lines can be diverted to a display and back', () => {
  const { log, texts } = recording();
  const display: string[] = [];
  log.divert?.((line) => display.push(line));
  log.info('one');
  log.divert?.();
  log.info('two');
  assert.deepEqual([display.length, texts.length], [1, 1]);
  assert.match(display[0]!, /"one"/);
});

const module = new URL('../../src/observe/log.ts', import.meta.url).href;
function script(body: string): string[] {
  return [
    '--input-type=module',
    '--eval',
    `import { createLog } from '${module}'; const log = createLog({ level: 'info', secrets: [] }); ${body}`,
  ];
}

test('lines go to standard error at once, so even a process that is killed has said them all', async () => {
  const child = execFile(
    process.execPath,
    script(`for (let i = 0; i < 200; i += 1) log.info({ i }, 'line'); process.kill(process.pid, 'SIGKILL')`),
  );
  const written = { stdout: '', stderr: '' };
  child.stdout!.on('data', (text: string) => (written.stdout += text));
  child.stderr!.on('data', (text: string) => (written.stderr += text));
  const [, signal] = (await once(child, 'close')) as [null, string];
  assert.deepEqual([signal, written.stdout, written.stderr.trimEnd().split('\n').length], ['SIGKILL', '', 200]);
});

test('a reader of the log that goes away does not end the process', async () => {
  const child = execFile(
    process.execPath,
    script(`for (let i = 0; i < 50000; i += 1) log.info('line'); console.log('alive')`),
  );
  let output = '';
  child.stdout!.on('data', (text: string) => (output += text));
  child.stderr!.once('data', () => child.stderr!.destroy());
  const [exitCode] = (await once(child, 'close')) as [number];
  assert.deepEqual([exitCode, output], [0, 'alive\n']);
});

test('a full disk under the log does not end the process', { skip: !existsSync('/dev/full') }, async () => {
  await using full = await open('/dev/full', 'w');
  const child = spawn(process.execPath, script(`log.info('one'); log.info('two'); console.log('alive')`), {
    stdio: ['ignore', 'pipe', full.fd],
  });
  let output = '';
  child.stdout!.on('data', (bytes: Buffer) => (output += bytes.toString()));
  const [exitCode] = (await once(child, 'close')) as [number];
  assert.deepEqual([exitCode, output], [0, 'alive\n']);
});
