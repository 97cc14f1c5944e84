const reference = /\$\$\{|\$\{([^{}]*)\}|\$\{/g;
const form = /^([A-Za-z_][A-Za-z0-9_]*)(?::([^]*))?$/;

export interface Interpolation {
  text: string;
  /** One sentence per variable that is not set or not written as it should be. */
  problems: string[];
}

/**
 * Fills `${NAME}` and `${NAME:default}` from the environment. The default holds when the variable is not set, an empty
 * variable is empty text. `$${` stands for a plain `${`. What comes from the environment is not looked at again.
 */
export function interpolate(text: string, environment: NodeJS.ProcessEnv): Interpolation {
  const problems: string[] = [];
  const filled = text.replace(reference, (whole: string, inside: string | undefined) => {
    if (whole === '$${') return '${';
    const [, name, fallback] = form.exec(inside ?? '') ?? [];
    if (name === undefined) {
      problems.push('expected ${NAME} or ${NAME:default} without braces inside; write $${ for a plain ${');
      return '';
    }
    const value = environment[name] ?? fallback;
    if (value === undefined) {
      problems.push(`the environment variable ${name} is not set; set it, or give a default as \${${name}:default}`);
    }
    return value ?? '';
  });
  return { text: filled, problems };
}
