#!/usr/bin/env python3
"""Breaks each rule of the server on purpose, and names the seed of the simulation that sees it.

    dev/break_rules.py                  # all rules; each takes a build and a simulation
    dev/break_rules.py late --seeds 500 # the rules whose words contain `late`, with 500 seeds each

The checkout is copied to a folder of its own below the system's temporary folder, with its own `target`, and changed there.
The folder is kept, so that the next run compiles less. Exits with 1 if a broken rule is seen by no seed, 2 if a rule cannot
be broken.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEST = "simulation::whatever_happens_the_page_at_rest_is_what_the_oracle_says"
CORE = "crates/core/src/"


@dataclass(frozen=True)
class Rule:
    """A rule in words, and a change that breaks it: `old`, which occurs once in `file`, becomes `new`."""

    words: str
    file: str
    old: str
    new: str


RULES = [
    # What follows changes is what would be computed anew.
    Rule(
        "changes: a target is planned again after its row of the ledger has changed",
        "src/reconcile/view.rs",
        "self.touched.targets.insert(name.clone());",
        "let _ = name;",
    ),
    Rule(
        "changes: a target is planned again after a signal of it has changed",
        CORE + "page.rs",
        "        self.signals.insert(id, name.clone());\n        touched.insert(name);",
        "        self.signals.insert(id, name);",
    ),
    Rule(
        "changes: what a notification has changed is told to the reconciler",
        "crates/store/src/alerts.rs",
        "self.changes().add(stored.change(written));",
        "drop(stored.change(written));",
    ),
    # Which target an alert is about.
    Rule(
        "identity: an alert without the port is about the target with this host",
        CORE + "target.rs",
        "None => known.strip_prefix(named_instance).is_some_and(is_port),",
        "None => false,",
    ),
    # The ledger.
    Rule(
        "late or drift: a status that was sent without an answer is no person's",
        CORE + "ledger.rs",
        "sent.value != self.value && sent.value.is_shown_by",
        "false && sent.value.is_shown_by",
    ),
    Rule(
        "late or drift: an incident that was closed or reopened late is no person's",
        CORE + "ledger.rs",
        "let differs = row.value",
        "let differs = false && row.value",
    ),
    Rule(
        "late or drift: a late write is undone once",
        CORE + "ledger.rs",
        "self.unanswered.remove(place);",
        "let _ = place;",
    ),
    Rule(
        "late or drift: a write without an answer is expected for an hour",
        CORE + "ledger.rs",
        "CARRIED_OUT_WITHIN: Duration = Duration::from_secs(3600)",
        "CARRIED_OUT_WITHIN: Duration = Duration::from_secs(1)",
    ),
    Rule(
        "a write is stored before it is sent",
        "src/reconcile/deliver.rs",
        "reporter.remember(&context.store, &intents).await",
        "reporter.remember(&context.store, &[]).await",
    ),
    Rule(
        "creates are looked up before a second POST",
        "src/reconcile/apply.rs",
        "if outage.incident.is_some()",
        "if false",
    ),
    Rule(
        "creates are looked up only when no request can be on its way (15 s)",
        CORE + "ledger.rs",
        ".filter(|until| now < *until)",
        ".filter(|_| false)",
    ),
    Rule(
        "the component of a target is not created while an earlier create may have made it",
        "src/reconcile/deliver.rs",
        "wait.is_some()\n",
        "wait.is_some() && false\n",
    ),
    Rule(
        "duplicates are hidden",
        CORE + "plan/outages.rs",
        "duplicates.first().map(hide)",
        "duplicates.first().map(hide).filter(|_| false)",
    ),
    Rule(
        "made anew: the recorded value of another number counts for nothing",
        CORE + "plan.rs",
        "let recorded = self.recorded(key, found)?;",
        "let recorded = self.ledger.get(key)?;",
    ),
    Rule(
        "old store: the recorded values of a restored backup count for nothing",
        CORE + "recovery.rs",
        "let mut older = with_doubtful_rows(ledger);",
        "let mut older = ledger;",
    ),
    # The status of a component.
    Rule(
        "a critical target that is down makes its components Major Outage",
        CORE + "rules.rs",
        "|| self.critical[condition as usize] > 0",
        "|| (self.critical[condition as usize] > 0 && false)",
    ),
    Rule(
        "a component of which all targets are down is Major Outage",
        CORE + "rules.rs",
        "(count == self.all.iter().sum::<usize>() ||",
        "((false && count == self.all.iter().sum::<usize>()) ||",
    ),
    Rule(
        "a component of which some targets are down is Partial Outage",
        CORE + "rules.rs",
        "} else if targets.count(Condition::Down) + targets.count(Condition::Partial) > 0 {",
        "} else if targets.count(Condition::Partial) > 0 {",
    ),
    # Order and repetition of alerts.
    Rule(
        "a newer startsAt wins",
        CORE + "alert.rs",
        "is_later && !self.is_of_same_occurrence(alert, now)",
        "false && is_later && !self.is_of_same_occurrence(alert, now)",
    ),
    Rule(
        "a resolve wins within one startsAt",
        CORE + "alert.rs",
        "(AlertState::Firing | AlertState::Adopted | AlertState::ResolveHeld, AlertStatus::Resolved)",
        "(AlertState::Adopted | AlertState::ResolveHeld, AlertStatus::Resolved)",
    ),
    Rule(
        "a refire counts only after the refire delay",
        CORE + "alert.rs",
        "now >= since.after(refire_delay)",
        "now >= since || refire_delay.is_zero()",
    ),
    Rule(
        "a startsAt in the future is cut to the time of arrival",
        CORE + "alert.rs",
        "let starts_at = alert.starts_at.min(arrived_at);",
        "let starts_at = alert.starts_at;",
    ),
    Rule(
        "a resolve that may be an expiry is held until the watchdog is received",
        CORE + "expiry.rs",
        "if ends_firing_alert && rule",
        "if false && ends_firing_alert && rule",
    ),
    # Outages and their incidents.
    Rule(
        "maintenance suppresses new incidents",
        CORE + "plan/outages.rs",
        "component.is_some_and(|id| one.components.contains(&id))",
        "false && component.is_some_and(|id| one.components.contains(&id))",
    ),
    Rule(
        "an override wins over the rules",
        CORE + "page.rs",
        "overrides.iter().filter(|override_| override_.is_in_force(now))",
        "overrides.iter().filter(|override_| false && override_.is_in_force(now))",
    ),
    Rule(
        "an override ends at its time",
        CORE + "overrides.rs",
        "        now < self.until\n",
        "        now < self.until || true\n",
    ),
    Rule(
        "an override at a better status suppresses new incidents",
        CORE + "plan/outages.rs",
        "|| self.suppress_by_override(name, outage, desired)",
        "|| false && self.suppress_by_override(name, outage, desired)",
    ),
    Rule(
        "an override closes no incident",
        CORE + "plan/outages.rs",
        "let status_by_rules = better(desired).map_or(status, |overridden| overridden.rules);",
        "let status_by_rules = status;",
    ),
    Rule(
        "a person's status stays",
        CORE + "plan.rs",
        "if settled == Some(status) && late.is_none() && self.policy.drift == Drift::Respect",
        "if false && settled == Some(status) && late.is_none() && self.policy.drift == Drift::Respect",
    ),
    Rule(
        "a person's status is overwritten where drift is enforced",
        CORE + "plan.rs",
        "if settled == Some(status) && late.is_none() && self.policy.drift == Drift::Respect",
        "if settled == Some(status) && late.is_none()",
    ),
    Rule(
        "an incident that a person closed stays closed",
        CORE + "plan/outages.rs",
        "_ if !row.is_confirmed() => self.reopen",
        "_ if !row.is_confirmed() || !is_open => self.reopen",
    ),
    Rule(
        "a relapse continues the same incident",
        CORE + "plan/outages.rs",
        ".filter(|until| self.now < *until)",
        ".filter(|_| false)",
    ),
    Rule(
        "an outage ends only after the recovery hold",
        CORE + "plan/outages.rs",
        "if row.is_confirmed() && self.now < over_at {",
        "if false && row.is_confirmed() && self.now < over_at {",
    ),
    Rule(
        "Unknown ends no outage",
        CORE + "rules.rs",
        "(ComponentStatus::Unknown, _) => was_in_outage,",
        "(ComponentStatus::Unknown, _) => false,",
    ),
    Rule(
        "an outage lasts until Operational where that is configured",
        CORE + "rules.rs",
        "(_, Self::Operational) => was_in_outage,",
        "(_, Self::Operational) => false,",
    ),
    # What is not heard.
    Rule(
        "a missing watchdog turns Operational into Unknown",
        CORE + "watchdog.rs",
        "(None, due) if now >= due",
        "(None, due) if false && now >= due",
    ),
    Rule(
        "what an Alertmanager does not list that has just started has not ended",
        CORE + "repair.rs",
        "member.up_for >= config.settle",
        "member.up_for >= config.settle || true",
    ),
    Rule(
        "a lost store adopts the alerts that the page shows",
        CORE + "recovery.rs",
        "let down = !component.enabled",
        "let down = false && !component.enabled",
    ),
    Rule(
        "a lost store adopts the incidents that the page shows",
        CORE + "recovery.rs",
        "is_ours.then_some((subject, id))",
        "(false && is_ours).then_some((subject, id))",
    ),
]


class CannotBreak(Exception):
    """Why a rule cannot be broken; the message names the rule."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("pattern", nargs="?", default="", help="only rules whose words match this regular expression")
    parser.add_argument("--seeds", type=int, default=2000, metavar="N", help="how many seeds are tried (2000)")
    parser.add_argument("--check", action="store_true", help="only check that the table fits the code")
    arguments = parser.parse_args()
    rules = [rule for rule in RULES if re.search(arguments.pattern, rule.words, re.IGNORECASE)]
    if not rules:
        print(f"no rule matches {arguments.pattern!r}", file=sys.stderr)
        return 2
    try:
        # Before the first build: a text that has changed should not be found out after an hour.
        for rule in rules:
            broken(rule, ROOT)
        if arguments.check:
            return 0
        copy = copied()
    except CannotBreak as error:
        print(error, file=sys.stderr)
        return 2
    unseen, failed = 0, 0
    for rule in rules:
        try:
            seed = first_seed_that_sees(rule, copy, arguments.seeds)
        except CannotBreak as error:
            failed += 1
            print(error, file=sys.stderr, flush=True)
            continue
        unseen += seed is None
        print(f"{rule.words}\n    {seed or 'NO SEED SEES IT'}", flush=True)
    return 2 if failed else int(unseen > 0)


def broken(rule: Rule, folder: Path) -> str:
    """The text of the rule's file in `folder`, with the rule broken."""
    path = folder / rule.file
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    count = text.count(rule.old)
    if count != 1:
        raise CannotBreak(f"{rule.words}: {rule.file} has this text {count} times, adapt the table: {rule.old!r}")
    return text.replace(rule.old, rule.new)


def copied() -> Path:
    """The copy of the checkout, as the checkout is now. Files that are the same keep their times, so cargo skips them."""
    name = f"break-rules-{sha256(str(ROOT).encode()).hexdigest()[:12]}"
    copy = Path(tempfile.gettempdir()) / name
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    )
    files = {file for file in listed.stdout.split("\0") if file and (ROOT / file).is_file()}
    if copy.exists():
        for folder, folders, names in os.walk(copy):
            folders[:] = [one for one in folders if Path(folder, one) != copy / "target"]
            for file in (Path(folder, one) for one in names):
                if str(file.relative_to(copy)) not in files:
                    file.unlink()
    for file in sorted(files):
        source, place = ROOT / file, copy / file
        content = source.read_bytes()
        if not place.exists() or place.read_bytes() != content:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            shutil.copymode(source, place)
    return copy


def first_seed_that_sees(rule: Rule, copy: Path, seeds: int) -> str | None:
    """`seed 12: LAW`, where the broken rule breaks a law; `None` if no seed sees it."""
    path = copy / rule.file
    whole = path.read_text(encoding="utf-8")
    path.write_text(broken(rule, copy), encoding="utf-8")
    try:
        built = cargo(copy, seeds, "--no-run")
        if built.returncode != 0:
            raise CannotBreak(f"{rule.words}: it does not compile\n{built.stderr}")
        played = cargo(copy, seeds, TEST, "--", "--exact", "--nocapture")
    finally:
        path.write_text(whole, encoding="utf-8")
    output = played.stdout + played.stderr
    if played.returncode == 0 and "1 passed" in output:
        return None
    seen = [(int(seed), law) for seed, law in re.findall(r"seed (\d+) breaks a law: (.*)", output)]
    if seen:
        seed, law = min(seen)
        return f"seed {seed}: {law}"
    if hangs := re.search(r"one of these seeds hangs: (.*)", output):
        return f"a seed hangs: {hangs.group(1)}"
    raise CannotBreak(f"{rule.words}: the simulation did not run, or failed and names no seed\n{output[-3000:]}")


def cargo(copy: Path, seeds: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`cargo test` of the integration tests in the copy."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIMULATION_")}
    environment |= {"CARGO_TARGET_DIR": str(copy / "target"), "SIMULATION_SEEDS": str(seeds)}
    command = [os.environ.get("CARGO", "cargo"), "test", "--quiet", "--test", "it", *arguments]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
