import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { JobFileError } from './job-file-error.ts';

const largest = 1024 * 1024;

const causes: Record<string, string> = {
  ENOENT: 'there is no such file; check the path, or write one with: nightfill init',
  ENOTDIR: 'there is no such file; a part of the path is not a directory',
  EISDIR: 'this is a directory; name the job file in it',
  EACCES: 'the file cannot be read; check its owner and mode',
};

/** The text of a job file, at a path below `directory` unless it is absolute. Throws JobFileError when there is none: missing, a directory, empty, too large, not UTF-8. */
export async function readJobFile(path: string, directory = ''): Promise<string> {
  const refuse = (message: string, cause?: unknown): never => {
    throw new JobFileError(path, [{ line: 1, column: 1, path: '', message }], cause);
  };
  const bytes = await readBytes(resolve(directory, path)).catch((error: NodeJS.ErrnoException) =>
    refuse(causes[error.code ?? ''] ?? `the file cannot be read (${error.code ?? error.message})`, error),
  );
  if (bytes.length > largest) refuse(`expected a job file of at most ${largest} bytes, got a larger one`);
  const text = decode(bytes) ?? refuse('expected UTF-8 text, got other bytes; save the file as UTF-8');
  if (/^(?:\s|#.*)*$/.test(text)) refuse('the file is empty; write one to start from with: nightfill init');
  return text;
}

async function readBytes(path: string): Promise<Buffer> {
  await using file = await open(path);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of file.createReadStream({ autoClose: false, end: largest })) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
  }
  return Buffer.concat(chunks, size);
}

function decode(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
