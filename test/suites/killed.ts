import { runTestFiles } from '../support/test-files.ts';

runTestFiles(['end-to-end/killed/*.test.ts', 'end-to-end/signalled/*.test.ts'], { concurrency: 2 });
