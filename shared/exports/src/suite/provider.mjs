// promptfoo's provider: plays the test that the prompt names.

import { play, suite } from './flywheel.mjs';

export default class Assistant {
  id() {
    return 'flywheel-assistant';
  }

  async callApi(_prompt, context) {
    const url = process.env.ASSISTANT_URL;
    if (!url) return { error: 'ASSISTANT_URL is not set: it is the address of the assistant under test' };
    const test = suite.tests.find((one) => one.test === context.vars.test);
    return { output: JSON.stringify(await play(test, url, `promptfoo-${test.test}-${Date.now()}-${Math.random()}`)) };
  }
}
