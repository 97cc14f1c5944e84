// oxlint-disable-next-line no-restricted-imports -- opens sockets; `exchange` bounds what is sent through them
import { type Dispatcher, EnvHttpProxyAgent, Pool } from 'undici';
import type { ProxyOptions, TlsOptions } from '../api/api-options.ts';
import { openPool } from './exchange.ts';

export interface ConnectionOptions {
  /** Open sockets. */
  connections: number;
  /** Milliseconds. */
  connectTimeout: number;
  tls?: TlsOptions | undefined;
  proxy?: ProxyOptions | undefined;
}

/** The sockets to one origin, straight or through a proxy. */
export interface Connections extends Pick<Dispatcher, 'dispatch'> {
  /**
   * For when nobody waits for an answer any more. Undici's own `close` would wait for connections that requests long given
   * up had asked for, which where nobody answers takes seconds beyond the deadline.
   */
  destroy(): Promise<void>;
}

/**
 * Opens the sockets to an origin. Through a proxy each of them is a tunnel of its own (CONNECT), or, for http, a socket to
 * the proxy; `connections` caps them, and a request is written, and stamped, when its tunnel is there.
 */
export function openConnections(
  origin: string,
  { tls, proxy, connections, connectTimeout }: ConnectionOptions,
): Connections {
  const own = {
    ...(tls?.ca !== undefined && { ca: tls.ca }),
    ...(tls?.cert !== undefined && { cert: tls.cert }),
    ...(tls?.key && { key: tls.key.reveal() }),
  };
  const poolTo = (to: string, connect: Pool.Options['connect']): Pool =>
    openPool(to, { connections, connectTimeout, ...(connect && { connect }) });
  if (!proxy) return poolTo(origin, own);
  const uri = proxy.url.reveal();
  const agent = new EnvHttpProxyAgent({
    // Chosen by the origin's scheme already; undici would take HTTP_PROXY for https when there is no other.
    httpProxy: uri,
    httpsProxy: uri,
    noProxy: proxy.except,
    connectTimeout,
    // Given a way to connect where a proxy is in between, and none where NO_PROXY says so.
    factory: (to: string | URL, { connect }: Pool.Options) => poolTo(String(to), connect ?? own),
    // With HTTP/2 every request would share one tunnel, and `connections` would cap nothing.
    requestTls: { allowH2: false, ...own },
    // A proxy that takes the request for a tunnel and never answers is a host that does not answer.
    clientFactory: (to: URL, options: Pool.Options) => new Pool(to, { ...options, headersTimeout: connectTimeout }),
  });
  return {
    dispatch: (options, handler) => agent.dispatch({ ...options, origin }, handler),
    destroy: async () => agent.destroy(),
  };
}
