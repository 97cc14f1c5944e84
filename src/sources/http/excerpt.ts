const longest = 200;

/** The beginning of an answer's text, for a message: one line of printable characters. */
export function excerpt(text: string): string {
  const line = text
    .slice(0, longest * 4)
    .replace(/[\p{C}\s]+/gu, ' ')
    .trim();
  const points = Array.from(line);
  return points.length > longest ? `${points.slice(0, longest - 1).join('')}…` : line;
}
