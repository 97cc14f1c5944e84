import { chmod, mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { once } from 'node:events';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import type { Ended } from '../../support/night.ts';
import { roleWithPassword } from '../../support/database.ts';
import { smallJob } from '../../support/job-file.ts';
import { startNight } from '../../support/night.ts';
import { listAndLookUp, scriptedNight, scriptedToken } from '../../support/scripted-job.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';

/** Exit code 2, nothing on standard output, and one sentence for a human beside the log. */
function assertRefused({ exitCode, stdout, stderr }: Omit<Ended, 'signal'>, says: RegExp): void {
  assert.equal(exitCode, 2, stdout + stderr);
  assert.equal(stdout, '');
  assert.match(stderr, says);
  const sentences = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{') && !line.startsWith('('));
  assert(sentences.length === 1, `one sentence was expected:\n${stderr}`);
}

const good = (origin: string): string => smallJob.replace('https://crm.example', origin);

/** What is changed in the good file, and what must be said, after file, line and column. */
const badFiles: Record<string, { change: (text: string) => string; says: RegExp }> = {
  'an empty file': { change: () => '', says: /bad\.yaml/ },
  'no YAML': { change: (text) => `${text}  - [`, says: /bad\.yaml:\d+:\d+/ },
  'an unknown key': {
    change: (text) => `schedul: "0 2 * * *"\n${text}`,
    says: /bad\.yaml:1:1.*did you mean "schedule"/,
  },
  'an unknown API': { change: (text) => text.replace('api: crm', 'api: crn'), says: /bad\.yaml:7:8.*crn/ },
  'a missing section': { change: (text) => text.replace(/load:[^]*/, ''), says: /load/ },
  'a variable that is not set': {
    change: (text) => text.replace('/contracts', '/${NOT_SET}'),
    says: /bad\.yaml:8:\d+.*NOT_SET/,
  },
  'a secret written out': {
    change: (text) => text.replace('type: rest', 'type: rest\n    auth: { type: bearer, token: hush-hush-literal }'),
    says: /\{ env: NAME \}/,
  },
  'a secret that is not there': {
    change: (text) => text.replace('type: rest', 'type: rest\n    auth: { type: bearer, token: { env: NOT_SET } }'),
    says: /NOT_SET/,
  },
  'a path beyond the API': {
    change: (text) => text.replace('path: /contracts', 'path: //evil.example/contracts'),
    says: /bad\.yaml:8:\d+/,
  },
  'a bad duration': {
    change: (text) => text.replace('type: rest', 'type: rest\n    timeout: 5 parsecs'),
    says: /duration.*5 parsecs/,
  },
  'a column type with SQL after it': {
    change: (text) => text.replace('type: text', 'type: "text); DROP TABLE users; --"'),
    says: /bad\.yaml:14:\d+.*Postgres type/,
  },
  'a key that is no column': { change: (text) => text.replace('key: [id]', 'key: [idd]'), says: /idd/ },
  'a path that begins nowhere': {
    change: (text) => text.replace('from: listed.id', 'from: lookup.id'),
    says: /lookup/,
  },
  'lookups in a circle': {
    change: (text) => `${text}lookups:\n  a: { api: crm, path: "/{b.id}" }\n  b: { api: crm, path: "/{a.id}" }\n`,
    says: /circle|cycle|one another|each other/,
  },
  'a sum over a column that is not there': { change: (text) => `${text}controls: [{ sum: anual }]\n`, says: /anual/ },
  'a zone that does not exist': {
    change: (text) => `timezone: Europe/Berln\n${text}`,
    says: /bad\.yaml:1:11.*Europe\/Berln/,
  },
  'a rate of nothing': {
    change: (text) => text.replace('type: rest', 'type: rest\n    limits: { rates: [{ requests: 0, per: 1s }] }'),
    says: /whole number from 1/,
  },
  'a schedule that never comes': { change: (text) => `schedule: "0 25 * * *"\n${text}`, says: /bad\.yaml:1:\d+/ },
  'the same key twice': { change: (text) => `${text}name: other\n`, says: /bad\.yaml:\d+:\d+/ },
  'a table in a schema of ours': {
    change: (text) => text.replace('table: contracts', 'table: nightfill.chunk'),
    says: /schema nightfill/,
  },
};

describe('a bad job file exits with 2 and one message, and nothing is asked', { concurrency: 5 }, () => {
  let server: ScriptedServer;
  before(async () => {
    server = await ScriptedServer.start(() => ({ json: [] }));
  });
  after(async () => {
    assert.deepEqual(server.log, []);
    await server[Symbol.asyncDispose]();
  });

  for (const [name, { change, says }] of Object.entries(badFiles)) {
    test(name, async (t) => {
      const night = await startNight(t, { databaseUrl: 'postgres://nobody@127.0.0.1:1/none' });
      await night.write('bad.yaml', change(good(server.origin)));
      const run = await night.nightfill('run', path.join(night.folder, 'bad.yaml'));
      assertRefused(run, says);
      assert(!run.stderr.includes('hush-hush'));
    });
  }
});

describe('what cannot be started exits with 2 and one sentence', { concurrency: 5 }, () => {
  const script = listAndLookUp([{ id: 'a' }]);

  test('a database that is down', async (t) => {
    const { server, night } = await scriptedNight(t, { script });
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port } = closed.address() as { port: number };
    closed.close();
    night.environment['DATABASE_URL'] = `postgres://someone:hush-hush@127.0.0.1:${port}/night`;
    const run = await night.nightfill('run', 'job.yaml', '--database-wait', '0s');
    assertRefused(run, new RegExp(`127\\.0\\.0\\.1:${port}`));
    assert.deepEqual(server.log, []);
    assert(!run.stderr.includes('hush-hush'));
  });

  test('a wrong database password', async (t) => {
    const { server, night } = await scriptedNight(t, { script });
    const url = await roleWithPassword(t);
    url.password = 'wrong-hush-hush';
    night.environment['DATABASE_URL'] = url.href;
    const run = await night.nightfill('run', 'job.yaml');
    assertRefused(run, /password/);
    assert.deepEqual(server.log, []);
    assert(!run.stderr.includes('hush-hush'));
  });

  test('credentials that the listing refuses', async (t) => {
    const { server, night } = await scriptedNight(t, {
      script: () => ({ status: 401, body: `{"error":"${scriptedToken} is no token of ours"}` }),
    });
    assertRefused(await night.nightfill('run', 'job.yaml'), /API "crm".*401/);
    assert.equal(server.requests.length, 1);
    assert.deepEqual(await night.query('SELECT FROM nightfill.run'), []);
    assert.deepEqual(await night.query('SELECT FROM nightfill.instance'), []);
  });

  test('credentials that a lookup refuses', async (t) => {
    const records = Array.from({ length: 200 }, (_, index) => ({ id: `c${index}` }));
    const { server, night } = await scriptedNight(t, {
      script: ({ url }) => (url === '/contracts' ? { json: { data: records } } : { status: 401, json: {} }),
    });
    assertRefused(await night.nightfill('run', 'job.yaml'), /API "crm".*401/);
    assert(server.requests.length < 50, `${server.requests.length} requests with credentials known to be wrong`);
    assert.deepEqual(await night.query('SELECT FROM nightfill.run'), []);
    server.answerWith(listAndLookUp(records));
    assert.equal((await night.nightfill('run', 'job.yaml')).exitCode, 0);
  });

  for (const onFailure of ['null', 'last-known'])
    test(`credentials that a lookup refuses, also with onFailure: ${onFailure}`, async (t) => {
      const records = Array.from({ length: 40 }, (_, index) => ({ id: `c${index}` }));
      const lookup = {
        api: 'crm',
        path: '/contracts/{key}',
        onFailure,
        ...(onFailure !== 'null' && { maxAge: '48h' }),
      };
      const columns = {
        id: { from: 'listed.id', type: 'text' },
        amount: { from: 'contract.amount', type: 'numeric(12,2)', default: null },
      };
      const { server, night } = await scriptedNight(t, {
        script: listAndLookUp(records, (key) => ({ id: key, amount: 5 })),
        job: {
          api: { limits: { concurrency: 4 } },
          lookups: { contract: lookup },
          load: { table: 'contracts', key: ['id'], columns },
          controls: [],
        },
      });
      const file = path.join(night.folder, 'job.yaml');
      const run = async (date: string): Promise<Omit<Ended, 'signal'>> =>
        night.nightfill('run', file, '--date', date, '--report', path.join(night.folder, `${date}.json`));
      assert.equal((await run('2026-11-20')).exitCode, 0, 'with good credentials');
      const stored = await night.query('SELECT id, amount FROM contracts ORDER BY id');
      const before = server.requests.length;
      server.answerWith(({ url }) => (url === '/contracts' ? { json: { data: records } } : { status: 401, json: {} }));
      assertRefused(await run('2026-11-21'), /API "crm".*401/);
      const asked = server.requests.length - before;
      assert(asked < 20, `${asked} requests with credentials known to be wrong`);
      assert.deepEqual(await night.query('SELECT id, amount FROM contracts ORDER BY id'), stored);
    });

  test('a job file that is not there', async (t) => {
    const { night } = await scriptedNight(t, { script });
    assertRefused(await night.nightfill('run', 'jobs/nowhere.yaml'), /jobs\/nowhere\.yaml/);
  });

  test('a report that could not be written', async (t) => {
    const { server, night } = await scriptedNight(t, { script });
    await night.write('file', 'no folder');
    assertRefused(
      await night.nightfill('run', 'job.yaml', '--report', 'file/report.json'),
      /report.*file\/report\.json/,
    );
    await mkdir(path.join(night.folder, 'folder.json'));
    assertRefused(await night.nightfill('run', 'job.yaml', '--report', 'folder.json'), /report.*folder\.json/);
    assert.deepEqual(server.log, []);
  });

  test(
    'a folder that must not be written to',
    { skip: process.getuid?.() === 0 && 'root may write anywhere' },
    async (t) => {
      const { server, night } = await scriptedNight(t, { script });
      await mkdir(path.join(night.folder, 'locked'));
      await chmod(path.join(night.folder, 'locked'), 0o500);
      assertRefused(await night.nightfill('run', 'job.yaml', '--report', 'locked/report.json'), /report.*locked/);
      assert.deepEqual(server.log, []);
    },
  );

  for (const [what, commandLine, says] of [
    ['an unknown option', ['run', 'job.yaml', '--fast'], /unknown option '--fast'/],
    ['an unknown command', ['rnu', 'job.yaml'], /unknown command 'rnu'/],
    ['a date that is none', ['run', 'job.yaml', '--date', '2026-02-30'], /--date.*2026-02-30/],
    ['a limit of nothing', ['run', 'job.yaml', '--limit', '0'], /--limit.*"0"/],
    ['a job that is not named', ['run'], /missing required argument 'job'/],
    ['a run that never was', ['rerun', 'latest'], /there is no run/],
  ] as const) {
    test(what, async (t) => {
      const { server, night } = await scriptedNight(t, { script });
      assertRefused(await night.nightfill(...commandLine), says);
      assert.deepEqual(server.log, []);
    });
  }
});
