import assert from 'node:assert/strict';

/** Asks again and again until it is so; fails when `over` comes first. */
export async function until(isSo: () => boolean | Promise<boolean>, over: Promise<unknown>): Promise<void> {
  let tooLate = false;
  const end = (): void => void (tooLate = true);
  over.then(end, end);
  while (!(await isSo())) {
    assert(!tooLate, 'the command ended before what was waited for had happened');
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
}
