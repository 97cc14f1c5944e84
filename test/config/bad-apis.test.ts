import { testBadFiles } from '../support/bad-job-file.ts';

const api = '    baseUrl: https://crm.example\n';
const url = 'https://crm.example';

testBadFiles({
  'an unknown key of an API': {
    instead: api,
    write: `${api}    ▸time-out: 5s\n`,
    path: 'apis.crm.time-out',
    says: /did you mean "timeout"\?\); known here: type, baseUrl/,
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
  'no API at all': {
    instead: '\n  crm:\n    type: rest\n    baseUrl: https://crm.example',
    write: ' ▸{}',
    path: 'apis',
    says: /expected at least one API/,
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
  'another kind of API': {
    instead: 'type: rest',
    write: 'type: ▸netsuite\n    account: 12345',
    path: 'apis.crm.type',
    says: /netsuite.* are not available yet in this version; use rest/,
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
});
