/** How a report is written in each format: from its JSON as it was stored to the text of the file. */
export const reportFormats = {
  json: (stored: string): string => stored,
} satisfies Record<string, (stored: string) => string>;

export type ReportFormat = keyof typeof reportFormats;
