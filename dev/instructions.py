#!/usr/bin/env python3
"""Counts the instructions of the hot paths of the rules, and compares them with the table below.

    dev/instructions.py         # exits with 1 if a path takes over 1.25 times what the table records, or more with many targets
    dev/instructions.py --print # prints the table with the counts of now, to be put here on purpose

crates/core/examples/instructions.rs plays the paths, and valgrind (callgrind) counts. The count does not depend on how fast
the machine is or what else it does, and varies little: only the random keys of hash maps differ from run to run.
"""
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FUNCTIONS = "instructions::paths::"

# The numbers of targets: a change must cost the same with few and with many.
SIZES = (200, 20_000)

# Average instructions of one call, with each of SIZES.
RECORDED = {
    "parse_notification": (570_000, 570_000),  # 20 alerts
    "merge_notification": (110_000, 111_000),  # 20 alerts
    "desire_changed_alert": (49_400, 50_600),
    "plan_touched_target": (5_530, 7_280),
    "plan_components_and_incidents": (784_000, 827_000),  # 40 components, 39 of them in an outage
    "follow_write": (1_950, 2_960),
    "index_reading": (168_000, 22_500_000),  # once an interval
    "plan_all_targets": (1_200_000, 164_000_000),  # once an interval
    "desire_whole_page": (811_000, 101_000_000),  # at the start, and for the console's lists
    "sum_up_components": (824_000, 32_600_000),  # for the console's lists
}

# How much more than recorded a path may take; compilers differ, too.
MARGIN = 1.25

# How much more a path may take with the most targets than with the fewest: one changed alert, from its signal to the written
# target, and what each run plans anew, whatever has changed. A search in a tree takes a few steps more.
RATIO = 1.2
SAME_AT_ANY_SIZE = {
    "one changed alert": ("desire_changed_alert", "plan_touched_target", "follow_write"),
    "the plan of all components": ("plan_components_and_incidents",),
}

# How long the largest number of targets may take to be counted; seconds are usual.
PATIENCE_SECONDS = 180


def build():
    """Compiles the program that plays the paths, and returns its path."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    command = ["cargo", "build", "--locked", "--quiet", "--release", "--target-dir", target]
    command += ["--package", "alertmanager-cachet-core", "--example", "instructions"]
    subprocess.run([*command, "--config", "profile.release.strip=false"], cwd=ROOT, check=True)
    return target / "release/examples/instructions"


def count(program, targets):
    """Instructions of one call of each path, by name, what it calls included."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "callgrind")
        valgrind = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}"]
        try:
            subprocess.run([*valgrind, program, str(targets)], check=True, timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            sys.exit(f"{targets:,} targets take more than {PATIENCE_SECONDS} s: is one of them compared with all others?")
        return read(out.read_text())


def read(profile):
    """The average cost of a call of each path in a profile of callgrind.

    A function's block has lines `POSITION COST`: its own cost, and after a line `calls=` what that callee has taken.
    """
    names, calls, costs = {}, defaultdict(int), defaultdict(int)

    def name(compressed):
        number, text = re.fullmatch(r"(\(\d+\)) ?(.*)", compressed).groups()
        return names.setdefault(number, text)

    caller = callee = ""
    for line in profile.splitlines():
        key, _, value = line.partition("=")
        if key == "fn":
            caller = name(value)
        elif key == "cfn":
            callee = name(value)
        elif key == "calls":
            calls[callee] += int(value.split()[0])
        elif re.match(r"[+*\d-]", line):
            costs[caller] += int(line.split()[1])
    paths = (name for name in calls if name.startswith(FUNCTIONS))
    return {path.removeprefix(FUNCTIONS): costs[path] // calls[path] for path in paths}


def table(counts):
    """The counts as the lines of RECORDED."""
    return "".join(f'    "{path}": ({small:_}, {large:_}),\n' for path, (small, large) in counts.items())


def problems(counts):
    """What is over its limit, or in one of the two tables only."""
    for path in sorted(counts.keys() ^ RECORDED.keys()):
        yield f"{path}: played or recorded, but not both; correct {Path(__file__).name}"
    for path in counts.keys() & RECORDED.keys():
        for targets, now, recorded in zip(SIZES, counts[path], RECORDED[path]):
            if now > recorded * MARGIN:
                yield f"{path}, {targets:,} targets: {now:,} instructions, {now / recorded:.2f} times the recorded {recorded:,}; at most {MARGIN} are allowed"
    for what, paths in SAME_AT_ANY_SIZE.items():
        small, large = (sum(counts[path][size] for path in paths) for size in range(len(SIZES)))
        if large > small * RATIO:
            yield f"{what}: {large / small:.2f} times the instructions with {SIZES[1]:,} targets, at most {RATIO} are allowed"


def main():
    program = build()
    with ThreadPoolExecutor() as pool:
        small, large = pool.map(lambda targets: count(program, targets), SIZES)
    counts = {path: (small[path], large[path]) for path in small}
    if sys.argv[1:] == ["--print"]:
        print(table(counts), end="")
        return 0
    if sys.argv[1:]:
        sys.exit(f"unknown argument: {' '.join(sys.argv[1:])}; the only one is --print")
    found = list(problems(counts))
    print(f"{'instructions of':<32}", *(f"{targets:>10,} targets" for targets in SIZES))
    for path, both in counts.items():
        print(f"{path:<32}", *(f"{now:>18,}" for now in both))
    for problem in found:
        print(problem)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
