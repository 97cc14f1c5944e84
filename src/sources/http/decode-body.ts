import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, inflateRaw } from 'node:zlib';
import { AnswerTooLargeError, type WireAnswer } from './exchange.ts';

type Decoder = (body: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>;

const inflateZlib: Decoder = promisify(inflate);
const inflateBare: Decoder = promisify(inflateRaw);

const decoders: Record<string, Decoder | undefined> = {
  gzip: promisify(gunzip) satisfies Decoder,
  'x-gzip': promisify(gunzip) satisfies Decoder,
  br: promisify(brotliDecompress) satisfies Decoder,
  // "deflate" means zlib (RFC 9110, 8.4.1.2), but some servers send the raw stream; the low half of zlib's first byte is 8.
  deflate: async (body, options) => (((body[0] ?? 0) & 0x0f) === 8 ? inflateZlib : inflateBare)(body, options),
};

export const acceptedEncodings = 'gzip, deflate, br';

/** As in curl. A header of 16 KB can name three thousand encodings, each of which costs a decompression. */
const mostEncodings = 5;

/** Why a body could not be decompressed. */
export class BodyError extends Error {
  readonly kind: 'truncated' | 'malformed' | 'unknown-encoding';

  constructor(kind: BodyError['kind'], message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'BodyError';
    this.kind = kind;
  }
}

/**
 * The body, decompressed. `maxBytes` limits every step, so a decompression bomb takes no more memory than a long answer.
 * Throws `AnswerTooLargeError` or `BodyError`.
 */
export async function decodeBody({ headers, body }: WireAnswer, maxBytes: number): Promise<Buffer> {
  let plain = body;
  const encodings = contentEncodings(headers['content-encoding']);
  if (encodings.length > mostEncodings)
    throw new BodyError(
      'unknown-encoding',
      `it has ${encodings.length} content-encodings; at most ${mostEncodings} are supported`,
    );
  for (const encoding of encodings.toReversed()) {
    const decoder = decoders[encoding];
    if (!decoder) throw new BodyError('unknown-encoding', `its content-encoding is not one of ${acceptedEncodings}`);
    // Servers also send an empty body with a content-encoding.
    // oxlint-disable-next-line no-await-in-loop -- each encoding wraps the next
    if (plain.length > 0) plain = await decompress(decoder, plain, maxBytes);
  }
  return plain;
}

function contentEncodings(header: string | string[] | undefined): string[] {
  return String(header ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '' && name !== 'identity');
}

async function decompress(decoder: Decoder, body: Buffer, maxOutputLength: number): Promise<Buffer> {
  try {
    return await decoder(body, { maxOutputLength });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ERR_BUFFER_TOO_LARGE') throw new AnswerTooLargeError();
    if (code === 'Z_BUF_ERROR') throw new BodyError('truncated', 'its compressed stream ends early', error);
    throw new BodyError('malformed', 'it could not be decompressed', error);
  }
}
