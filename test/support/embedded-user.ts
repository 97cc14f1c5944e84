// A process that uses the embedded server in the folder it is given until its standard input ends.
import { once } from 'node:events';
import { openEmbedded } from '../../src/sinks/embedded/embedded.ts';

// As nightfill does, which drains first.
process.on('SIGINT', () => {});
process.stderr.write('here\n');
const [directory = ''] = process.argv.slice(2);
const embedded = await openEmbedded({ directory, log: (line) => process.stderr.write(`${line}\n`) });
process.stdout.write(`${embedded.config.port}\n`);
process.stdin.resume();
await once(process.stdin, 'end');
await embedded[Symbol.asyncDispose]();
