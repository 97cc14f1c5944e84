import { runTestFiles } from '../support/test-files.ts';

runTestFiles(['end-to-end/nights/*.test.ts', 'end-to-end/together/*.test.ts'], { concurrency: 4 });
