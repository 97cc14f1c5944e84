import assert from 'node:assert/strict';
import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { Api } from '../../../src/sources/api/api.ts';
import { apiOptions } from '../../support/api-fixture.ts';
import { certificateFile, type CertificateName } from '../../support/certificates.ts';
import { type Night, startNight } from '../../support/night.ts';
import { listAndLookUp, scriptedJob, scriptedToken } from '../../support/scripted-job.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';

const contracts = 30;

/** The origin of a server that nothing can be asked of; closed with the test. */
type Endpoint = (t: TestContext) => Promise<string>;

const tlsServer =
  (certificate: CertificateName): Endpoint =>
  async (t) => {
    const server = await ScriptedServer.start(() => ({ json: { access_token: 'never' } }), { tls: { certificate } });
    t.after(async () => server[Symbol.asyncDispose]());
    return server.origin;
  };

const tcpServer =
  (scheme: 'http' | 'https', onConnection: (socket: Socket) => void): Endpoint =>
  async (t) => {
    const sockets = new Set<Socket>();
    const server: Server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
      onConnection(socket);
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    t.after(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };

/** Its job trusts nobody of ours. */
const untrusted = tlsServer('server');

const mute = tcpServer('https', () => undefined);

const closedPort: Endpoint = async (t) => {
  const origin = await tcpServer('http', () => undefined)(t);
  return origin.replace(/\d+$/, '1');
};

interface OddEndpoint {
  what: string;
  origin: Endpoint;
  /** Several, where it is up to the machine's own name server. */
  code: string | readonly string[];
  /** Time does not mend it; undefined where nobody knows. */
  lasting: boolean | undefined;
}

const endpoints: readonly OddEndpoint[] = [
  { what: 'a certificate of an unknown authority', origin: untrusted, code: 'TLS_UNTRUSTED', lasting: true },
  {
    what: 'a certificate that has expired',
    origin: tlsServer('expired'),
    code: 'TLS_CERTIFICATE_EXPIRED',
    lasting: true,
  },
  {
    what: 'the certificate of another host',
    origin: tlsServer('other-host'),
    code: 'TLS_HOSTNAME_MISMATCH',
    lasting: true,
  },
  {
    what: 'plain HTTP where TLS is spoken to it',
    origin: tcpServer('https', (socket) => socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))),
    code: 'TLS_HANDSHAKE_FAILED',
    lasting: true,
  },
  {
    what: 'TLS where plain HTTP is spoken to it',
    origin: async (t) => (await tlsServer('server')(t)).replace('https', 'http'),
    code: ['CONNECTION_RESET', 'RESPONSE_NOT_HTTP'],
    lasting: false,
  },
  {
    what: 'a handshake that is cut',
    origin: tcpServer('https', (socket) => socket.once('data', () => socket.resetAndDestroy())),
    code: 'CONNECTION_RESET',
    lasting: false,
  },
  {
    what: 'a handshake that nobody answers',
    origin: mute,
    code: ['CONNECT_TIMEOUT', 'TIMEOUT'],
    lasting: false,
  },
  { what: 'a port on which nobody listens', origin: closedPort, code: 'CONNECTION_REFUSED', lasting: false },
  {
    what: 'a name that does not exist',
    origin: async () => Promise.resolve('http://nonexistent.invalid'),
    code: ['DNS_NOT_FOUND', 'DNS_UNAVAILABLE', 'TIMEOUT'],
    lasting: undefined,
  },
];

/** Runs a job file in this process; gives its exit code and its report, where there is one. */
async function run(night: Night, options: readonly string[] = []) {
  const report = path.join(night.folder, 'report.json');
  const ended = await night.nightfill('run', path.join(night.folder, 'job.yaml'), '--report', report, ...options);
  return { ...ended, report: await night.report('report.json').catch(() => undefined) };
}

const inFrom = (ms: number): string => new Date(Date.now() + ms).toISOString();
const isOneOf = (code: string, expected: OddEndpoint['code']): boolean => [expected].flat().includes(code);

/** Short where nobody answers; elsewhere a busy machine must not take slowness for the fault. */
const timeoutFor = (endpoint: Endpoint): string => (endpoint === mute ? '300ms' : '5s');
const patient = { retry: { attempts: 2, baseDelay: '5ms' }, breaker: { openFor: '100ms' } };

describe('where no request can be sent', { concurrency: 6 }, () => {
  for (const { what, origin: endpoint, code, lasting } of endpoints) {
    test(`an API behind ${what} fails alone, each contract by that cause or not at all`, async (t) => {
      const records = Array.from({ length: contracts }, (_, index) => ({ id: `c${index}` }));
      await using crm = await ScriptedServer.start(listAndLookUp(records));
      const origin = await endpoint(t);
      const night = await startNight(t, { environment: { CRM_TOKEN: scriptedToken } });
      const { apis, lookups, ...job } = scriptedJob(crm.origin) as { apis: object; lookups: object };
      await night.write('job.yaml', {
        ...job,
        apis: {
          ...apis,
          usage: {
            type: 'rest',
            baseUrl: origin,
            ...tlsOf(origin, endpoint),
            ...patient,
            timeout: timeoutFor(endpoint),
          },
        },
        lookups: { ...lookups, usage: { api: 'usage', path: '/usage/{key}' } },
      });
      const { exitCode, report, stderr } = await run(night, lasting ? [] : ['--finish-by', inFrom(3_000)]);
      assert(report, stderr);
      const { counts, failures } = report;
      assert.equal(counts.listed, contracts);
      assert.equal(counts.failed + counts.notStarted, contracts);
      for (const failure of failures) {
        assert.equal(failure.api, 'usage');
        assert(isOneOf(failure.code, code), failure.code);
      }
      assert.equal(exitCode, counts.failed > 0 ? 3 : 6);
      if (lasting) assert.equal(counts.failed, contracts);
    });

    test(`a token server behind ${what} gives no token, and nothing is sent without one`, async (t) => {
      await using crm = await ScriptedServer.start(listAndLookUp([{ id: 'c1' }]), { tls: { certificate: 'server' } });
      const origin = await endpoint(t);
      const night = await startNight(t, { environment: { CRM_TOKEN: scriptedToken } });
      const auth = { type: 'oauth2', tokenUrl: `${origin}/token`, clientId: 'c', clientSecret: { env: 'CRM_TOKEN' } };
      await night.write(
        'job.yaml',
        scriptedJob(crm.origin, {
          api: { ...patient, timeout: timeoutFor(endpoint), auth, ...tlsOf(origin, endpoint) },
        }),
      );
      const { exitCode, stderr, stdout } = await run(night, lasting ? [] : ['--finish-by', inFrom(3_000)]);
      assert((lasting ? [2] : lasting === undefined ? [2, 6] : [6]).includes(exitCode!), `exit ${exitCode}`);
      // An authority of one's own is trusted at the API's origin alone.
      if (exitCode === 2) assert.match(stdout + stderr, new RegExp(['TLS_UNTRUSTED', code].flat().join('|')));
      assert.deepEqual(crm.requests, []);
    });
  }
});

test('closing an API waits for no connection that nobody wants any more', async (t) => {
  const origin = await tcpServer('https', () => undefined)(t);
  const api = new Api(apiOptions(origin, { timeout: 60_000 }));
  const given = new AbortController();
  const asked = api.request({ url: '/a', signal: given.signal });
  setTimeout(() => given.abort(new Error('given up')), 20);
  await assert.rejects(asked, /given up/);
  // The connection itself would be given up after 10 s.
  const soon = new Promise((resolve) => {
    setTimeout(resolve, 5_000, 'not yet').unref();
  });
  assert.equal(await Promise.race([api.close().then(() => 'closed'), soon]), 'closed');
});

/** The authority of the servers here is trusted, except where that is the fault. */
const tlsOf = (origin: string, endpoint: Endpoint): object =>
  origin.startsWith('https') && endpoint !== untrusted ? { tls: { ca: certificateFile('authority') } } : {};
