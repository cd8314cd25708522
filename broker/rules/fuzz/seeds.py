#!/usr/bin/env python3
"""Writes a first corpus for each target: the examples of PATTERNS.md, in the form that the target reads."""

import hashlib
import re
from pathlib import Path

HERE = Path(__file__).parent
EXAMPLES = re.findall(r"```pattern\n(.*?)```", (HERE / "../PATTERNS.md").read_text(), re.DOTALL)


def examples():
    """Each a pattern on one line, and events."""
    for block in EXAMPLES:
        pattern, *lines = re.split(r"\n(?=yes |no )", block.strip())
        events = [" ".join(line.split(maxsplit=1)[1].split("\n")) for line in lines]
        yield " ".join(pattern.split("\n")), events


def write(target, text):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(text.encode()).hexdigest()).write_text(text)


def main():
    patterns = [pattern for pattern, _ in examples()]
    for place, (pattern, events) in enumerate(examples()):
        for event in events:
            write("pattern", f"{event}\n{pattern}")
            write("explain", f"{pattern}\n{event}")
            write("explain", f'{{"": {pattern}, ".é": ["x"]}}\n{{"é": {event}}}')
            write("event", event)
            some = patterns[place : place + 6] + patterns[: max(0, place + 6 - len(patterns))]
            write("differential", "\n".join([event, *some]))
    for text in ["{}", '{"a": [[{"b": 1.5e-3, "c": "\\ud83d\\ude00\\n"}, {}], [true, null]]} more', '{"a": 1e400}', '{"a":']:
        write("event", text)


main()
