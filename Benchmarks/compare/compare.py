#!/usr/bin/env python3
"""Backup programs side by side over one corpus of successive versions, in one run.

Each version is brought into one working tree with rsync, as an upgrade in place would. All tools then take the same
step, one after the other, in an order that turns by one each time: opening the repository and no more (the derivation
of keys, which counts with each later step), a first backup, two of the unchanged tree, one of each later version, and a
restore of the last and of the first version into an empty directory, which is compared with the corpus
(rsync -aHAXn --checksum). The tree is read before each step, and `sync -f` counts with it. As root all of it lies on a
fresh ext4 image.

Writes PREFIX.json, PREFIX.md and PREFIX.svg. RESTIC, BORG and MUNINN name the programs.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from chart import chart
from tools import TOOLS, Command, Tool


def measured(command: Command, environment: dict[str, str], sync: Path) -> dict:
    """Wall and processor seconds of the command and the sync after it, and its peak resident MB."""
    script = ["bash", "-c", '"$@" && sync -f "$0"', str(sync), *command]
    begun = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            script, env=os.environ | environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - begun
        errors.seek(0)
        said = errors.read()[-2000:].decode(errors="replace")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    result = {"wall": wall, "cpu": cpu, "peak": usage.ru_maxrss / 1024, "status": process.returncode}
    return result | ({"errors": said} if process.returncode else {})


def byte_count(path: Path) -> int:
    return int(subprocess.run(["du", "-sb", path], capture_output=True, text=True, check=True).stdout.split()[0])


def differing(version: Path, restored: Path) -> int:
    """How many entries of a restored tree are not what the corpus has; -1 where that could not be told."""
    said = subprocess.run(
        ["rsync", "-aHAXn", "--checksum", "--delete", "--omit-dir-times", "--out-format=%n", f"{version}/", f"{restored}/"],
        capture_output=True, text=True)
    return len([name for name in said.stdout.splitlines() if name != "./"]) if said.returncode == 0 else -1


class Scenario:
    """One run of all tools over all versions, in a directory that is empty at first."""

    def __init__(self, work: Path, names: list[str], restores: bool):
        self.work, self.names, self.restores, self.turn = work, names, restores, 0
        self.tree = work / "tree"
        self.tree.mkdir()
        self.tools: dict[str, Tool] = {}
        self.results: dict[str, dict[str, dict]] = {name: {} for name in names}
        for name in names:
            (work / f"state-{name}").mkdir()
            self.tools[name] = TOOLS[name](str(self.repository(name)), str(self.tree), str(work / f"state-{name}"))

    def repository(self, name: str) -> Path:
        return self.work / f"repository-{name}"

    def step(self, step: str, command) -> None:
        self.turn += 1
        for place in range(len(self.names)):
            name = self.names[(place + self.turn) % len(self.names)]
            subprocess.run(["sync", "-f", self.work], check=True)
            self.warm()
            tool = self.tools[name]
            result = self.results[name][step] = measured(command(name, tool), tool.environment, self.work)
            print(f"{step:12} {name:12} {result['wall']:8.2f} s", result.get("errors", ""), flush=True)

    def bring(self, version: Path) -> None:
        subprocess.run(["rsync", "-a", "--checksum", "--delete", f"{version}/", f"{self.tree}/"], check=True)
        subprocess.run(["sync", "-f", self.work], check=True)
        time.sleep(1.1)

    def warm(self) -> None:
        """As warm for each tool as for the others: some (borg) drop what they have read from the page cache."""
        subprocess.run(f"find '{self.tree}' -type f -print0 | xargs -0 -r cat >/dev/null", shell=True, check=True)

    def run(self, versions: list[Path]) -> dict:
        self.step("init", lambda name, tool: tool.init)
        self.step("open", lambda name, tool: tool.open)
        for number, version in enumerate(versions, 1):
            self.bring(version)
            self.step("first" if number == 1 else f"version {number}", lambda name, tool: tool.backup(number))
            for name in self.names:
                self.results[name][f"size {number}"] = {"bytes": byte_count(self.repository(name))}
            for again in (1, 2) if number == 1 else ():
                self.step(f"unchanged {again}", lambda name, tool: tool.backup(1000 + again))
        for number in sorted({len(versions), 1}, reverse=True) if self.restores else ():
            targets = {name: self.work / f"restored-{name}-{number}" for name in self.names}
            for target in targets.values():
                target.mkdir()
            step = f"restore {number}"
            self.step(step, lambda name, tool: tool.restore(number, str(targets[name])))
            for name, target in targets.items():
                self.results[name][step]["differs"] = differing(versions[number - 1], target)
        return self.results


def table(runs: list[dict]) -> str:
    names = list(runs[0])
    out = [f"Median of {len(runs)}: wall seconds (processor seconds, peak resident MB)", ""]
    out += ["| step | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for step in runs[0][names[0]]:
        cells = []
        for name in names:
            rows = [run[name][step] for run in runs]
            if any(row.get("status") or row.get("differs") for row in rows):
                cells.append("failed")
            elif "bytes" in rows[0]:
                cells.append(f"{statistics.median(row['bytes'] for row in rows) / 1e6:.1f} MB")
            else:
                wall, cpu, peak = (statistics.median(row[key] for row in rows) for key in ("wall", "cpu", "peak"))
                cells.append(f"{wall:.2f} ({cpu:.2f}, {peak:.0f})")
        out.append(f"| {step} | " + " | ".join(cells) + " |")
    return "\n".join(out) + "\n"


def make_image(image: Path, gigabytes: int, is_written: bool) -> None:
    """A fresh file system. In a sparse image each new block of the file system is new to the disk and to memory too,
    and a virtual machine's memory may have to come from its host: a cost of the image, not of the tool that meets it.
    A written image has both, as a disk has its blocks."""
    if is_written:
        subprocess.run(
            ["dd", "if=/dev/zero", f"of={image}", "bs=1M", f"count={gigabytes << 10}", "conv=fsync", "status=none"], check=True)
    else:
        subprocess.run(["truncate", "-s", f"{gigabytes}G", image], check=True)
    # Discarding the blocks would make holes of them again.
    subprocess.run(["mkfs.ext4", "-q", "-i", "8192", "-E", "nodiscard", image], check=True)


def one_run(arguments, versions: list[Path]) -> dict:
    with tempfile.TemporaryDirectory(prefix="muninn-compare-", dir=arguments.work) as scratch:
        work = Path(scratch) / "work"
        work.mkdir()
        mounted = os.geteuid() == 0 and not arguments.no_image
        if mounted:
            image = Path(scratch) / "image"
            make_image(image, arguments.image_gb, arguments.written_image)
            subprocess.run(["mount", "-o", "loop", image, work], check=True)
        try:
            return Scenario(work, arguments.tools, not arguments.no_restore).run(versions)
        finally:
            if mounted:
                subprocess.run(["umount", work], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="a directory of versions, each a tree, taken in the order of names")
    parser.add_argument("prefix", help="of the files that are written")
    parser.add_argument("tools", nargs="*", help=f"of {', '.join(TOOLS)}; borg, restic and muninn if none is named")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--versions", type=int, default=1000, help="only the first so many")
    parser.add_argument("--work", default=None, help="where the image lies; the system's temporary directory if not given")
    parser.add_argument("--image-gb", type=int, default=40, help="sparse unless written first: it takes what is written")
    parser.add_argument(
        "--written-image", action="store_true", help="write all of the image first; it should fit into memory beside the rest")
    parser.add_argument("--no-restore", action="store_true", help="backups alone")
    parser.add_argument("--no-image", action="store_true", help="on the disk itself")
    arguments = parser.parse_args()
    arguments.tools = arguments.tools or ["borg", "restic", "muninn"]
    for name in arguments.tools:
        if name not in TOOLS:
            parser.error(f"no tool is called {name}: choose of {', '.join(TOOLS)}")
    try:
        entries = sorted(arguments.corpus.iterdir())
    except OSError as error:
        parser.error(f"{arguments.corpus} cannot be listed: {error.strerror}")
    versions = [entry for entry in entries if entry.is_dir() and not entry.name.startswith(".")][: arguments.versions]
    if not versions:
        parser.error(f"{arguments.corpus} holds no directory: give one whose directories are the versions")
    runs = [one_run(arguments, versions) for _ in range(arguments.runs)]
    text = table(runs)
    Path(arguments.prefix + ".json").write_text(json.dumps({"corpus": str(arguments.corpus), "runs": runs}, indent=1))
    Path(arguments.prefix + ".md").write_text(text)
    Path(arguments.prefix + ".svg").write_text(chart(arguments.corpus.name, runs))
    print("\n" + text)
    failed = any(row.get("status") or row.get("differs") for run in runs for rows in run.values() for row in rows.values())
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
