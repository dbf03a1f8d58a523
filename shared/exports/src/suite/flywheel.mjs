// Plays regression tests of suite.json against an assistant and checks what it did. Nothing in suite.json is code.
// The assistant is an HTTP endpoint, ASSISTANT_URL: it is sent {"run", "messages"} and answers with its next message,
// in OpenAI's form, in that of Bedrock Converse, or as {"role", "text", "tool_calls": [{"id", "name", "arguments"}]}.

import { readFileSync } from 'node:fs';

const TURNS = 25;
export const suite = JSON.parse(readFileSync(new URL('suite.json', import.meta.url), 'utf8'));

export async function play(test, url, run) {
  const turns = [];
  const told = new Set();
  let unrecorded = 0;
  const answer = (call) => {
    const fits = [
      (fixture) => fixture.tool === call.name && same(fixture.arguments ?? null, call.arguments),
      (fixture) => fixture.tool === call.name && !fixture.error,
    ];
    const fixtures = test.fixtures ?? [];
    for (const fit of fits) {
      const found = fixtures.filter(fit);
      const fixture = found.find((one) => !told.has(one)) ?? found[0];
      if (fixture) {
        told.add(fixture);
        return { call: call.id, name: call.name, text: fixture.result, error: fixture.error ?? false };
      }
    }
    unrecorded += 1;
    return { call: call.id, name: call.name, text: `Error: no answer of ${call.name} is recorded for this test`, error: true };
  };
  for (const said of test.says) {
    turns.push({ role: 'user', text: said });
    for (let spoken = 0; ; spoken += 1) {
      if (spoken === TURNS) return { turns, unrecorded, broken: `it went on for ${TURNS} turns without an answer to the user` };
      let turn;
      try {
        turn = await reply(url, run, turns);
      } catch (error) {
        return { turns, unrecorded, broken: `it gave no turn: ${error.message}` };
      }
      turn.tool_calls.forEach((call, place) => { call.id ??= `call-${turns.length}-${place}`; });
      turns.push(turn);
      if (turn.tool_calls.length === 0) break;
      turns.push({ role: 'tool', tool_results: turn.tool_calls.map(answer) });
    }
  }
  return { turns, unrecorded, broken: null };
}

async function reply(url, run, messages) {
  const headers = { 'content-type': 'application/json' };
  if (process.env.ASSISTANT_AUTHORIZATION) headers.authorization = process.env.ASSISTANT_AUTHORIZATION;
  const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ run, messages }), signal: AbortSignal.timeout(60_000) });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return turnOf(await answer.json());
}

function turnOf(answer) {
  const message = answer.choices?.[0]?.message ?? answer.output?.message ?? answer.message ?? answer.turn ?? answer;
  if (message.role !== 'assistant') throw new Error("its turn is not the assistant's");
  const turn = { role: 'assistant', text: message.text ?? undefined, tool_calls: [] };
  const read = (value) => (typeof value === 'string' ? parsed(value) : (value ?? null));
  if (typeof message.content === 'string') turn.text = message.content;
  for (const part of Array.isArray(message.content) ? message.content : []) {
    if (typeof part.text === 'string') turn.text = (turn.text ?? '') + part.text;
    const use = part.toolUse ?? (part.type === 'tool_use' ? part : null);
    if (use) turn.tool_calls.push({ id: use.toolUseId ?? use.id, name: use.name, arguments: read(use.input) });
  }
  for (const call of message.tool_calls ?? []) {
    const of = call.function ?? call;
    turn.tool_calls.push({ id: call.id, name: of.name, arguments: read(of.arguments) });
  }
  return turn;
}

function parsed(text) {
  try { return JSON.parse(text); } catch { return text; }
}

export function shortfalls(test, run) {
  const expects = test.expects;
  const results = run.turns.flatMap((turn) => turn.tool_results ?? []);
  const calls = run.turns.filter((turn) => turn.role === 'assistant').flatMap((turn) => turn.tool_calls ?? []);
  const failed = (call) => results.some((result) => result.call === call.id && (result.error || /^\s*error\b/i.test(result.text ?? '')));
  const found = [];
  const made = matched(expects.calls ?? [], calls);
  (expects.calls ?? []).forEach((expected, of) => {
    if (!made.includes(of)) found.push(`${told(expected)} was not called`);
  });
  for (const forbidden of expects.no_calls ?? []) {
    if (calls.some((call) => fits(forbidden, call))) found.push(`${told(forbidden)} was called, and must not be`);
  }
  calls.forEach((call, place) => {
    if ((expects.nothing_else_by ?? []).includes(call.name) && !failed(call) && made[place] === undefined) {
      found.push(`${call.name} was called beyond what is expected`);
    }
  });
  const said = run.turns.filter((turn) => turn.role === 'assistant' && turn.text).map((turn) => plain(turn.text));
  const isSaid = (text) => said.some((reply) => says(reply, plain(text)));
  for (const alternatives of expects.says ?? []) {
    if (!alternatives.some(isSaid)) found.push(`it did not say ${alternatives.map((text) => JSON.stringify(text)).join(' or ')}`);
  }
  for (const never of expects.never_says ?? []) {
    if (isSaid(never)) found.push(`it said ${JSON.stringify(never)}, and must not`);
  }
  const spoken = run.turns.filter((turn) => turn.role === 'assistant').length;
  if (expects.budget?.turns !== undefined && spoken > expects.budget.turns) found.push(`it took ${spoken} turns, ${expects.budget.turns} at most`);
  if (run.broken) found.push(run.broken);
  return found;
}

// For each call the place of the expected one that it stands for, as many as possible (augmenting paths, after Kuhn).
function matched(expected, calls) {
  const taken = new Array(calls.length).fill(undefined);
  const place = (of, tried) => calls.some((call, at) => {
    if (tried.has(at) || !fits(expected[of], call)) return false;
    tried.add(at);
    if (taken[at] !== undefined && !place(taken[at], tried)) return false;
    taken[at] = of;
    return true;
  });
  expected.forEach((_, of) => place(of, new Set()));
  return taken;
}

function fits(expected, call) {
  const given = call.arguments ?? {};
  return expected.tool === call.name
    && Object.entries(expected.arguments ?? {}).every(([name, value]) => Object.hasOwn(Object(given), name) && same(value, given[name]));
}

function same(expected, is) {
  if (expected === null) return true;
  const number = (value) => (typeof value === 'number' ? value : typeof value === 'string' && value.trim() !== '' ? Number(value) : NaN);
  if (typeof expected === 'string' && typeof is === 'string') return expected.trim() === is.trim();
  if (typeof expected === 'number' || typeof is === 'number') {
    return Math.abs(number(expected) - number(is)) <= 1e-9 * Math.max(Math.abs(number(expected)), 1);
  }
  if (Array.isArray(expected)) {
    if (!Array.isArray(is) || expected.length !== is.length) return false;
    const left = [...is];
    return expected.every((value) => {
      const place = left.findIndex((other) => same(value, other));
      if (place >= 0) left.splice(place, 1);
      return place >= 0;
    });
  }
  if (typeof expected === 'object' && typeof is === 'object' && is !== null && !Array.isArray(is)) {
    return Object.entries(expected).every(([name, value]) => Object.hasOwn(is, name) && same(value, is[name]));
  }
  return expected === is;
}

// Lower case, single spaces, and numbers without signs between their groups of digits.
function plain(text) {
  return text.split(/\s+/u).filter(Boolean).join(' ').toLowerCase().replace(/(?<=\d)[,'’](?=\d{3}(?!\d))/gu, '');
}

// Whether a text stands in another as a whole: not as a part of a longer number or word.
function says(reply, text) {
  const joins = (one, other) => one !== undefined && other !== undefined && /[\p{L}\p{N}]/u.test(one) && /[\p{L}\p{N}]/u.test(other);
  if (text === '') return false;
  for (let at = reply.indexOf(text); at >= 0; at = reply.indexOf(text, at + 1)) {
    const before = [...reply.slice(0, at)].at(-1);
    const after = [...reply.slice(at + text.length)][0];
    if (!joins(before, [...text][0]) && !joins([...text].at(-1), after)) return true;
  }
  return false;
}

function told(call) {
  const given = Object.entries(call.arguments ?? {}).filter(([, value]) => value !== null);
  return given.length === 0 ? call.tool : `${call.tool}(${given.map(([name, value]) => `${name}: ${JSON.stringify(value)}`).join(', ')})`;
}
