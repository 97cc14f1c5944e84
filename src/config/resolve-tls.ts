import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { TlsOptions } from '../sources/api/api-options.ts';
import { Secret } from '../sources/auth/secret.ts';
import type { JobFileSource } from './yaml/job-file-source.ts';
import type { Outline } from './yaml/outline.ts';
import type { Path } from './yaml/path.ts';
import { isReference, readSecretText, type SecretPlaces } from './resolve-secrets.ts';

/** Reads what every API's `tls` refers to, by API; reports what cannot be read or does not match. */
export async function resolveTls(
  { apis }: Outline,
  source: JobFileSource,
  places: SecretPlaces,
): Promise<Map<string, TlsOptions>> {
  const found = new Map<string, TlsOptions>();
  await Promise.all(
    Object.entries(apis).map(async ([api, { tls, baseUrl = '' }]) => {
      if (!tls) return;
      const path: Path = ['apis', api, 'tls'];
      if (/^http:/i.test(baseUrl))
        source.report(path, 'tls applies only with https; change baseUrl, or remove tls', 'key');
      found.set(api, await readTls(tls, { path, source, places }));
    }),
  );
  return found;
}

async function readTls(
  written: Readonly<Record<string, unknown>>,
  { path, source, places }: Place,
): Promise<TlsOptions> {
  for (const [part, other] of [
    ['cert', 'key'],
    ['key', 'cert'],
  ] as const)
    if (written[part] !== undefined && written[other] === undefined)
      source.report([...path, part], `${part} applies only together with ${other}; add that, or remove ${part}`, 'key');
  const ca = await readCertificates(written['ca'], { path: [...path, 'ca'], source, places });
  const cert = await readCertificates(written['cert'], { path: [...path, 'cert'], source, places });
  const key = await readKey(written['key'], { path: [...path, 'key'], source, places });
  if (cert && key && !cert.first.checkPrivateKey(key.object)) {
    const sentence =
      'this key does not belong to the certificate in cert (the first of its file); name the pair that was issued together';
    source.report([...path, 'key'], sentence);
  }
  return {
    ...(ca && { ca: ca.text }),
    ...(cert && { cert: cert.text }),
    ...(key && { key: key.text }),
  };
}

interface Place {
  path: Path;
  source: JobFileSource;
  places: SecretPlaces;
}

/** The text of a PEM file and its first certificate. */
async function readCertificates(
  written: unknown,
  { path, source, places }: Place,
): Promise<{ text: string; first: X509Certificate } | undefined> {
  if (typeof written !== 'string' || written === '') return undefined;
  const file = resolve(places.folder, written);
  try {
    const text = await readFile(file, 'latin1');
    const [first] = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)?.map(certificateOf) ?? [];
    if (first) return { text, first };
    source.report(
      path,
      `expected certificates as PEM text (-----BEGIN CERTIFICATE-----) in ${file}, got something else`,
    );
  } catch (error) {
    source.report(path, unreadable(file, error));
  }
  return undefined;
}

const certificateOf = (pem: string): X509Certificate => new X509Certificate(pem);

function unreadable(file: string, error: unknown): string {
  const { code = '' } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return `there is no file ${file}; paths are relative to the job file`;
  return code.startsWith('ERR_')
    ? `the certificates in ${file} are not valid PEM, perhaps truncated; export them again`
    : `the file ${file} cannot be read (${code}); check what it is, its owner and mode`;
}

/** The text of a private key and what it is. */
async function readKey(
  written: unknown,
  { path, source, places }: Place,
): Promise<{ text: Secret; object: KeyObject } | undefined> {
  if (!isReference(written)) return undefined;
  const at = [...path, 'env' in written ? 'env' : 'file'];
  const where =
    'env' in written ? `the environment variable ${written.env}` : `the file ${resolve(places.folder, written.file)}`;
  const text = await readSecretText(written, places);
  if (!(text instanceof Secret)) {
    source.report(at, text);
    return undefined;
  }
  try {
    return { text, object: createPrivateKey(text.reveal()) };
  } catch {
    // Both PEM forms: `BEGIN ENCRYPTED PRIVATE KEY` and `Proc-Type: 4,ENCRYPTED`.
    const encrypted = text.reveal().includes('ENCRYPTED');
    source.report(
      at,
      encrypted
        ? `the private key in ${where} is encrypted, and a scheduled run cannot ask for its passphrase; store it without a passphrase (openssl pkey -in KEY -out NEW), readable by its owner only`
        : `expected a private key as PEM text (-----BEGIN PRIVATE KEY-----) in ${where}, got something else`,
    );
    return undefined;
  }
}
