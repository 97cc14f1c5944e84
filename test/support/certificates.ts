import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * `server` (localhost, 127.0.0.1, *.example.test), `expired`, `other-host` and `client` were issued by `authority`,
 * `strange-client` by `stranger`. Nobody keeps the keys of the two authorities. certificates/make.sh makes them anew.
 */
export type CertificateName =
  | 'authority'
  | 'stranger'
  | 'server'
  | 'expired'
  | 'other-host'
  | 'client'
  | 'strange-client';

/** The path of a certificate's file; its key stands beside it as `.key`. */
export const certificateFile = (name: CertificateName, kind: 'pem' | 'key' = 'pem'): string =>
  fileURLToPath(new URL(`certificates/${name}.${kind}`, import.meta.url));

/** The PEM text of a certificate or a key. */
export const pem = (name: CertificateName, kind: 'pem' | 'key' = 'pem'): string =>
  readFileSync(certificateFile(name, kind), 'latin1');
