import { Command, type Option, type ParseOptionsResult } from 'commander';

/**
 * A command whose options take from `environment` what was not typed. Commander alone looks into `process.env`, which is
 * another one where the program runs inside another process.
 */
export class EnvironmentCommand extends Command {
  readonly #environment: NodeJS.ProcessEnv;

  constructor(name: string | undefined, environment: NodeJS.ProcessEnv) {
    super(name);
    this.#environment = environment;
  }

  override createCommand(name?: string): EnvironmentCommand {
    return new EnvironmentCommand(name, this.#environment);
  }

  /** A switch is left off by an empty value, 0 or false; commander would turn it on by any value. */
  override addOption(option: Option): this {
    if (option.isBoolean() && /^(|0|false)$/i.test(this.#environment[option.envVar ?? ''] ?? 'unset'))
      delete option.envVar;
    return super.addOption(option);
  }

  override parseOptions(args: string[]): ParseOptionsResult {
    const parsed = super.parseOptions(args);
    if (this.#environment !== process.env) for (const option of this.options) this.#take(option);
    return parsed;
  }

  #take(option: Option): void {
    const value = this.#environment[option.envVar ?? ''];
    const source = this.getOptionValueSource(option.attributeName()) as string | undefined;
    if (value === undefined || (source !== undefined && source !== 'default')) return;
    // The event by which commander itself takes a variable, with its parsing and its messages.
    const emitter = this as unknown as NodeJS.EventEmitter;
    emitter.emit(`optionEnv:${option.name()}`, ...(option.isBoolean() ? [] : [value]));
  }
}
