"""Regression tests of suite.json as pytest: each conversation is played against an assistant and checked without a model.

Run with `ASSISTANT_URL=http://… pytest`, or define a fixture `assistant` in conftest.py: a function that takes the messages
so far and gives the assistant's next one, {"role": "assistant", "text": …, "tool_calls": [{"id", "name", "arguments"}]}.
Nothing in suite.json is code.
"""

import json
import os
import re
import unicodedata
import urllib.request
import uuid
from pathlib import Path

import pytest

TURNS = 25
SUITE = json.loads((Path(__file__).parent / "suite.json").read_text(encoding="utf-8"))


@pytest.fixture
def assistant():
    url = os.environ.get("ASSISTANT_URL")
    if not url:
        pytest.skip("ASSISTANT_URL is not set, and there is no fixture `assistant`")
    run = f"pytest-{uuid.uuid4()}"

    def reply(messages):
        headers = {"content-type": "application/json"}
        if os.environ.get("ASSISTANT_AUTHORIZATION"):
            headers["authorization"] = os.environ["ASSISTANT_AUTHORIZATION"]
        body = json.dumps({"run": run, "messages": messages}).encode()
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
            return json.load(answer)

    return reply


@pytest.mark.parametrize("test", SUITE["tests"], ids=[test["test"] for test in SUITE["tests"]])
def test_conversation(test, assistant):
    found = shortfalls(test, *play(test, assistant))
    assert not found, test["title"] + ": " + "; ".join(found)


def play(test, assistant):
    """Says the user's turns one by one, and answers calls of tools from what was recorded."""
    turns, told = [], set()
    for said in test["says"]:
        turns.append({"role": "user", "text": said})
        for spoken in range(TURNS + 1):
            if spoken == TURNS:
                return turns, f"it went on for {TURNS} turns without an answer to the user"
            turn = turn_of(assistant(turns))
            for place, call in enumerate(turn["tool_calls"]):
                call["id"] = call.get("id") or f"call-{len(turns)}-{place}"
            turns.append(turn)
            if not turn["tool_calls"]:
                break
            turns.append({"role": "tool", "tool_results": [answer(test, call, told) for call in turn["tool_calls"]]})
    return turns, None


def answer(test, call, told):
    fixtures = list(enumerate(test.get("fixtures", [])))
    exactly = [(place, one) for place, one in fixtures if one["tool"] == call["name"] and same(one.get("arguments"), call["arguments"])]
    instead = [(place, one) for place, one in fixtures if one["tool"] == call["name"] and not one.get("error")]
    for found in (exactly, instead):
        if found:
            place, fixture = next((one for one in found if one[0] not in told), found[0])
            told.add(place)
            return {"call": call["id"], "name": call["name"], "text": fixture.get("result"), "error": fixture.get("error", False)}
    text = f"Error: no answer of {call['name']} is recorded for this test"
    return {"call": call["id"], "name": call["name"], "text": text, "error": True}


def turn_of(reply):
    """The assistant's turn, in our form, OpenAI's, or that of Bedrock Converse."""
    message = reply
    if reply.get("choices"):
        message = reply["choices"][0]["message"]
    elif reply.get("output"):
        message = reply["output"]["message"]
    else:
        message = reply.get("message") or reply.get("turn") or reply
    assert message.get("role") == "assistant", "its turn is not the assistant's"
    turn = {"role": "assistant", "text": message.get("text"), "tool_calls": []}
    content = message.get("content")
    if isinstance(content, str):
        turn["text"] = content
    for part in content if isinstance(content, list) else []:
        if isinstance(part.get("text"), str):
            turn["text"] = (turn["text"] or "") + part["text"]
        use = part.get("toolUse") or (part if part.get("type") == "tool_use" else None)
        if use:
            call = {"id": use.get("toolUseId") or use.get("id"), "name": use["name"], "arguments": read(use.get("input"))}
            turn["tool_calls"].append(call)
    for call in message.get("tool_calls") or []:
        of = call.get("function") or call
        turn["tool_calls"].append({"id": call.get("id"), "name": of["name"], "arguments": read(of.get("arguments"))})
    return turn


def read(value):
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def shortfalls(test, turns, broken):
    """What a run falls short of, a sentence each."""
    expects, found = test["expects"], []
    calls = [call for turn in turns if turn["role"] == "assistant" for call in turn["tool_calls"]]
    results = [result for turn in turns for result in turn.get("tool_results", [])]

    def failed(call):
        of = [result for result in results if result["call"] == call["id"]]
        return any(result["error"] or re.match(r"\s*error\b", result["text"] or "", re.I) for result in of)

    made = matched(expects.get("calls", []), calls)
    for of, expected in enumerate(expects.get("calls", [])):
        if of not in made.values():
            found.append(f"{shown(expected)} was not called")
    for forbidden in expects.get("no_calls", []):
        if any(fits(forbidden, call) for call in calls):
            found.append(f"{shown(forbidden)} was called, and must not be")
    for place, call in enumerate(calls):
        if call["name"] in expects.get("nothing_else_by", []) and not failed(call) and place not in made:
            found.append(f"{call['name']} was called beyond what is expected")
    said = [plain(turn["text"]) for turn in turns if turn["role"] == "assistant" and turn.get("text")]
    for alternatives in expects.get("says", []):
        if not any(says(reply, plain(text)) for reply in said for text in alternatives):
            found.append("it did not say " + " or ".join(map(repr, alternatives)))
    for never in expects.get("never_says", []):
        if any(says(reply, plain(never)) for reply in said):
            found.append(f"it said {never!r}, and must not")
    most = (expects.get("budget") or {}).get("turns")
    spoken = sum(turn["role"] == "assistant" for turn in turns)
    if most is not None and spoken > most:
        found.append(f"it took {spoken} turns, {most} at most")
    return found + ([broken] if broken else [])


def matched(expected, calls):
    """By call, the expected one that it stands for, as many as possible (augmenting paths, after Kuhn)."""
    taken = {}

    def place(of, tried):
        for at, call in enumerate(calls):
            if at in tried or not fits(expected[of], call):
                continue
            tried.add(at)
            if at not in taken or place(taken[at], tried):
                taken[at] = of
                return True
        return False

    for of in range(len(expected)):
        place(of, set())
    return taken


def fits(expected, call):
    given = call["arguments"] if isinstance(call["arguments"], dict) else {}
    wanted = expected.get("arguments", {}).items()
    return expected["tool"] == call["name"] and all(name in given and same(value, given[name]) for name, value in wanted)


def same(expected, value):
    if expected is None:
        return True
    if isinstance(expected, str) and isinstance(value, str):
        return expected.strip() == value.strip()
    is_number = [isinstance(one, (int, float)) and not isinstance(one, bool) for one in (expected, value)]
    if any(is_number):
        try:
            return abs(float(expected) - float(value)) <= 1e-9 * max(abs(float(expected)), 1)
        except (TypeError, ValueError):
            return False
    if isinstance(expected, list):
        if not isinstance(value, list) or len(expected) != len(value):
            return False
        left = list(value)
        for one in expected:
            other = next((other for other in left if same(one, other)), left)
            if other is left:
                return False
            left.remove(other)
        return True
    if isinstance(expected, dict):
        return isinstance(value, dict) and all(name in value and same(one, value[name]) for name, one in expected.items())
    return expected == value


def plain(text):
    """Lower case, single spaces, and numbers without signs between their groups of digits."""
    return re.sub(r"(?<=[0-9])[,'’](?=[0-9]{3}(?![0-9]))", "", " ".join(text.split()).lower())


def says(reply, text):
    """Whether a text stands in another as a whole: not as a part of a longer number or word."""

    def joins(one, other):
        return bool(one) and bool(other) and all(unicodedata.category(char)[0] in "LN" for char in (one, other))

    at = reply.find(text) if text else -1
    while at >= 0:
        end = at + len(text)
        if not joins(reply[at - 1 : at] if at else "", text[0]) and not joins(text[-1], reply[end : end + 1]):
            return True
        at = reply.find(text, at + 1)
    return False


def shown(call):
    given = {name: value for name, value in call.get("arguments", {}).items() if value is not None}
    return call["tool"] + ("(" + ", ".join(f"{name}: {json.dumps(value)}" for name, value in given.items()) + ")" if given else "")
