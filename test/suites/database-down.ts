import { runTestFiles } from '../support/test-files.ts';

runTestFiles(['end-to-end/database-down/*.test.ts'], { concurrency: 4 });
