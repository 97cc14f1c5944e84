/** A JSON log line formatted for a terminal: `02:13:44 warn message key=value`. */
export function logLineForPeople(line: string): string {
  const { level, time, msg = '', ...facts } = JSON.parse(line) as Record<string, unknown>;
  const shown = Object.entries(facts).map(([key, value]) => `${key}=${factText(key, value)}`);
  return [String(time).slice(11, 19), String(level).padEnd(5), msg, ...shown].join(' ').trimEnd();
}

function factText(key: string, value: unknown): string {
  // Only the message; the stack is for log files.
  if (key === 'error' && typeof value === 'object' && value !== null && 'message' in value)
    return String(value.message);
  return typeof value === 'string' ? value : JSON.stringify(value);
}
