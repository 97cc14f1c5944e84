import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { describe, test, type TestContext } from 'node:test';
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import type { Ended, RunningProcess } from '../../support/night.ts';
import { listAndLookUp, scriptedNight } from '../../support/scripted-job.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';

const paginate = {
  cursor: { type: 'cursor', next: 'next', param: 'after' },
  nextUrl: { type: 'next-url', next: 'next' },
  linkHeader: { type: 'link-header' },
  page: { type: 'page', param: 'page' },
};

/** A server that must never be asked: it would be given credentials that are not for it. */
async function foreignServer(t: TestContext): Promise<ScriptedServer> {
  const server = await ScriptedServer.start(() => ({ json: { data: [{ id: 'foreign' }] } }));
  t.after(async () => server[Symbol.asyncDispose]());
  return server;
}

/** Exit code 2 when the first page already is refused: then nothing was started. */
function refused({ exitCode, stderr, stdout }: Ended, says: RegExp, { started = true } = {}): void {
  assert.match(stdout + stderr, says);
  assert.equal(exitCode, started ? 1 : 2, stdout + stderr);
}

describe('a listing that misbehaves ends the run with a clear message', { concurrency: 5 }, () => {
  for (const [name, way, script] of [
    [
      'a next link in the answer',
      'nextUrl',
      (foreign: string) => ({ json: { data: [{ id: 'a' }], next: `${foreign}/contracts?page=2` } }),
    ],
    [
      'a Link header',
      'linkHeader',
      (foreign: string) => ({
        json: { data: [{ id: 'a' }] },
        headers: { link: `<${foreign}/contracts?page=2>; rel="next"` },
      }),
    ],
    [
      'a redirect of the listing',
      'cursor',
      (foreign: string) => ({ status: 307, json: {}, headers: { location: `${foreign}/contracts` } }),
    ],
  ] as const) {
    test(`${name} to another origin is not followed, and that server sees no request`, async (t) => {
      const foreign = await foreignServer(t);
      const { server, night } = await scriptedNight(t, {
        script: () => script(foreign.origin),
        job: { contracts: { paginate: paginate[way] } },
      });
      refused(await night.nightfill('run', 'job.yaml'), new RegExp(RegExp.escape(foreign.origin)), {
        started: way !== 'cursor',
      });
      assert.deepEqual(foreign.requests, []);
      assert.equal(server.requests.filter(({ url }) => !url.startsWith('/contracts/')).length, 1);
    });
  }

  test('a redirect of one lookup to another origin fails that contract alone', async (t) => {
    const foreign = await foreignServer(t);
    const ordinary = listAndLookUp([{ id: 'a' }, { id: 'b' }, { id: 'c' }]);
    const redirect = { status: 302, json: {}, headers: { location: `${foreign.origin}/b` } };
    const { night } = await scriptedNight(t, {
      script: (request) => (request.url === '/contracts/b' ? redirect : ordinary(request)),
    });
    const { exitCode } = await night.nightfill('run', 'job.yaml');
    assert.equal(exitCode, 3);
    assert.deepEqual(foreign.requests, []);
    const { failures, counts } = await night.report();
    assert.deepEqual(
      failures.map(({ key, code, attempts }) => ({ key, code, attempts })),
      [{ key: 'b', code: 'REDIRECT_REFUSED', attempts: 1 }],
    );
    assert.equal(counts.enriched, 2);
  });

  for (const [name, way, answer] of [
    [
      'leads back to a page already read',
      'cursor',
      (page: number) => ({ data: [{ id: `r${page}` }], next: `c${page % 3}` }),
    ],
    [
      'serves the same page under ever new cursors',
      'cursor',
      (page: number) => ({ data: [{ id: 'r' }], next: `c${page}` }),
    ],
    ['serves empty pages under ever new cursors', 'cursor', (page: number) => ({ data: [], next: `c${page}` })],
    ['ignores the page number', 'page', () => ({ data: [{ id: 'r' }] })],
  ] as const) {
    test(`a listing that ${name} is refused after a few pages`, async (t) => {
      let pages = 0;
      const { server, night } = await scriptedNight(t, {
        script: ({ url }) => (url.startsWith('/contracts/') ? { json: { id: 'r' } } : { json: answer((pages += 1)) }),
        job: { contracts: { paginate: paginate[way] } },
      });
      refused(await night.nightfill('run', 'job.yaml'), /page/, { started: answer(1).data.length > 0 });
      assert(pages <= 2_000, `${pages} pages were asked for`);
      assert(server.requests.length <= 2_010);
    });
  }
});

/** The most memory the process ever held, in MB. */
async function peakMemory({ processId, ended }: RunningProcess): Promise<number> {
  let peak = 0;
  let over = false;
  void ended.then(() => (over = true));
  while (!over) {
    const status = await readFile(`/proc/${processId}/status`, 'utf8').catch(() => '');
    peak = Math.max(peak, Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024);
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
  return peak;
}

const skip = process.platform === 'linux' ? false : 'the peak of a process is read from /proc';
const megabyte = Buffer.alloc(2 ** 20, 'x');
const blanks = gzipSync(Buffer.alloc(2 ** 20, ' '));

test('an answer of 400 MB does not fill the memory', { skip }, async (t) => {
  let sent = 0;
  const { night } = await scriptedNight(t, {
    async script(_request, { response }) {
      response.writeHead(200, { 'content-type': 'application/json' }).write('{"data":["');
      for (let count = 0; count < 400 && !response.destroyed; count += 1) {
        sent += 1;
        if (!response.write(megabyte)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
      }
      response.end('"]}');
    },
  });
  const running = night.startProcess('run', 'job.yaml');
  const peak = await peakMemory(running);
  refused(await running.ended, /longer than maxResponse/);
  assert(peak > 50 && peak < 250, `${peak} MB at the peak`);
  assert(sent < 400, 'the rest of the answer is not read');
});

test('400 MB packed into an answer of less than one do not fill the memory', { skip }, async (t) => {
  // As long as what was packed at once, and packed in no time.
  const packed = Buffer.concat(Array.from({ length: 400 }, () => blanks));
  const { night } = await scriptedNight(t, {
    script: () => ({ body: packed, headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' } }),
  });
  const running = night.startProcess('run', 'job.yaml');
  const peak = await peakMemory(running);
  refused(await running.ended, /longer than maxResponse/);
  assert(peak > 50 && peak < 250, `${peak} MB at the peak`);
});
