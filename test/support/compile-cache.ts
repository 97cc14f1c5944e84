import { tmpdir } from 'node:os';
import path from 'node:path';

/** Where test processes and the commands they start keep compiled sources: compiling takes longer than most commands do. */
export const compileCache = path.join(tmpdir(), 'nightfill-test-compiled');
