import { runTestFiles } from '../support/test-files.ts';

runTestFiles(['ledger/**/*.test.ts', 'report/*.test.ts', 'jobs/**/*.test.ts'], { concurrency: 2 });
