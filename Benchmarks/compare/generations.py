#!/usr/bin/env python3
"""How restores fare as a chain of backups grows old: muninn with and without rewriting, beside restic and borg.

`muninn-bench chain` makes one tree that changes from generation to generation, and every tool backs each of them up into
a repository of its own, encrypted. Some generations are restored right away, all tools in turn, to a directory that is
best on a tmpfs, so that reading the repository shows: with the repository dropped from the page cache, and again with
it there. One restore of each is compared with the tree (rsync -aHAXn --checksum). In the end muninn's repositories are
defragmented and the last generation is restored from them again, and from a fresh repository of every tool, which has that
generation alone: what an old chain costs is told by that one, since later content need not compress as the first did.

Writes PREFIX.json, PREFIX.md and PREFIX.svg. MUNINN, BENCH, RESTIC and BORG name the programs.
"""
import argparse
import contextlib
import fcntl
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from chart import lines
from tools import TOOLS, Command, Tool, muninn

BENCH = os.environ.get("BENCH", "muninn-bench")
CHAINED = TOOLS | {"muninn-plain": lambda *at: muninn(*at, "--rewrite-limit", "0")}
OURS = {"muninn-plain": "muninn, not rewriting", "muninn": "muninn"}


def run(command: Command, tool: Tool) -> tuple[float, float]:
    """Wall and processor seconds."""
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, env=os.environ | tool.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:].decode(errors='replace')}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - begun, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def forget(*directories: Path) -> None:
    """Drops what lies below the directories from the page cache."""
    for directory in directories:
        for path in directory.rglob("*"):
            if path.is_file() and not path.is_symlink():
                with open(path, "rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Chain:
    def __init__(self, work: Path, target: Path, arguments):
        self.work, self.target, self.arguments = work, target, arguments
        self.names, self.turn = arguments.tools, 0
        self.tree = work / "tree"
        self.points: list[dict] = []
        self.tools = {}
        for name in self.names:
            self.begin(name, name)

    def begin(self, name: str, kind: str) -> None:
        """Makes a repository that is called by its tool's name or another one."""
        self.state(name).mkdir()
        self.tools[name] = CHAINED[kind](str(self.repository(name)), str(self.tree), str(self.state(name)))
        run(self.tools[name].init, self.tools[name])

    def repository(self, name: str) -> Path:
        return self.work / f"repository-{name}"

    def state(self, name: str) -> Path:
        return self.work / f"state-{name}"

    def in_turn(self, names: list[str]) -> list[str]:
        self.turn += 1
        return [names[(place + self.turn) % len(names)] for place in range(len(names))]

    @contextlib.contextmanager
    def alone(self):
        """While something is measured nobody else who asks for the lock works."""
        if not self.arguments.lock:
            yield
            return
        with open(self.arguments.lock, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def restore(self, name: str, generation: int, content: int, compares: bool) -> tuple[float, float]:
        target = self.target / "restored"
        target.mkdir()
        wall, processor = run(self.tools[name].restore(generation, str(target)), self.tools[name])
        if compares:
            said = subprocess.run(
                ["rsync", "-aHAXn", "--checksum", "--delete", "--omit-dir-times", "--out-format=%n", f"{self.tree}/",
                 f"{target}/"], capture_output=True, text=True, check=True).stdout.splitlines()
            if [entry for entry in said if entry != "./"]:
                sys.exit(f"generation {generation} restored by {name} differs: {said[:5]}")
        shutil.rmtree(target)
        return wall / (content / (1 << 30)), processor / (content / (1 << 30))

    def measure(self, generation: int, titles: dict[str, str]) -> None:
        """Restores from the repositories that have titles, and keeps what it took under those."""
        content = sum(path.stat().st_size for path in self.tree.rglob("*") if path.is_file())
        points = {name: {"tool": title, "generation": generation, "cold": [], "warm": [], "processor": []}
                  for name, title in titles.items()}
        for number in range(self.arguments.runs):
            for name in self.in_turn(list(titles)):
                with self.alone():
                    forget(self.repository(name), self.state(name))
                    points[name]["cold"].append(self.restore(name, generation, content, number == 0)[0])
                    warm, processor = self.restore(name, generation, content, False)
                    points[name]["warm"].append(warm)
                    points[name]["processor"].append(processor)
        for name, point in points.items():
            stored = sum(path.stat().st_size for path in self.repository(name).rglob("*") if path.is_file())
            point |= {"content": content, "stored": stored}
            self.points.append(point)
            print(f"generation {generation:3}  {point['tool']:24} cold {statistics.median(point['cold']):7.2f}  "
                  f"warm {statistics.median(point['warm']):7.2f} s/GiB  "
                  f"processor {statistics.median(point['processor']):6.2f}  stored {stored / 1e6:8.1f} MB", flush=True)

    def go(self) -> list[dict]:
        arguments = self.arguments
        maker = subprocess.Popen(
            [BENCH, "chain", str(self.tree), "--size", str(arguments.size), "--files", str(arguments.files),
             "--edited", str(arguments.edited)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for generation in range(1, arguments.generations + 1):
            if generation > 1:
                print(file=maker.stdin, flush=True)
            if maker.stdout.readline().strip() != str(generation):
                sys.exit(f"{BENCH} made no generation {generation}")
            # What changed this very moment cannot be told from what is being written, and is read again.
            time.sleep(1.1)
            for name in self.in_turn(self.names):
                run(self.tools[name].backup(generation), self.tools[name])
            subprocess.run(["sync", "-f", self.work], check=True)
            if generation in (1, arguments.generations) or generation % arguments.every == 0:
                self.measure(generation, {name: name for name in self.names})
        maker.stdin.close()
        maker.wait()
        ours = [name for name in self.names if name in OURS]
        for name in ours:
            program = os.environ.get("MUNINN", "muninn")
            run([program, "defrag", str(self.repository(name)), "--key-file", f"{self.state(name)}/key"], self.tools[name])
        titles = {name: f"{name}, defrag" for name in ours}
        for name in self.names:
            fresh = f"{name}-fresh"
            self.begin(fresh, name)
            run(self.tools[fresh].backup(arguments.generations), self.tools[fresh])
            titles[fresh] = f"{name}, fresh"
        subprocess.run(["sync", "-f", self.work], check=True)
        self.measure(arguments.generations, titles)
        return self.points


def table(points: list[dict]) -> str:
    out = ["Seconds for a GiB of content, medians (and all runs)", ""]
    out += ["| tool | generation | content MB | stored MB | cold | warm | processor, warm |",
            "|---|---:|---:|---:|---:|---:|---:|"]
    for point in points:
        times = [f"{statistics.median(point[key]):.2f} ({', '.join(f'{one:.2f}' for one in point[key])})"
                 for key in ("cold", "warm", "processor")]
        out.append(f"| {point['tool']} | {point['generation']} | {point['content'] / 1e6:.0f} | "
                   f"{point['stored'] / 1e6:.1f} | {' | '.join(times)} |")
    return "\n".join(out) + "\n"


def drawn(points: list[dict]) -> dict[str, list[tuple[float, float]]]:
    """A line for each tool and kind; defragmented repositories have one point, at the last generation."""
    series: dict[str, list[tuple[float, float]]] = {}
    for point in points:
        for key in ("cold", "warm"):
            series.setdefault(f"{point['tool']}, {key}", []).append(
                (point["generation"], statistics.median(point[key])))
    return series


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prefix", help="of the files that are written")
    parser.add_argument("tools", nargs="*", help=f"of {', '.join(CHAINED)}; muninn-plain, muninn, restic and borg if none")
    parser.add_argument("--size", type=float, default=512, help="of the tree, in MiB")
    parser.add_argument("--files", type=int, default=4000)
    parser.add_argument("--edited", type=float, default=0.03, help="share of the files that a generation edits")
    parser.add_argument("--generations", type=int, default=50)
    parser.add_argument("--every", type=int, default=10, help="restore after so many generations")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--work", default=None, help="where the repositories lie; the system's temporary directory if not given")
    parser.add_argument("--target", default="/dev/shm", help="where it is restored to, and removed again")
    parser.add_argument("--lock", default=None, help="a file to hold a lock on during each measurement")
    arguments = parser.parse_args()
    arguments.tools = arguments.tools or ["muninn-plain", "muninn", "restic", "borg"]
    for name in arguments.tools:
        if name not in CHAINED:
            parser.error(f"no tool is called {name}: choose of {', '.join(CHAINED)}")
    with tempfile.TemporaryDirectory(prefix="muninn-chain-", dir=arguments.work) as work, \
            tempfile.TemporaryDirectory(prefix="muninn-chain-", dir=arguments.target) as target:
        points = Chain(Path(work), Path(target), arguments).go()
    text = table(points)
    Path(arguments.prefix + ".json").write_text(json.dumps({"arguments": vars(arguments), "points": points}, indent=1))
    Path(arguments.prefix + ".md").write_text(text)
    title = (f"Restore of {arguments.size:.0f} MiB in {arguments.files} files, "
             f"{arguments.edited * 100:.0f} % edited a generation: seconds for a GiB")
    Path(arguments.prefix + ".svg").write_text(lines(title, drawn(points)))
    print("\n" + text)


main()
