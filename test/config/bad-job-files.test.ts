import { test } from 'node:test';
import assert from 'node:assert/strict';
import { refusal, smallJob } from '../support/job-file.ts';

interface BadFile {
  /** Text of the small job that is replaced; at the end of the file when absent. */
  instead?: string;
  /** The replacement; ▸ marks where the message must point. */
  write: string;
  path: string;
  says: RegExp;
}

const lookup = (text: string) => `lookups:\n  one: ${text}\n`;
const api = '    baseUrl: https://crm.example\n';
const url = 'https://crm.example';
const listing = '  path: /contracts\n';

const badFiles: Record<string, BadFile> = {
  'an unknown key at the top': {
    write: '▸schedul: "0 2 * * *"\n',
    path: 'schedul',
    says: /unknown key "schedul" \(did you mean "schedule"\?\)/,
  },
  'an unknown key of an API': {
    instead: api,
    write: `${api}    ▸time-out: 5s\n`,
    path: 'apis.crm.time-out',
    says: /did you mean "timeout"\?\); known here: type, baseUrl/,
  },
  'a key nothing is close to': {
    write: '▸sprockets: 1\n',
    path: 'sprockets',
    says: /^unknown key "sprockets"; known here: name, timezone/,
  },
  'a missing part': {
    instead: 'load:\n  table: contracts\n',
    write: '▸load:\n',
    path: 'load.table',
    says: /expected a table as name or schema\.name.*it is missing/,
  },
  'a missing section': {
    instead: /^contracts:[^]*?(?=^load)/m.exec(smallJob)![0],
    write: '',
    path: 'contracts',
    says: /expected a mapping of keys to values, but it is missing/,
  },
  'text where a mapping belongs': {
    instead: '\n  crm:\n    type: rest\n    baseUrl: https://crm.example',
    write: '\n  crm: ▸rest',
    path: 'apis.crm',
    says: /expected a mapping of keys to values, got "rest"/,
  },
  'a key that stands alone': {
    instead: api,
    write: `${api}    retry:▸\n`,
    path: 'apis.crm.retry',
    says: /expected a mapping of keys to values, got nothing/,
  },
  'a name with a space': {
    instead: 'name: small',
    write: 'name: ▸small job',
    path: 'name',
    says: /expected a name of letters.*got "small job"/,
  },
  'no API at all': {
    instead: '\n  crm:\n    type: rest\n    baseUrl: https://crm.example',
    write: ' ▸{}',
    path: 'apis',
    says: /expected at least one API/,
  },
  'a time zone that does not exist': {
    write: 'timezone: ▸Europe/Berln\n',
    path: 'timezone',
    says: /expected a time zone such as Europe\/Berlin or UTC, got "Europe\/Berln"/,
  },
  'a time zone that is only an offset': {
    write: 'timezone: ▸"+01:00"\n',
    path: 'timezone',
    says: /expected a time zone such as Europe\/Berlin or UTC, got "\+01:00"/,
  },
  'a schedule of four fields': {
    write: 'schedule: ▸"0 2 * *"\n',
    path: 'schedule',
    says: /expected five fields.*got 4/,
  },
  'a schedule past the hour': {
    write: 'schedule: ▸0 24 * * *\n',
    path: 'schedule',
    says: /"24" is not an hour from 0 to 23/,
  },
  'a time that is none': {
    write: 'finishBy: ▸24:00\n',
    path: 'finishBy',
    says: /expected a time as "HH:MM".*got "24:00"/,
  },
  'a base URL that is none': {
    instead: url,
    write: '▸crm.example',
    path: 'apis.crm.baseUrl',
    says: /expected an address such as https:.*got "crm.example"/,
  },
  'a base URL of another protocol': {
    instead: url,
    write: '▸ftp://crm.example',
    path: 'apis.crm.baseUrl',
    says: /expected an address such as https:/,
  },
  'a base URL with a query': {
    instead: url,
    write: '▸https://crm.example?tenant=5',
    path: 'apis.crm.baseUrl',
    says: /no \?query and no #fragment; put parameters under query/,
  },
  'a base URL with a fragment': {
    instead: url,
    write: '▸https://crm.example#x',
    path: 'apis.crm.baseUrl',
    says: /no \?query and no #fragment/,
  },
  'the address where clouds hand out credentials': {
    instead: url,
    write: '▸http://169.254.169.254/latest',
    path: 'apis.crm.baseUrl',
    says: /link-local/,
  },
  'the same address in hexadecimal': {
    instead: url,
    write: '▸http://0xa9fea9fe/latest',
    path: 'apis.crm.baseUrl',
    says: /link-local/,
  },
  'a duration in words': {
    instead: api,
    write: `${api}    timeout: ▸30 seconds\n`,
    path: 'apis.crm.timeout',
    says: /expected a duration such as 250ms, 30s.*got "30 seconds"/,
  },
  'a duration without a unit': {
    instead: api,
    write: `${api}    timeout: ▸30\n`,
    path: 'apis.crm.timeout',
    says: /expected a duration such as.*got 30/,
  },
  'a timeout of nothing': {
    instead: api,
    write: `${api}    timeout: ▸0s\n`,
    path: 'apis.crm.timeout',
    says: /above 0 and.*got "0s"/,
  },
  'a timeout longer than a timer can run': {
    instead: api,
    write: `${api}    timeout: ▸25d\n`,
    path: 'apis.crm.timeout',
    says: /at most 24d.*got "25d"/,
  },
  'a rate of zero': {
    instead: api,
    write: `${api}    limits: { rates: [{ requests: ▸0, per: 1s }] }\n`,
    path: 'apis.crm.limits.rates[0].requests',
    says: /expected a whole number from 1 .*got 0/,
  },
  'a fraction of a request': {
    instead: api,
    write: `${api}    limits: { rates: [{ requests: ▸2.5, per: 1s }] }\n`,
    path: 'apis.crm.limits.rates[0].requests',
    says: /expected a whole number.*got 2.5/,
  },
  'no concurrency': {
    instead: api,
    write: `${api}    limits: { concurrency: ▸0 }\n`,
    path: 'apis.crm.limits.concurrency',
    says: /whole number from 1 to 1,000/,
  },
  'headroom that leaves nothing': {
    instead: api,
    write: `${api}    limits: { headroom: ▸100% }\n`,
    path: 'apis.crm.limits.headroom',
    says: /a percentage below 100%/,
  },
  'an unknown way of authentication': {
    instead: api,
    write: `${api}    auth: { type: ▸digest }\n`,
    path: 'apis.crm.auth.type',
    says: /expected one of none, bearer, header, basic, oauth2, got "digest"/,
  },
  'an authentication without its part': {
    instead: api,
    write: `${api}    ▸auth: { type: basic, password: { env: CRM_TOKEN } }\n`,
    path: 'apis.crm.auth.username',
    says: /expected a user name, but it is missing/,
  },
  'a credential among the headers': {
    instead: api,
    write: `${api}    headers: { ▸Authorization: x }\n`,
    path: 'apis.crm.headers.Authorization',
    says: /credentials go under auth/,
  },
  'a header that is no word': {
    instead: api,
    write: `${api}    headers: { ▸x y: z }\n`,
    path: 'apis.crm.headers.x y',
    says: /a header's name/,
  },
  'a header with a line break': {
    instead: api,
    write: `${api}    headers: { accept: ▸"a\\nb" }\n`,
    path: 'apis.crm.headers.accept',
    says: /without line breaks, got other text/,
  },
  'a response rule without a condition': {
    instead: api,
    write: `${api}    responses: [▸{ action: fail }]\n`,
    path: 'apis.crm.responses[0]',
    says: /expected a condition: status, contains or both, got a mapping with action/,
  },
  'an unknown action': {
    instead: api,
    write: `${api}    responses: [{ status: 400, action: ▸ignore }]\n`,
    path: 'apis.crm.responses[0].action',
    says: /expected one of ok, retry, rate-limited, fail, missing, unauthorized, got "ignore"/,
  },
  'an answer larger than memory': {
    instead: api,
    write: `${api}    maxResponse: ▸2GB\n`,
    path: 'apis.crm.maxResponse',
    says: /a size such as 32MB, at most 256MB, got "2GB"/,
  },
  'a first delay above the longest': {
    instead: api,
    write: `${api}    retry: { baseDelay: ▸1m, maxDelay: 30s }\n`,
    path: 'apis.crm.retry.baseDelay',
    says: /at most maxDelay/,
  },
  'a listing from an API that is not there': {
    instead: 'api: crm',
    write: 'api: ▸cmr',
    path: 'contracts.api',
    says: /expected an API under apis \(crm\), got "cmr" \(did you mean "crm"\?\)/,
  },
  'a path without its slash': {
    instead: listing,
    write: '  path: ▸contracts\n',
    path: 'contracts.path',
    says: /begins with one slash/,
  },
  'a path that names another host': {
    instead: listing,
    write: '  path: ▸//evil.example/contracts\n',
    path: 'contracts.path',
    says: /begins with one slash/,
  },
  'a path that names another host by a backslash': {
    instead: listing,
    write: '  path: ▸/\\evil.example/contracts\n',
    path: 'contracts.path',
    says: /begins with one slash/,
  },
  'a path that climbs': {
    instead: listing,
    write: '  path: ▸/a/../b\n',
    path: 'contracts.path',
    says: /no \. or \.\. segments/,
  },
  'a path that climbs in disguise': {
    instead: listing,
    write: '  path: ▸/a/%2E%2e/b\n',
    path: 'contracts.path',
    says: /no \. or \.\. segments/,
  },
  'a query inside a path': {
    instead: listing,
    write: '  path: ▸/contracts?x=1\n',
    path: 'contracts.path',
    says: /parameters go into query/,
  },
  'a key in the listing': {
    instead: listing,
    write: '  path: ▸"/contracts/{key}"\n',
    path: 'contracts.path',
    says: /expected \{businessDate\} or \{businessMonth\} in the listing, got \{key\}/,
  },
  'a JSON path that is none': {
    instead: '  key: id\n',
    write: '  key: ▸"[x]"\n',
    path: 'contracts.key',
    says: /expected a path such as data/,
  },
  'an unknown pagination': {
    instead: listing,
    write: `${listing}  paginate: { type: ▸scroll }\n`,
    path: 'contracts.paginate.type',
    says: /expected one of none, cursor, offset, page, link-header, next-url, got "scroll"/,
  },
  'a pagination without its part': {
    instead: listing,
    write: `${listing}  ▸paginate: { type: cursor, param: after }\n`,
    path: 'contracts.paginate.next',
    says: /it is missing/,
  },
  'a total that is none': {
    instead: listing,
    write: `${listing}  total: ▸5\n`,
    path: 'contracts.total',
    says: /a path such as meta\.total, or \{ header: X-Total-Count \}, got 5/,
  },
  'a total with a bad header': {
    instead: listing,
    write: `${listing}  total: { header: ▸"x y" }\n`,
    path: 'contracts.total.header',
    says: /a header's name, got "x y"/,
  },
  'a lookup at an API that is not there': {
    write: lookup('{ api: ▸usage, path: /x }'),
    path: 'lookups.one.api',
    says: /expected an API under apis \(crm\), got "usage"/,
  },
  'a lookup with a taken name': {
    write: 'lookups:\n  ▸listed: { api: crm, path: /x }\n',
    path: 'lookups.listed',
    says: /have a meaning in templates/,
  },
  'a template of an unknown lookup': {
    write: lookup('{ api: crm, path: ▸"/x/{too.id}" }'),
    path: 'lookups.one.path',
    says: /\(key, businessDate, businessMonth, listed, one\), got "too"/,
  },
  'a template in a query of an unknown word': {
    write: lookup('{ api: crm, path: /x, query: { month: ▸"{bussinessMonth}" } }'),
    path: 'lookups.one.query.month',
    says: /did you mean "businessMonth"\?/,
  },
  'a template of a whole record': {
    write: lookup('{ api: crm, path: ▸"/x/{listed}" }'),
    path: 'lookups.one.path',
    says: /\{listed\} is a whole record; name a value in it, such as \{listed\.id\}/,
  },
  'a template of a part of the key': {
    write: lookup('{ api: crm, path: ▸"/x/{key.id}" }'),
    path: 'lookups.one.path',
    says: /\{key\} is text and has no parts/,
  },
  'a brace without its partner': {
    write: lookup('{ api: crm, path: ▸"/x/{key" }'),
    path: 'lookups.one.path',
    says: /pairs of braces around paths.*the \{ at character 4 has no matching brace; .*write \{\{ and \}\}/,
  },
  'a query with the braces of JSON': {
    write: lookup(`{ api: crm, path: /x, query: { where: ▸'{"customerId":"{key}"}' } }`),
    path: 'lookups.one.query.where',
    says: /the \{ at character 1 has no matching brace; .*write \{\{ and \}\}/,
  },
  'a query with the braces of a formula': {
    write: lookup(`{ api: crm, path: /x, query: { filterByFormula: ▸"{Id}='{key}'" } }`),
    path: 'lookups.one.query.filterByFormula',
    says: /expected a path that begins with \(key, .*got "Id"; .*write \{\{ and \}\}/,
  },
  'a listing with the braces of a formula': {
    instead: listing,
    write: `${listing}  query: { filterByFormula: ▸"{Id}>0" }\n`,
    path: 'contracts.query.filterByFormula',
    says: /got \{Id\}; .*write \{\{ and \}\}/,
  },
  'a lookup that waits for itself': {
    write: 'lookups:\n  ▸one: { api: crm, path: "/x/{one.id}" }\n',
    path: 'lookups.one',
    says: /depend on one another: one → one/,
  },
  'lookups that depend on one another': {
    write:
      'lookups:\n  ▸a: { api: crm, path: "/x/{c.id}" }\n  b: { api: crm, path: "/x/{a.id}" }\n  c: { api: crm, path: "/x/{b.id}" }\n',
    path: 'lookups.a',
    says: /depend on one another: a → c → b → a/,
  },
  'a lookup on the way to a ring': {
    write:
      'lookups:\n  a: { api: crm, path: "/x/{b.id}" }\n  ▸b: { api: crm, path: "/x/{c.id}" }\n  c: { api: crm, path: "/x/{b.id}" }\n',
    path: 'lookups.b',
    says: /depend on one another: b → c → b;/,
  },
  'an unknown way to fail': {
    write: lookup('{ api: crm, path: /x, onFailure: ▸ignore }'),
    path: 'lookups.one.onFailure',
    says: /expected one of fail, last-known, null, got "ignore"/,
  },
  'an age nothing is taken by': {
    write: lookup('{ api: crm, path: /x, ▸maxAge: 5h }'),
    path: 'lookups.one.maxAge',
    says: /only with onFailure: last-known/,
  },
  'a table in upper case': {
    instead: 'table: contracts',
    write: 'table: ▸public.Contracts',
    path: 'load.table',
    says: /in lower case.*got "public\.Contracts"/,
  },
  'a table with SQL after it': {
    instead: 'table: contracts',
    write: 'table: ▸contracts; drop table x',
    path: 'load.table',
    says: /name or schema\.name/,
  },
  'a table in a schema that is not for it': {
    instead: 'table: contracts',
    write: 'table: ▸nightfill.runs',
    path: 'load.table',
    says: /the schema nightfill is not for target tables/,
  },
  'a name longer than Postgres keeps': {
    instead: 'table: contracts',
    write: `table: ▸${'t'.repeat(64)}`,
    path: 'load.table',
    says: /at most 63/,
  },
  'a key column that is not there': {
    instead: 'key: [id]',
    write: 'key: [▸idd]',
    path: 'load.key[0]',
    says: /a column under load\.columns \(id, amount, currency\), got "idd" \(did you mean "id"\?\)/,
  },
  'a key column twice': {
    instead: 'key: [id]',
    write: 'key: [id, ▸id]',
    path: 'load.key[1]',
    says: /"id" is in the key already/,
  },
  'no key column': {
    instead: 'key: [id]',
    write: 'key: ▸[]',
    path: 'load.key',
    says: /a list of at least one column, got a list/,
  },
  'a column in upper case': {
    instead: '    amount:',
    write: '    ▸Amount:',
    path: 'load.columns.Amount',
    says: /in lower case.*got "Amount"/,
  },
  'a column with a name Postgres keeps for itself': {
    instead: '    amount:',
    write: '    ▸ctid:',
    path: 'load.columns.ctid',
    says: /a column of that name in every table/,
  },
  'a column from nowhere': {
    instead: 'from: listed.amount',
    write: 'from: ▸contract.amount',
    path: 'load.columns.amount.from',
    says: /a path that begins with \(listed\), got "contract"/,
  },
  'a column without from': {
    instead: 'amount: { from: listed.amount, ',
    write: '▸amount: { ',
    path: 'load.columns.amount.from',
    says: /expected from: a path such as listed\.amount, but it is missing/,
  },
  'a type with SQL after it': {
    instead: 'listed.id, type: text',
    write: 'listed.id, type: ▸"text; drop table x"',
    path: 'load.columns.id.type',
    says: /a Postgres type such as.*nothing after it, got "text; drop table x"/,
  },
  'a default that JSON does not have': {
    instead: 'type: char(3)',
    write: 'type: char(3), default: ▸.nan',
    path: 'load.columns.currency.default',
    says: /a number with digits, got \.inf or \.nan/,
  },
  'a sum of a column that is not there': {
    write: 'controls: [{ sum: ▸amounts }]\n',
    path: 'controls[0].sum',
    says: /got "amounts" \(did you mean "amount"\?\)/,
  },
  'a sum of text': {
    write: 'controls: [{ sum: ▸currency }]\n',
    path: 'controls[0].sum',
    says: /integer type or numeric, which add up exactly, and currency is char\(3\)/,
  },
  'a sum by a column that is not there': {
    write: 'controls: [{ sum: amount, by: ▸curency }]\n',
    path: 'controls[0].by',
    says: /did you mean "currency"\?/,
  },
  'a control that is none': {
    write: 'controls: [▸{ completness: 100% }]\n',
    path: 'controls[0]',
    says: /expected \{ sum: column, by: column \}, \{ completeness: 100% \} or \{ listed: \{ change: 50% \} \}, got a mapping with completness/,
  },
  'a sum split in two ways': {
    write: 'controls: [{ sum: amount, by: currency }, ▸{ sum: amount, change: 25% }]\n',
    path: 'controls[1]',
    says: /expected amount to be split as in the control above \(by: currency\)/,
  },
  'a change of nothing': {
    write: 'controls: [{ listed: { change: ▸0% } }]\n',
    path: 'controls[0].listed.change',
    says: /a percentage above 0% and up to 100%, such as 50%/,
  },
  'a tolerance below nothing': {
    write: 'controls: [{ sum: amount, by: currency, tolerance: ▸-1 }]\n',
    path: 'controls[0].tolerance',
    says: /an amount such as 0.01, not negative, or a percentage such as 0.1%/,
  },
  'a stray key in a control': {
    write: 'controls: [{ sum: amount, ▸buy: currency }]\n',
    path: 'controls[0].buy',
    says: /unknown key "buy" \(did you mean "by"\?\); known here: sum, by/,
  },
  'a share without its sign': {
    write: 'failures: { stopAbove: ▸20 }\n',
    path: 'failures.stopAbove',
    says: /a percentage from 0% to 100%, such as 5%, got 20/,
  },
  'more than all': {
    write: 'controls: [{ completeness: ▸101% }]\n',
    path: 'controls[0].completeness',
    says: /a percentage from 0% to 100%.*got "101%"/,
  },
  'chunks of nothing': {
    write: 'chunk: { size: ▸0 }\n',
    path: 'chunk.size',
    says: /a whole number from 1 to 10,000, got 0/,
  },
  'a key named __proto__': {
    write: '▸__proto__: { name: x }\n',
    path: '__proto__',
    says: /another name than __proto__/,
  },
  'a lookup named __proto__': {
    write: 'lookups:\n  ▸__proto__: { api: crm, path: /x }\n',
    path: 'lookups.__proto__',
    says: /another name than __proto__/,
  },
  'another kind of API': {
    instead: 'type: rest',
    write: 'type: ▸netsuite\n    account: 12345',
    path: 'apis.crm.type',
    says: /netsuite, salesforce and hubspot are not available yet in this version; use rest/,
  },
  'a batch without the field its records are matched by': {
    write: lookup('{ api: crm, path: /x, ▸batch: { size: 50, param: ids } }'),
    path: 'lookups.one.batch.key',
    says: /expected a path .* but it is missing/,
  },
  "marking what is missing without the source's own count": {
    instead: '  key: [id]\n',
    write: '  key: [id]\n  missing: ▸mark\n',
    path: 'load.missing',
    says: /mark needs contracts\.total.*add it, or use keep/,
  },
  'a loaded column where the mark goes': {
    instead: /  key: id\nload:[^]*/.exec(smallJob)![0],
    write:
      '  key: id\n  total: total\nload:\n  table: contracts\n  missing: mark\n  key: [id]\n  columns:\n    id: { from: listed.id, type: text }\n    ▸missing_since: { from: listed.gone, type: date }\n',
    path: 'load.columns.missing_since',
    says: /needs the column name missing_since for its mark; rename this column/,
  },
  'a bound for marks that nobody sets': {
    instead: '  key: [id]\n',
    write: '  key: [id]\n  ▸markAtMost: 10%\n',
    path: 'load.markAtMost',
    says: /markAtMost applies only with missing: mark/,
  },
  'a transform without threads': {
    write: 'transform: { module: ./rows.ts, threads: ▸0 }\n',
    path: 'transform.threads',
    says: /expected .*1/,
  },
  'a quota of which nobody tells how much there is': {
    instead: api,
    write: `${api}    limits: { quota: ▸{ reserve: 20% } }\n`,
    path: 'apis.crm.limits.quota',
    says: /expected requests, the name of the header that tells what is left, or both/,
  },
  'a quota per anything but a day': {
    instead: api,
    write: `${api}    limits: { quota: { requests: 5, per: ▸1h } }\n`,
    path: 'apis.crm.limits.quota.per',
    says: /expected day, got "1h"/,
  },
  'a quota that is all reserve': {
    instead: api,
    write: `${api}    limits: { quota: { requests: 5, reserve: ▸100% } }\n`,
    path: 'apis.crm.limits.quota.reserve',
    says: /expected a percentage below 100%/,
  },
};

for (const [what, { instead, write, path, says }] of Object.entries(badFiles)) {
  test(`${what} is refused where it stands`, async () => {
    assert.ok(instead === undefined || smallJob.includes(instead), 'the small job has the text to replace');
    const marked = instead === undefined ? smallJob + write : smallJob.replace(instead, () => write);
    const before = marked.slice(0, Math.max(0, marked.indexOf('▸'))).split('\n');
    const { problems, message, code } = await refusal(marked.replace('▸', ''));
    const [problem] = problems;
    assert.equal(problems.length, 1, message);
    assert.deepEqual([problem?.line, problem?.column, problem?.path], [before.length, before.at(-1)!.length + 1, path]);
    assert.match(problem?.message ?? '', says);
    assert.match(message, new RegExp(`job\\.yaml:${problem?.line}:${problem?.column}: `));
    assert.equal(code, 'JOB_FILE');
  });
}

test('all problems of a file are told at once, in the order of the file', async () => {
  const { problems, message } = await refusal(
    `${smallJob.replace('type: rest', 'type: rest\n    timeout: long')}finishBy: late\ncontrols: [{ sum: amuont }]\nsprockets: 5\n`,
  );
  assert.deepEqual(
    problems.map(({ path }) => path),
    ['apis.crm.timeout', 'finishBy', 'controls[0].sum', 'sprockets'],
  );
  assert.match(message, /job\.yaml has 4 problems:\n/);
  assert.equal(message.split('\n').length, 5);
});
