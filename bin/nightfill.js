#!/usr/bin/env node
// Plain JavaScript that any Node can read, so that an old one gets a sentence instead of a syntax error.
import { existsSync } from 'node:fs';
import module from 'node:module';

const needed = 24;
// A checkout runs its sources, the package what was built from them.
const sources = new URL('../src/cli.ts', import.meta.url);
if (Number(process.versions.node.split('.')[0]) < needed) {
  process.stderr.write(
    `nightfill needs Node.js ${needed} or newer, and this is ${process.versions.node}. ` +
      (existsSync(sources)
        ? 'In this checkout, `npx nightfill` runs it on the Node.js that `npm ci` installed.\n'
        : `In your project, \`npm install node@${needed}\` brings it, and \`npx nightfill\` then runs on it.\n`),
  );
  process.exitCode = 2;
} else {
  // Half of what starting costs is compiling.
  module.enableCompileCache();
  const { main } = await import(existsSync(sources) ? sources.href : '../dist/cli.js');
  process.exitCode = await main(process.argv.slice(2));
}
