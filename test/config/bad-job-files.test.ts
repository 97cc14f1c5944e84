import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testBadFiles } from '../support/bad-job-file.ts';
import { refusal, smallJob } from '../support/job-file.ts';

testBadFiles({
  'an unknown key at the top': {
    write: '▸schedul: "0 2 * * *"\n',
    path: 'schedul',
    says: /unknown key "schedul" \(did you mean "schedule"\?\)/,
  },
  'a key nothing is close to': {
    write: '▸sprockets: 1\n',
    path: 'sprockets',
    says: /^unknown key "sprockets"; known here: name, timezone/,
  },
  'a name with a space': {
    instead: 'name: small',
    write: 'name: ▸small job',
    path: 'name',
    says: /expected a name of letters.*got "small job"/,
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
  'a share without its sign': {
    write: 'failures: { stopAbove: ▸20 }\n',
    path: 'failures.stopAbove',
    says: /a percentage from 0% to 100%, such as 5%, got 20/,
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
});

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
