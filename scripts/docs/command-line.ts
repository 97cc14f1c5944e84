import { Writable } from 'node:stream';
import type { Command, Option } from 'commander';
import { main, program } from '../../src/cli.ts';
import { ownTerminal } from '../../src/session/terminal.ts';
import { faultMeanings } from '../../src/simulator/faults.ts';
import { code, fillPage, requireParts, table, written } from './page.ts';

/** The program as `nightfill --help` knows it; its commands are never run. */
const nightfill = program({ ...ownTerminal(), environment: {} }, () => {});

const file = 'docs/reference/command-line.md';

export async function commandLinePage(page: string): Promise<string> {
  const parts = new Map<string, string>([
    ['commands', table(['command', 'does'], nightfill.commands.map(commandRow))],
    ['exit codes', await exitCodes()],
    [
      'faults',
      table(
        ['fault', 'what happens'],
        Object.entries(faultMeanings).map(([name, meaning]) => [code(name), meaning]),
      ),
    ],
  ]);
  for (const command of nightfill.commands) parts.set(command.name(), await commandPart(command));
  requireParts(file, page, [...parts.keys()]);
  return fillPage(page, (name) => parts.get(name)!);
}

const commandRow = (command: Command): string[] => [
  `[${code(`nightfill ${command.name()}`)}](#nightfill-${command.name()})`,
  command.description(),
];

async function commandPart(command: Command): Promise<string> {
  const { notes, examples } = await explanationOf(command);
  return [
    `${sentence(command.description())} ${notes}`,
    ['```sh', `nightfill ${command.name()} ${command.usage()}`, '', ...examples, '```'].join('\n'),
    table(
      ['argument or option', 'default', 'environment', 'meaning'],
      [...command.registeredArguments.map(argumentRow), ...command.options.map(optionRow)],
    ),
  ].join('\n\n');
}

type Argument = Command['registeredArguments'][number];

const argumentRow = (argument: Argument): string[] => [
  code(
    `${argument.required ? '<' : '['}${argument.name()}${argument.variadic ? '…' : ''}${argument.required ? '>' : ']'}`,
  ),
  argument.required ? '**required**' : shown(argument.defaultValue),
  '',
  sentence(argument.description),
];

function optionRow(option: Option): string[] {
  // A default that no single value is stands in words behind the description.
  const [, description = option.description, told] = /^(.*) \(default: (.+)\)$/.exec(option.description) ?? [];
  return [
    code(option.flags),
    option.mandatory ? '**required**' : (told ?? shown(option.defaultValueDescription ?? option.defaultValue)),
    option.envVar === undefined ? '' : code(option.envVar),
    [sentence(description), choicesOf(option)].join(' ').trim(),
  ];
}

const choicesOf = ({ argChoices }: Option): string =>
  argChoices === undefined ? '' : `One of ${argChoices.map(code).join(', ')}.`;

const shown = (value: unknown): string => (value === undefined ? '' : code(written(value)));

const sentence = (text: string): string => `${text[0]!.toUpperCase()}${text.slice(1)}${/[.:]$/.test(text) ? '' : '.'}`;

/** What stands behind the options in a command's help. */
async function explanationOf(command: Command): Promise<{ notes: string; examples: string[] }> {
  const [, after] = /\n {2}-h, --help .*\n([\s\S]*)$/.exec(await helpOf(command.name()))!;
  const [notes = '', examples = ''] = after!.split('Examples:\n');
  return {
    notes: notes.trim().replaceAll(/(?<!\n)\n(?!\n)/g, ' '),
    examples: [...examples.matchAll(/^ {2}\$ (.*)$/gm)].map(([, line]) => line!),
  };
}

async function exitCodes(): Promise<string> {
  const [, list = ''] = /\nExit codes:\n([\s\S]*?)\n\n/.exec(await helpOf()) ?? [];
  const rows = list
    .replaceAll(/\n {5,}/g, ' ')
    .split('\n')
    .map((line) => /^ *([\d, ]*\d) +(.*)$/.exec(line)!.slice(1));
  return table(['exit code', 'meaning'], rows);
}

/** What `nightfill NAME --help` prints. */
async function helpOf(...command: string[]): Promise<string> {
  let text = '';
  const stdout = new Writable({
    write: (chunk: Buffer, _, done) => {
      text += chunk.toString();
      done();
    },
  });
  await main([...command, '--help'], { ...ownTerminal(), stdout, environment: {} });
  return text;
}
