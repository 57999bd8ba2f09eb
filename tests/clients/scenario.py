# SPDX-License-Identifier: Apache-2.0
"""The steps of a scenario file, for a client written in Python.

A file holds groups of steps; "clients" of a group, or of a step, names who takes it. A step calls an operation of
botocore's name with "input". "${name}" stands for what an earlier step kept: "keep" gives names to places in the reply,
as "TrafficMirrorFilter.TrafficMirrorFilterId" or "Tags.0.Key". "repeat" does the step so many times, with "${n}" from 1.
"expect" is a part of the reply, "reply" all of it; there "*" is any value and null none, and of a list all elements are
named. "sizes" are lengths of lists. "error" is the code of a failure, "status" its HTTP status, "message" words of its
message. "validate": false switches off what the client itself checks."""
import json
import re
import sys


class Failed(Exception):
    """What the service answered instead of a reply; no status where the client does not tell it."""

    def __init__(self, code, status, message):
        super().__init__(f"{code} ({status}): {message}")
        self.code, self.status, self.message = code, status, message


def filled(value, names):
    if isinstance(value, dict):
        return {filled(k, names): filled(v, names) for k, v in value.items()}
    if isinstance(value, list):
        return [filled(v, names) for v in value]
    if not isinstance(value, str):
        return value
    whole = re.fullmatch(r"\$\{(\w+)\}", value)
    if whole:
        return names[whole[1]]
    return re.sub(r"\$\{(\w+)\}", lambda m: str(names[m[1]]), value)


def at(reply, path):
    for part in path.split("."):
        reply = reply[int(part)] if isinstance(reply, list) else reply[part]
    return reply


def difference(expected, found, exact, path=""):
    """Where what was found is not what was expected; None when it is."""
    if expected == "*" and found is not None:
        return None
    if isinstance(expected, dict) and isinstance(found, dict):
        if exact and set(found) - set(expected):
            return f"{path}: {sorted(set(found) - set(expected))} were not expected"
        parts = [(f"{path}.{name}".strip("."), value, found.get(name)) for name, value in expected.items()]
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        parts = [(f"{path}.{i}".strip("."), e, f) for i, (e, f) in enumerate(zip(expected, found))]
    else:
        same = expected == found and type(expected) is type(found)
        return None if same else f"{path}: {found!r} rather than {expected!r}"
    return next(filter(None, (difference(e, f, exact, p) for p, e, f in parts)), None)


def fault_of(step, names, call):
    """Does a step; gives what is wrong, or None."""
    try:
        reply = call(step["call"], filled(step.get("input", {}), names), step.get("validate", True))
    except Failed as failure:
        if failure.code != step.get("error"):
            return str(failure)
        if failure.status not in (None, step.get("status", 400)):
            return f"the status is {failure.status}"
        return next((f"{word!r} is not in the message {failure.message!r}"
                     for word in filled(step.get("message", []), names) if word not in failure.message), None)
    if "error" in step:
        return f"succeeded rather than to fail with {step['error']}"
    for part in ("expect", "reply"):
        if part in step:
            wrong = difference(filled(step[part], names), reply, part == "reply")
            if wrong:
                return wrong
    for path, size in step.get("sizes", {}).items():
        if len(at(reply, path)) != size:
            return f"{path} has {len(at(reply, path))} elements rather than {size}"
    for name, path in step.get("keep", {}).items():
        names[filled(name, names)] = at(reply, path)
    return None


def run(client, call, file, only=()):
    """Takes the client's steps, prints a line for each, and gives the exit status."""
    names, taken, faults = {"client": client}, 0, 0
    for group in json.loads(open(file, encoding="utf-8").read())["groups"]:
        if client not in group["clients"] or (only and group["name"] not in only):
            continue
        for step in group["steps"]:
            title = f"{group['name']}: {step['call']}"
            if client not in step.get("clients", [client]):
                print(f"left out: {title}: {client} has no such operation or member")
                continue
            for n in range(1, step.get("repeat", 1) + 1):
                names["n"] = n
                try:
                    fault = fault_of(step, names, call)
                except (LookupError, TypeError) as error:
                    fault = f"the reply lacks {error}"
                taken += 1
                faults += fault is not None
                what = f" {step['error']}" if "error" in step else ""
                print(f"{'ok' if fault is None else 'FAILED'}: {title}{what}" + (f": {fault}" if fault else ""))
    print(f"{client}: {taken} steps, {faults} failed")
    sys.stdout.flush()
    return 0 if taken and not faults else 1
