import { test } from 'node:test';
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { loadJob } from '../../src/config/load-job.ts';
import { environment, load, refusal, smallJob } from '../support/job-file.ts';

const strict = { severity: 'fail', tolerance: { absolute: '0', share: 0 } };

test('the shipped job file loads', async () => {
  const job = await loadJob('jobs/contract-enrichment.yaml', { environment });
  assert.equal(job.name, 'contract-enrichment');
  assert.equal(job.apis['crm']?.baseUrl, 'http://127.0.0.1:4010');
  assert.equal(job.apis['usage']?.baseUrl, 'http://127.0.0.1:4011/api');
  assert.deepEqual(job.apis['crm']?.limits.rates, [{ requests: 95, per: 1000 }]);
  assert.deepEqual(
    job.lookups.map(({ name, needs, maxAge }) => ({ name, needs, maxAge })),
    [
      { name: 'contract', needs: [], maxAge: Infinity },
      { name: 'usage', needs: ['contract'], maxAge: 48 * 3_600_000 },
    ],
  );
  assert.deepEqual(job.load.columns[4], {
    name: 'usage_units',
    from: ['usage', 'units'],
    type: 'numeric(20,4)',
    default: 0,
  });
  assert.deepEqual(job.controls, [
    { type: 'sum', column: 'annual_value', by: 'currency', ...strict },
    { type: 'completeness', atLeast: 1, ...strict },
    { type: 'listed', change: 0.5, ...strict },
  ]);
  assert.deepEqual(job.contracts.total, { path: ['meta', 'total'] });
  assert.deepEqual(job.failures, { stopAbove: 0.2 });
});

test('what a job file leaves out has a default', async () => {
  const job = await load(smallJob);
  assert.equal(job.timezone, 'UTC');
  assert.equal(job.schedule, undefined);
  const { name: _, ...crm } = job.apis['crm']!;
  assert.deepEqual(crm, {
    type: 'rest',
    baseUrl: 'https://crm.example',
    auth: { type: 'none' },
    headers: {},
    limits: { concurrency: 10, rates: [], headroom: 0 },
    connections: 10,
    timeout: 30_000,
    retry: {
      attempts: 5,
      backoff: 'exponential',
      baseDelay: 200,
      maxDelay: 30_000,
      jitter: true,
      maxElapsed: 120_000,
    },
    breaker: { openFor: 30_000, trials: 5 },
    responses: [],
    maxResponseBytes: 32_000_000,
  });
  assert.deepEqual(job.contracts.paginate, { type: 'none' });
  assert.deepEqual(job.lookups, []);
  assert.deepEqual(job.load.table, { schema: 'public', name: 'contracts' });
  assert.deepEqual([job.load.create, job.load.missing, job.commit], [true, 'keep', 'chunk']);
  assert.deepEqual(job.controls, [{ type: 'listed', change: 0.5, ...strict }]);
  assert.deepEqual([job.chunk, job.failures], [{ size: 500 }, { stopAbove: 1 }]);
});

test('a part of retry that is given leaves the others at their defaults', async () => {
  const job = await load(smallJob.replace('type: rest', 'type: rest\n    retry: { attempts: 2, backoff: constant }'));
  const { attempts, backoff, maxDelay } = job.apis['crm']!.retry;
  assert.deepEqual({ attempts, backoff, maxDelay }, { attempts: 2, backoff: 'constant', maxDelay: 30_000 });
});

test('there are as many connections as requests in flight', async () => {
  const job = await load(smallJob.replace('type: rest', 'type: rest\n    limits: { concurrency: 25 }'));
  assert.equal(job.apis['crm']!.connections, 25);
});

test('headroom lowers every rate, rounded down, never below one', async () => {
  const rates = [1, 10, 19, 100].map((requests) => `{ requests: ${requests}, per: 1s }`).join(', ');
  const requests = async (headroom: string) => {
    const limits = `limits: { headroom: ${headroom}, rates: [${rates}] }`;
    const job = await load(smallJob.replace('type: rest', `type: rest\n    ${limits}`));
    return job.apis['crm']!.limits.rates.map((rate) => rate.requests);
  };
  assert.deepEqual(await requests('0%'), [1, 10, 19, 100]);
  assert.deepEqual(await requests('5%'), [1, 9, 18, 95]);
  // 0.07 × 100 and 100 × (1 − 0.9) are not whole in binary.
  assert.deepEqual(await requests('7%'), [1, 9, 17, 93]);
  assert.deepEqual(await requests('90%'), [1, 1, 1, 10]);
});

test("a quota counts the days of the job's time zone, and knows its header in any case", async () => {
  const quota = async (text: string) => {
    const job = await load(smallJob.replace('type: rest', `type: rest\n    limits: { quota: { ${text} } }`));
    return job.apis['crm']!.limits.quota;
  };
  assert.deepEqual(await quota('requests: 1000, per: day, reserve: 20%'), {
    requests: 1000,
    reserve: 0.2,
    timezone: 'UTC',
  });
  assert.deepEqual(await quota('header: Sforce-Limit-Info'), {
    header: 'sforce-limit-info',
    reserve: 0,
    timezone: 'UTC',
  });
});

test('lookups come in the order they need one another, whatever the order in the file', async () => {
  const job = await load(
    `${smallJob}lookups:
  third: { api: crm, path: "/c/{second.id}/{first.id}", query: { again: "{second.name}" } }
  second: { api: crm, path: "/b/{first.id}" }
  first: { api: crm, path: "/a/{key}/{listed.group}" }
  alone: { api: crm, path: "/d", query: { day: "{businessDate}", limit: 0100, active: true }, onFailure: null }
`,
  );
  assert.deepEqual(
    job.lookups.map(({ name, needs }) => [name, needs]),
    [
      ['first', []],
      ['second', ['first']],
      ['third', ['second', 'first']],
      ['alone', []],
    ],
  );
  const alone = job.lookups[3]!;
  assert.equal(alone.onFailure, 'null');
  assert.deepEqual([alone.query['limit']?.source, alone.query['active']?.source], ['0100', 'true']);
});

test('names that every object has are names like others', async () => {
  const text = smallJob
    .replaceAll('crm:', 'constructor:')
    .replace('api: crm', 'api: constructor')
    .replace('listed.amount', 'toString.amount');
  const job = await load(`${text}lookups:\n  toString: { api: constructor, path: "/x/{listed.valueOf}" }\n`);
  assert.equal(job.apis['constructor']?.name, 'constructor');
  assert.equal(job.lookups[0]?.name, 'toString');
  const { problems } = await refusal(smallJob.replace('api: crm', 'api: constructor'));
  assert.equal(problems[0]?.path, 'contracts.api');
});

test('the digits of a default stay as the file has them', async () => {
  const job = await load(
    smallJob
      .replace('"numeric(18,2)"', '"numeric(30,2)", default: 12345678901234567890.10')
      .replace('char(3)', 'jsonb, default: { a: [null, "x"] }'),
  );
  const [, amount, currency] = job.load.columns;
  assert.ok(JSON.isRawJSON(amount?.default));
  assert.equal(JSON.stringify(amount?.default), '12345678901234567890.10');
  assert.deepEqual(currency?.default, { a: [null, 'x'] });
});

test('a default of null is a default', async () => {
  const job = await load(smallJob.replace('type: char(3)', 'type: char(3), default: null'));
  assert.equal(job.load.columns[2]?.default, null);
  assert.equal(Object.hasOwn(job.load.columns[0]!, 'default'), false);
});

test('nobody can change a loaded job', async () => {
  const job = await load(smallJob);
  const walk = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    assert.ok(Object.isFrozen(value), inspect(value));
    Object.values(value).forEach(walk);
  };
  walk(job);
});

test('the fingerprint is about what the file means', async () => {
  const shipped = await loadJob('jobs/contract-enrichment.yaml', { environment });
  const otherSecret = await loadJob('jobs/contract-enrichment.yaml', {
    environment: { ...environment, CRM_TOKEN: 'another' },
  });
  const otherAddress = await loadJob('jobs/contract-enrichment.yaml', {
    environment: { ...environment, CRM_URL: 'http://127.0.0.1:4999' },
  });
  assert.match(shipped.file.sha256, /^[0-9a-f]{64}$/);
  assert.equal(otherSecret.file.sha256, shipped.file.sha256);
  assert.notEqual(otherAddress.file.sha256, shipped.file.sha256);

  const auth = (name: string) =>
    smallJob.replace('type: rest', `type: rest\n    auth: { type: bearer, token: { env: ${name} } }`);
  const [small, commented, defaulted, one, other] = await Promise.all([
    load(smallJob),
    load(`# a comment\n${smallJob.replace('https://crm.example', '"https://crm.example/"')}`),
    load(`${smallJob}chunk: { size: 500 }\n`),
    load(auth('CRM_TOKEN')),
    load(auth('USAGE_KEY')),
  ]);
  assert.equal(commented.file.sha256, small.file.sha256);
  assert.equal(defaulted.file.sha256, small.file.sha256);
  assert.notEqual(one.file.sha256, other.file.sha256);
});

test('fewer connections than requests in flight is a warning', async () => {
  const warnings: string[] = [];
  const text = smallJob.replace('type: rest', 'type: rest\n    connections: 5\n    limits: { concurrency: 20 }');
  const job = await load(text, { environment, onWarning: (sentence) => warnings.push(sentence) });
  assert.equal(job.apis['crm']!.connections, 5);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /job\.yaml:5:18: apis\.crm\.connections: 5 connections for 20 requests in flight/);
});

test('a sum of what only a transform makes is a warning, until the column says where it came from', async () => {
  const warned = async (column: string) => {
    const warnings: string[] = [];
    const text = smallJob.replace('load:', 'transform: ./t.mjs\nload:').replace(/amount: \{.*\}/, `amount: ${column}`);
    await load(`${text}controls: [{ sum: amount }]\n`, {
      environment,
      onWarning: (sentence) => warnings.push(sentence),
    });
    return warnings;
  };
  assert.match((await warned('{ type: numeric }')).join(), /the transform makes amount, so this control has nothing/);
  assert.deepEqual(await warned('{ type: numeric, listed: amount }'), []);
});

test('what other programs would fill in and is sent as text here is a warning, other literal braces are none', async () => {
  const warned = async (where: string) => {
    const warnings: string[] = [];
    const text = `${smallJob}lookups:\n  one: { api: crm, path: /x, query: { where: '${where}' } }\n`;
    const onWarning = (sentence: string): unknown => warnings.push(sentence);
    const { lookups } = await load(text, { environment, onWarning });
    assert.equal(lookups[0]!.query['where']?.source, where);
    return warnings.join();
  };
  assert.match(
    await warned('{{key}}'),
    /job\.yaml:18:\d+: lookups\.one\.query\.where: \{\{key\}\} is sent as the text \{key\}.*write \{key\}$/,
  );
  assert.match(await warned('{{listed.id}}'), /to have it filled in, write \{listed\.id\}$/);
  for (const where of ['{{"customerId":"{key}"}}', '{{Id}}={key}', '{{{key}}}']) assert.equal(await warned(where), '');
});

test('credentials over http to another machine are a warning, to this one they are not', async () => {
  const warned = async (baseUrl: string, auth = '{ type: bearer, token: { env: CRM_TOKEN } }') => {
    const warnings: string[] = [];
    const text = smallJob.replace('https://crm.example', `${baseUrl}\n    auth: ${auth}`);
    await load(text, { environment, onWarning: (sentence) => warnings.push(sentence) });
    return warnings.length;
  };
  assert.equal(await warned('http://crm.example'), 1);
  assert.equal(await warned('HTTP://crm.example'), 1);
  assert.equal(await warned('https://crm.example'), 0);
  assert.equal(await warned('http://crm.example', '{ type: none }'), 0);
  assert.equal(await warned('http://localhost:4010'), 0);
  assert.equal(await warned('http://127.0.0.1:4010'), 0);
});
