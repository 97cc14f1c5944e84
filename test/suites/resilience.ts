import { runTestFiles } from '../support/test-files.ts';

runTestFiles(['resilience/**/*.test.ts'], { concurrency: 1 });
