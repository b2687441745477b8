#!/usr/bin/env python3
"""How long a prune takes, and how much memory, for muninn and restic over the same snapshots.

A tree of small files is changed a little and backed up SNAPSHOTS times by each tool; then every second snapshot is
forgotten, and each tool takes out what nobody needs. Two prunes each: one that is to leave nothing unneeded, and one
more that finds nothing to do. `sync -f` counts. RESTIC and MUNINN name the programs.
"""
import argparse
import json
import os
import random
import subprocess
import tempfile
from pathlib import Path

from compare import byte_count, measured
from tools import TOOLS

NAMES = ("restic", "muninn")


def change(tree: Path, count: int, generator: random.Random) -> None:
    for number in generator.sample(range(2000), count):
        place = tree / f"d{number % 50}" / f"f{number}"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(generator.randbytes(generator.randrange(2_000, 60_000)))


def snapshot_ids(name: str, repository: Path, state: Path) -> list[str]:
    """Oldest first."""
    if name == "restic":
        listed = json.loads(run([*restic(repository, state), "snapshots", "--json"], {"RESTIC_PASSWORD": "x"}))
        return [one["id"] for one in sorted(listed, key=lambda one: one["time"])]
    listed = json.loads(run([*muninn("snapshots", repository, state), "--json"], {"XDG_STATE_HOME": str(state)}))
    return [one["id"] for one in sorted(listed["snapshots"], key=lambda one: one["completed"])]


def restic(repository: Path, state: Path) -> list[str]:
    return [os.environ.get("RESTIC", "restic"), "-q", "-r", str(repository), "--cache-dir", str(state)]


def muninn(verb: str, repository: Path, state: Path) -> list[str]:
    return [os.environ.get("MUNINN", "muninn"), verb, str(repository), "--key-file", f"{state}/key"]


def run(command: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(
        command, env=os.environ | environment, check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--snapshots", type=int, default=100)
    parser.add_argument("--changes", type=int, default=40, help="files written anew before each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", default=None, help="where the trees and repositories lie for as long as it runs")
    arguments = parser.parse_args()
    generator = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="muninn-prune-", dir=arguments.work) as scratch:
        work = Path(scratch)
        tree = work / "tree"
        tree.mkdir()
        change(tree, 2000, generator)
        tools = {}
        for name in NAMES:
            (work / f"state-{name}").mkdir()
            tools[name] = TOOLS[name](str(work / f"repository-{name}"), str(tree), str(work / f"state-{name}"))
            run(tools[name].init, tools[name].environment)
        for number in range(1, arguments.snapshots + 1):
            change(tree, arguments.changes, generator)
            for tool in tools.values():
                run(tool.backup(number), tool.environment)
        print(f"{arguments.snapshots} snapshots, seed {arguments.seed}: MB; prune and prune again: s (processor s, peak MB)")
        for name, tool in tools.items():
            repository, state = work / f"repository-{name}", work / f"state-{name}"
            half = snapshot_ids(name, repository, state)[::2]
            before = byte_count(repository)
            if name == "restic":
                run([*restic(repository, state), "forget", *half], tool.environment)
                prune = [*restic(repository, state), "prune", "--max-unused", "0"]
            else:
                run([*muninn("forget", repository, state), *half], tool.environment)
                prune = [*muninn("prune", repository, state), "--max-unused", "0"]
            cells = []
            for _ in range(2):
                subprocess.run(["sync", "-f", scratch], check=True)
                one = measured(prune, tool.environment, work)
                assert one["status"] == 0, one
                cells.append(f"{one['wall']:.2f} ({one['cpu']:.2f}, {one['peak']:.0f})")
            after = byte_count(repository)
            print(f"{name}: {before / 1e6:.1f} -> {after / 1e6:.1f} MB; {cells[0]}; {cells[1]}", flush=True)


if __name__ == "__main__":
    main()
