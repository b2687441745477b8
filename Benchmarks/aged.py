#!/usr/bin/env python3
"""Extents of restored files on an aged ext4 that is nearly full, with and without --defrag, and by filefrag.

An image is filled, a part of its files deleted at random, and filled again with others, round by round, so that its
free space lies scattered; at the end as much is deleted as the restore needs and a little more. Both restores begin on
a copy of that image. Each tree is compared with what was backed up, and what the restore reports with what filefrag
counts. Needs root. MUNINN names the program.
"""
import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MUNINN = os.environ.get("MUNINN", "muninn")


def said(*command) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


@contextlib.contextmanager
def mounted(image: Path, where: Path):
    where.mkdir(exist_ok=True)
    said("mount", "-o", "loop", image, where)
    try:
        yield
    finally:
        said("umount", where)


def free(where: Path) -> int:
    status = os.statvfs(where)
    return status.f_bavail * status.f_frsize


def age(where: Path, rounds: int, needed: int, generator: random.Random) -> None:
    total = free(where)
    noise = generator.randbytes(8 << 20)
    files: list[Path] = []

    def fill(least_free: int) -> None:
        while free(where) > least_free:
            # From 4 KiB to 4 MiB, each power of two as often as any other.
            size = int(4096 * 2 ** (generator.random() * 10))
            directory = where / f"d{generator.randrange(64)}"
            directory.mkdir(exist_ok=True)
            files.append(directory / f"f{len(files)}-{generator.randrange(1 << 30)}")
            with open(files[-1], "wb") as file:
                # In pieces, some of them long after: as logs and mailboxes grow.
                for _ in range(generator.choice((1, 1, 1, 2, 4))):
                    file.write(noise[: max(1, size // 2)])
                    file.flush()
                    if size < 65536:
                        os.fsync(file.fileno())

    def thin(until_free: int) -> None:
        generator.shuffle(files)
        while files and free(where) < until_free:
            files.pop().unlink()
        subprocess.run(["sync", "-f", where], check=True)

    for _ in range(rounds):
        fill(total // 50)
        thin(total // 3)
    fill(total // 50)
    thin(needed)


def counted(tree: Path) -> dict:
    """What filefrag says of all files that have content on disk."""
    names = [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink() and path.stat().st_size > 0]
    counts = []
    for first in range(0, len(names), 500):
        for line in said("filefrag", *names[first:first + 500]).splitlines():
            count = int(line.rsplit(": ", 1)[1].split()[0])
            if count:
                counts.append(count)
    counts.sort()
    rank = lambda part: counts[max(0, -(-len(counts) * part // 100) - 1)]
    return {"files": len(counts), "total": sum(counts), "median": rank(50), "percentile99": rank(99), "maximum": counts[-1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree", type=Path, help="what is backed up and restored")
    parser.add_argument("--image-mb", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--left", type=float, default=0.05, help="share of the image that is free after the restore")
    parser.add_argument("--work", default=None, help="where images and repository lie; the system's temporary directory if not given")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="muninn-aged-", dir=arguments.work) as directory:
        work = Path(directory)
        os.environ["XDG_STATE_HOME"] = str(work / "state")
        repository, image, where = work / "repository", work / "image", work / "mounted"
        said(MUNINN, "init", "--no-encryption", repository)
        said(MUNINN, "backup", repository, arguments.tree)
        needed = int(said("du", "-s", "--block-size=1", arguments.tree).split()[0])
        said("truncate", "-s", f"{arguments.image_mb}M", image)
        said("mkfs.ext4", "-q", "-m", "0", "-i", "16384", image)
        with mounted(image, where):
            age(where, arguments.rounds, needed + int(arguments.left * (arguments.image_mb << 20)), random.Random(7))
            space = free(where)
        scattered = said("e2freefrag", image)
        print(f"free before the restore: {space / 1e6:.0f} MB of {arguments.image_mb} MiB, to restore {needed / 1e6:.0f} MB")
        print("\n".join(line for line in scattered.splitlines() if "free extent" in line.lower()))
        results = {}
        for name, options in {"without": ["--sync"], "--defrag": ["--defrag"]}.items():
            copy = work / "copy"
            said("cp", "--sparse=always", image, copy)
            said("sync", "-f", work)
            with mounted(copy, where):
                target = where / "restored"
                begun = time.monotonic()
                report = json.loads(said(MUNINN, "restore", repository, "latest", "--target", target, "--extents", "--json", *options))
                seconds = time.monotonic() - begun
                differing = said("rsync", "-aHAXn", "--checksum", "--delete", "--out-format=%n", f"{arguments.tree}/", f"{target}/")
                if differing.strip():
                    sys.exit(f"the tree that was restored {name} differs: {differing[:500]}")
                results[name] = {"seconds": seconds, "extents": report["extents"], "filefrag": counted(target)}
                results[name]["full"] = 1 - free(where) / (arguments.image_mb << 20)
            copy.unlink()
        shutil.rmtree(repository)
    print("\n| restore | counted by | files | extents | median | 99 % | most | seconds |\n|---|---|---:|---:|---:|---:|---:|---:|")
    for name, result in results.items():
        for by in ("extents", "filefrag"):
            cells = [result[by][key] for key in ("files", "total", "median", "percentile99", "maximum")]
            print(f"| {name} | {'the report' if by == 'extents' else by} | {' | '.join(map(str, cells))} | {result['seconds']:.2f} |")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))
    if any(result["extents"] != result["filefrag"] for result in results.values()):
        sys.exit("filefrag counts otherwise")


main()
