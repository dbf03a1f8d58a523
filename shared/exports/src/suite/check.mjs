// promptfoo's assertion: what the run fell short of.

import { shortfalls, suite } from './flywheel.mjs';

export default (output, context) => {
  const test = suite.tests.find((one) => one.test === context.vars.test);
  const found = shortfalls(test, JSON.parse(output));
  return { pass: found.length === 0, score: found.length === 0 ? 1 : 0, reason: found.length === 0 ? 'as expected' : found.join('; ') };
};
