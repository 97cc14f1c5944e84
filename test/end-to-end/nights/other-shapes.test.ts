import { test } from 'node:test';
import assert from 'node:assert/strict';
import { missing, startCluster } from '../../support/cluster.ts';
import { execute } from '../../support/database.ts';
import { assertAllPass, startNight } from '../../support/night.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';
import pg from 'pg';

const skip = await missing(15);

const job = `
name: treaties_2
timezone: Asia/Tokyo
apis:
  registry:
    type: rest
    baseUrl: \${REGISTRY}/v2
    auth: { type: basic, username: night, password: { env: REGISTRY_PASSWORD } }
contracts:
  api: registry
  path: /treaties/search
  query: { state: in-force, on: "{businessDate}" }
  records: result.items
  key: ref.number
  paginate: { type: cursor, next: result.next_page_token, param: page_token }
  total: result.count
lookups:
  terms: { api: registry, path: "/treaties/{key}/terms" }
  party: { api: registry, path: "/parties/{terms.body.parties[0].id}" }
load:
  table: finance.treaties
  key: [treaty_no]
  columns:
    treaty_no:   { from: listed.ref.number, type: bigint }
    party_name:  { from: party.name, type: text }
    unit:        { from: terms.body.money.unit, type: text }
    premium:     { from: terms.body.money.premium, type: "numeric(30,2)" }
    ceded:       { from: terms.body.money.ceded, type: numeric }
    remark:      { from: terms.body.remark, type: text }
    grade:       { from: terms.body.grade, type: text, default: none }
    risk:        { from: terms.body.risk, type: text, default: null }
    polluted:    { from: terms.body.extra.__proto__.admin, type: boolean, default: false }
    extra:       { from: terms.body.extra, type: jsonb }
    layers:      { from: terms.body.layers, type: "numeric[]" }
controls:
  - { sum: premium, by: unit }
  - { sum: ceded, by: unit }
chunk: { size: 4 }
`;

const names = [
  'tab\there',
  'line\nbreak\r\nand return',
  'back\\slash \\t \\n',
  '\\N',
  '\\.',
  '🚀 👩‍👩‍👧 日本橋',
  'x'.repeat(2_999) + '語',
  '',
  ' "quoted", {braces} \u0001\u007f\u2028 ',
];

/** What the server sends for the treaty: JSON text, because some of its numbers are none of JavaScript's. */
const treaties = names.map((name, index) => {
  const premium = [
    '9007199254740993.07',
    '"12345678901234567890.10"',
    '-0.10',
    '1e3',
    '0',
    '"0.00"',
    '123.4',
    'null',
    '99',
  ][index]!;
  const grade = ['"A"', 'null', undefined][index % 3];
  return {
    number: 9_007_199_254_740_000 + index,
    name,
    unit: index % 2 === 0 ? 'EUR' : 'JPY',
    premium,
    ceded: index === 1 ? '0.1234567890123456789' : '0.30',
    remark: index === 2 ? 'null' : JSON.stringify(name),
    grade,
    extra:
      index === 3 ? '{"__proto__":{"admin":true},"constructor":9007199254740993.070}' : '{"plain":[1.50,"\\u00e9"]}',
  };
});

function answer(url: string, parties: ReadonlyMap<string, string>): string {
  const { pathname, searchParams } = new URL(url, 'http://registry');
  const number = /^\/v2\/treaties\/(\d+)\/terms$/.exec(pathname)?.[1];
  if (number) {
    const {
      name: _,
      premium,
      unit,
      ceded,
      remark,
      grade,
      extra,
    } = treaties.find((one) => String(one.number) === number)!;
    return `{"body":{"parties":[{"id":"P ${number}"}],"money":{"unit":"${unit}","premium":${premium},"ceded":${ceded}},"remark":${remark},${
      grade === undefined ? '' : `"grade":${grade},`
    }"extra":${extra},"layers":[1.10,null,9007199254740993.07]}}`;
  }
  const party = /^\/v2\/parties\/(.+)$/.exec(pathname)?.[1];
  if (party) return JSON.stringify({ name: parties.get(decodeURIComponent(party)) });
  const start = Number(searchParams.get('page_token')?.slice(1) ?? 0);
  const items = treaties.slice(start, start + 2).map(({ number: no }) => `{"ref":{"number":${no}},"pad":1}`);
  const next = start + 2 < treaties.length ? `"t${start + 2}"` : 'null';
  return `{"result":{"items":[${items.join(',')}],"next_page_token":${next},"count":${treaties.length}}}`;
}

test('a job file of other names and shapes loads every value exactly, into PostgreSQL 15', { skip }, async (t) => {
  await using cluster = await startCluster({ version: 15 });
  await execute(cluster.url, 'CREATE SCHEMA finance');
  const parties = new Map(treaties.map(({ number, name }) => [`P ${number}`, name]));
  await using server = await ScriptedServer.start(({ url }) => ({
    body: answer(url, parties),
    headers: { 'content-type': 'application/json' },
  }));
  const password = 'registry-hush-hush';
  const night = await startNight(t, {
    databaseUrl: cluster.url,
    environment: { REGISTRY: server.origin, REGISTRY_PASSWORD: password },
    secrets: [password, Buffer.from(`night:${password}`).toString('base64')],
  });
  await night.write('treaties.yaml', job);
  const client = new pg.Client({ connectionString: cluster.url });
  await client.connect();
  t.after(async () => client.end().catch(() => undefined));
  const texts = async (sql: string): Promise<Record<string, string | null>[]> =>
    (await client.query<Record<string, string | null>>(sql)).rows;

  await t.test('every value is what the source wrote', async () => {
    const run = await night.nightfill('run', 'treaties.yaml', '--date', '2026-02-28');
    assert.equal(run.exitCode, 0, run.stdout + run.stderr);
    assert(
      server.log.includes('GET /v2/treaties/search?on=2026-02-28&state=in-force') ||
        server.log.includes('GET /v2/treaties/search?state=in-force&on=2026-02-28'),
    );
    const rows = await texts(
      `SELECT treaty_no::text, party_name, unit, premium::text, ceded::text, remark, grade, risk, polluted::text, extra::text, layers::text
       FROM finance.treaties ORDER BY treaty_no`,
    );
    const premiums = [
      '9007199254740993.07',
      '12345678901234567890.10',
      '-0.10',
      '1000.00',
      '0.00',
      '0.00',
      '123.40',
      null,
      '99.00',
    ];
    assert.deepEqual(
      rows,
      treaties.map(({ number, name, unit, ceded, remark }, index) => ({
        treaty_no: String(number),
        party_name: name,
        unit,
        premium: premiums[index],
        ceded,
        remark: remark === 'null' ? null : name,
        grade: ['A', null, 'none'][index % 3],
        risk: null,
        polluted: index === 3 ? 'true' : 'false',
        extra:
          index === 3
            ? '{"__proto__": {"admin": true}, "constructor": 9007199254740993.070}'
            : '{"plain": [1.50, "é"]}',
        layers: '{1.10,NULL,9007199254740993.07}',
      })),
    );
  });

  await t.test('the report sums them exactly, and Postgres agrees', async () => {
    const { amounts, counts, controls, run } = await night.report();
    const sums = await texts(
      `SELECT 'ceded' AS column, unit AS currency, sum(ceded)::text AS amount FROM finance.treaties GROUP BY unit
       UNION ALL SELECT 'premium', unit, sum(premium)::text FROM finance.treaties GROUP BY unit ORDER BY 1, 2`,
    );
    assert.deepEqual(
      amounts
        .map(({ column, currency, loaded }) => ({ column, currency, amount: loaded }))
        .toSorted((a, b) => (a.column < b.column ? -1 : 1)),
      sums,
    );
    assert.equal(
      amounts.find(({ column, currency }) => column === 'premium' && currency === 'EUR')?.loaded,
      '9007199254741215.37',
    );
    for (const { listed, loaded, variance } of amounts) assert.deepEqual([listed, Number(variance)], [loaded, 0]);
    assertAllPass(controls);
    assert.equal(controls.filter(({ type }) => type === 'sum').length, 2 * 4);
    assert.deepEqual([counts.sourceTotal, counts.listed, counts.enriched, counts.inserted], [9, 9, 9, 9]);
    assert.match(run.database, /^PostgreSQL/);
  });

  await t.test('run again, it says that the date is complete and asks nothing', async () => {
    const asked = server.requests.length;
    const again = await night.nightfill('run', 'treaties.yaml', '--date', '2026-02-28');
    assert.deepEqual([again.exitCode, server.requests.length], [0, asked]);
    assert.match(again.stdout, /complete/);
  });

  await t.test('planned anew with nothing changed, it rewrites no row', async () => {
    const versions = 'SELECT treaty_no, xmin::text, ctid::text FROM finance.treaties ORDER BY treaty_no';
    const before = await texts(versions);
    const again = await night.nightfill('run', 'treaties.yaml', '--date', '2026-02-28', '--again');
    assert.equal(again.exitCode, 0, again.stderr);
    assert.deepEqual(await texts(versions), before);
    const { counts } = await night.report();
    assert.deepEqual([counts.unchanged, counts.updated, counts.inserted], [9, 0, 0]);
  });

  await client.end();
});
