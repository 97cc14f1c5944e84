// oxlint-disable-next-line no-restricted-imports -- reads its error classes and sends nothing
import { errors } from 'undici';
import type { FaultCode } from '../api/responses.ts';

const byCode: Record<string, FaultCode | undefined> = {
  ECONNREFUSED: 'CONNECTION_REFUSED',
  ECONNRESET: 'CONNECTION_RESET',
  ECONNABORTED: 'CONNECTION_RESET',
  EPIPE: 'CONNECTION_RESET',
  UND_ERR_SOCKET: 'CONNECTION_RESET',
  ETIMEDOUT: 'CONNECT_TIMEOUT',
  UND_ERR_CONNECT_TIMEOUT: 'CONNECT_TIMEOUT',
  // Only requests to a proxy have a headers timeout.
  UND_ERR_HEADERS_TIMEOUT: 'CONNECT_TIMEOUT',
  UND_ERR_PRX_CONN: 'CONNECTION_RESET',
  UND_ERR_PRX_TLS: 'TLS_HOSTNAME_MISMATCH',
  EHOSTUNREACH: 'HOST_UNREACHABLE',
  ENETUNREACH: 'HOST_UNREACHABLE',
  EADDRNOTAVAIL: 'HOST_UNREACHABLE',
  EHOSTDOWN: 'HOST_UNREACHABLE',
  ENETDOWN: 'HOST_UNREACHABLE',
  ENOTFOUND: 'DNS_NOT_FOUND',
  EAI_AGAIN: 'DNS_UNAVAILABLE',
  EMFILE: 'OUT_OF_FILE_DESCRIPTORS',
  ENFILE: 'OUT_OF_FILE_DESCRIPTORS',
  CERT_HAS_EXPIRED: 'TLS_CERTIFICATE_EXPIRED',
  CERT_NOT_YET_VALID: 'TLS_CERTIFICATE_EXPIRED',
  ERR_TLS_CERT_ALTNAME_INVALID: 'TLS_HOSTNAME_MISMATCH',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'TLS_UNTRUSTED',
  SELF_SIGNED_CERT_IN_CHAIN: 'TLS_UNTRUSTED',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'TLS_UNTRUSTED',
  UNABLE_TO_GET_ISSUER_CERT: 'TLS_UNTRUSTED',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'TLS_UNTRUSTED',
  CERT_UNTRUSTED: 'TLS_UNTRUSTED',
  CERT_REVOKED: 'TLS_UNTRUSTED',
  EPROTO: 'TLS_HANDSHAKE_FAILED',
  UND_ERR_INVALID_ARG: 'REQUEST_INVALID',
  UND_ERR_HEADERS_OVERFLOW: 'RESPONSE_HEADERS_TOO_LARGE',
  HPE_HEADER_OVERFLOW: 'RESPONSE_HEADERS_TOO_LARGE',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'RESPONSE_TRUNCATED',
};

/**
 * Our code for an error of undici, Node's sockets or OpenSSL. Any other error is CONNECTION_FAILED, because undici asserts
 * things that a server can violate (a status of 000), and no answer may end the run.
 */
export function faultCode(error: unknown): FaultCode {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
  const proxyStatus = error instanceof errors.UndiciError ? proxyAnswer(error) : undefined;
  if (proxyStatus !== undefined)
    return proxyStatus >= 500 || proxyStatus === 429 ? 'PROXY_UNAVAILABLE' : 'PROXY_REFUSED';
  const known = byCode[code];
  if (known) return known;
  if (/^ERR_SSL_.*ALERT.*(?:CERTIFICATE|UNKNOWN_CA)/.test(code)) return 'TLS_CLIENT_CERTIFICATE_REFUSED';
  if (code.startsWith('ERR_SSL_')) return 'TLS_HANDSHAKE_FAILED';
  // The error has no code when the first bytes are wrong.
  return error instanceof errors.HTTPParserError ? 'RESPONSE_NOT_HTTP' : 'CONNECTION_FAILED';
}

/** The status with which a proxy refused the tunnel; undici gives it only in the message. */
function proxyAnswer({ message }: Error): number | undefined {
  const found = /^Proxy (?:response \((\d{3})\)|Authentication Required \((407)\))/.exec(message);
  return found ? Number(found[1] ?? found[2]) : undefined;
}

const lostConnections = new Set(['ECONNRESET', 'ECONNABORTED', 'EPIPE', 'UND_ERR_SOCKET']);

/** Whether an established connection was lost. */
export function isLostConnection(error: unknown): boolean {
  return error instanceof Error && 'code' in error && lostConnections.has(String(error.code));
}
