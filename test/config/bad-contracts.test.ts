import { testBadFiles } from '../support/bad-job-file.ts';
import { smallJob } from '../support/job-file.ts';

const lookup = (text: string) => `lookups:\n  one: ${text}\n`;
const listing = '  path: /contracts\n';

testBadFiles({
  'a missing section': {
    instead: /^contracts:[^]*?(?=^load)/m.exec(smallJob)![0],
    write: '',
    path: 'contracts',
    says: /expected a mapping of keys to values, but it is missing/,
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
  'a lookup named __proto__': {
    write: 'lookups:\n  ▸__proto__: { api: crm, path: /x }\n',
    path: 'lookups.__proto__',
    says: /another name than __proto__/,
  },
  'a batch without the field its records are matched by': {
    write: lookup('{ api: crm, path: /x, ▸batch: { size: 50, param: ids } }'),
    path: 'lookups.one.batch.key',
    says: /expected a path .* but it is missing/,
  },
});
