import { runTestFiles } from '../support/test-files.ts';

runTestFiles(['end-to-end/api-down/*.test.ts'], { concurrency: 2 });
