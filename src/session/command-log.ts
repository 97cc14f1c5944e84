import { createLog, type Log } from '../observe/log.ts';
import type { Terminal } from './terminal.ts';

/** The log of a command: standard error, at NIGHTFILL_LOG_LEVEL. */
export const commandLog = ({ environment, stderr }: Terminal, secrets: string[] = []): Log =>
  createLog({ level: environment['NIGHTFILL_LOG_LEVEL'] ?? 'info', secrets, stream: stderr });
