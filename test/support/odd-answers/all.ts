import { oddBodies } from './bodies.ts';
import { oddConnections } from './connections.ts';
import { oddHeaders } from './headers.ts';
import { oddStatuses } from './statuses.ts';

/** Every odd answer, under the heading of its table. */
export const oddAnswers = {
  Statuses: oddStatuses,
  Headers: oddHeaders,
  Bodies: oddBodies,
  Connections: oddConnections,
} as const;

export const allOddAnswers = Object.values(oddAnswers).flat();
