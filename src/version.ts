import { readFileSync } from 'node:fs';

/** The package's version, the same from the sources and from what is built of them. */
export const version = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version;
