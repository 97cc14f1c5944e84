import { instance } from '@viz-js/viz';
import { readSources } from '../imports.ts';
import { code, fillPage, requireParts } from './page.ts';
import { steps, type Step } from './way-of-a-key.ts';

const mostFiles = 25;
const list = 'scripts/docs/way-of-a-key.ts';

/** Light fills with dark text, and lines of a middle grey: readable on a light page and on a dark one. */
const fills: Record<string, string> = {
  jobs: '#dbeafe',
  ledger: '#fef3c7',
  report: '#fce7f3',
  sinks: '#dcfce7',
  sources: '#ede9fe',
};
const ink = '#1f2937';
const line = '#8b949e';
/** Every font of equal widths is as wide as Courier, whose widths Graphviz knows: so text fits its box everywhere. */
const font = 'ui-monospace,SFMono-Regular,Menlo,Consolas,DejaVu Sans Mono,monospace';

/** The drawing, as SVG: a box for each file, and an arrow where one hands the key on to another that it imports. */
export async function wayDrawing(): Promise<string> {
  await requireTrueWay(steps);
  const viz = await instance();
  const svg = viz.renderString(graphText(), { format: 'svg' });
  // The header names the version of Graphviz; the drawing is the same.
  return `${svg
    .slice(svg.indexOf('<svg'))
    .replaceAll(/<!--[\s\S]*?-->\n/g, '')
    .replaceAll('font-family="Courier"', `font-family="${font}"`)
    .replace('<svg ', '<svg role="img" ')
    .replace(/(<title>).*(<\/title>)/, "$1The way of a contract's key, from the listing to the report$2")
    .trim()}\n`;
}

/** The page with the list of the steps, which says in words what the drawing shows. */
export function howItWorksPage(page: string): string {
  requireParts('docs/guide/how-it-works.md', page, ['steps']);
  return fillPage(page, () =>
    steps.map(({ file, what }, index) => `${index + 1}. ${linkTo(file)}: ${what}`).join('\n'),
  );
}

const linkTo = (file: string): string => `[${code(file)}](../../src/${file})`;

/** Throws when a file is gone, when no import stands behind an arrow, and when the way has become too long. */
export async function requireTrueWay(way: readonly Step[]): Promise<void> {
  const sources = await readSources(new URL('../../src/', import.meta.url).pathname);
  const faults = way.flatMap(({ file, from }, index) => {
    const gone = [file, from].filter((path) => path !== undefined && !sources.has(path));
    if (gone.length > 0) return gone.map((path) => `src/${path} does not exist`);
    if (from === undefined) return index === 0 ? [] : [`src/${file} has no file it comes from`];
    if (!way.slice(0, index).some((step) => step.file === from))
      return [`src/${from} does not come before src/${file}`];
    return sources.get(from)!.imports.has(file) ? [] : [`src/${from} does not import src/${file}`];
  });
  const files = new Set(way.map(({ file }) => file)).size;
  if (files > mostFiles) faults.push(`the way has ${files} files, and ${mostFiles} at most are easy to follow`);
  if (faults.length > 0) throw new Error(`${list} is not true any more; mend it:\n${faults.join('\n')}`);
}

function graphText(): string {
  const files = [...new Set(steps.map(({ file }) => file))];
  return [
    'digraph way {',
    'graph [bgcolor=transparent, rankdir=TB, nodesep=0.15, ranksep=0.3]',
    `node [shape=box, style="filled,rounded", color="${line}", fontcolor="${ink}", fontname="Courier", fontsize=12, margin="0.08,0.05"]`,
    `edge [color="${line}", arrowsize=0.8, penwidth=1.4]`,
    ...files.map((file) => `"${file}" [fillcolor="${fillOf(file)}", tooltip="src/${file}", label=<${labelOf(file)}>]`),
    ...steps.flatMap(({ file, from }) => (from === undefined ? [] : [`"${from}" -> "${file}"`])),
    '}',
  ].join('\n');
}

const fillOf = (file: string): string => fills[file.slice(0, file.indexOf('/'))] ?? '#f3f4f6';

function labelOf(file: string): string {
  const at = file.lastIndexOf('/');
  const numbers = steps.flatMap((step, index) => (step.file === file ? [index + 1] : [])).join(', ');
  const words = steps.filter((step) => step.file === file).flatMap(({ what }) => wrapped(what));
  return [
    `<font point-size="10">${numbers}. ${file.slice(0, at)}/</font>`,
    `<b>${file.slice(at + 1)}</b>`,
    ...words.map((text) => `<font point-size="10">${text}</font>`),
  ].join('<br/>');
}

/** Lines of about 22 characters, as HTML. */
function wrapped(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < 22) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
