"""The programs that are compared: how each makes a repository, backs a tree up into it, and restores from it."""
import json
import os
import shlex
import subprocess
from dataclasses import dataclass
from typing import Callable

Command = list[str]


@dataclass
class Tool:
    """`state` is a directory for keys and caches; both it and `repository` are the tool's own."""

    environment: dict[str, str]
    init: Command
    open: Command
    backup: Callable[[int], Command]
    restore: Callable[[int, str], Command]


def shell(line: str) -> Command:
    return ["bash", "-c", "set -euo pipefail; " + line]


def muninn(repository: str, tree: str, state: str, *options: str) -> Tool:
    """Encrypted with a key file, which is generated first: the others derive their key each time."""
    program = os.environ.get("MUNINN", "muninn")
    muninn, key, at = shlex.quote(program), shlex.quote(state + "/key"), shlex.quote(repository)
    environment = {"XDG_STATE_HOME": state}

    def snapshot(version: int) -> str:
        listed = subprocess.run(
            [program, "snapshots", repository, "--key-file", state + "/key", "--json"],
            env=os.environ | environment, stdout=subprocess.PIPE, check=True)
        return [one["id"] for one in json.loads(listed.stdout)["snapshots"] if f"v{version}" in one["tags"]][-1]

    return Tool(
        environment=environment,
        init=shell(f"{muninn} key generate {key}; {muninn} init --key-file {key} {at}"),
        open=[program, "snapshots", repository, "--key-file", state + "/key"],
        backup=lambda version: [program, "backup", repository, tree, "--key-file", state + "/key", "--tag", f"v{version}", *options],
        # The others find the snapshot of a tag themselves: here it is looked up before the clock runs.
        restore=lambda version, target: [
            program, "restore", repository, snapshot(version), "--key-file", state + "/key", "--sync", "--target", target],
    )


def restic(repository: str, tree: str, state: str, *options: str) -> Tool:
    program = [os.environ.get("RESTIC", "restic"), "-q", "-r", repository, "--cache-dir", state, *options]
    return Tool(
        environment={"RESTIC_PASSWORD": "x"},
        init=[*program, "init"],
        open=[*program, "cat", "config"],
        backup=lambda version: ["env", "-C", tree, *program, "backup", "--tag", f"v{version}", "."],
        restore=lambda version, target: [*program, "restore", "latest", "--tag", f"v{version}", "--target", target],
    )


def borg(repository: str, tree: str, state: str, compression: str = "lz4") -> Tool:
    program = os.environ.get("BORG", "borg")
    return Tool(
        environment={
            "BORG_BASE_DIR": state,
            "BORG_PASSPHRASE": "x",
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        },
        init=[program, "init", "-e", "repokey-blake2", repository],
        open=[program, "list", repository],
        backup=lambda version: ["env", "-C", tree, program, "create", "-C", compression, f"{repository}::v{version}", "."],
        restore=lambda version, target: ["env", "-C", target, program, "extract", f"{repository}::v{version}"],
    )


def tar(repository: str, tree: str, state: str) -> Tool:
    at = shlex.quote(repository)
    return Tool(
        environment={},
        init=["mkdir", repository],
        open=["true"],
        backup=lambda version: shell(f"tar -C {shlex.quote(tree)} -cf - . | lz4 -q - {at}/v{version}.tar.lz4"),
        restore=lambda version, target: shell(f"lz4 -dcq {at}/v{version}.tar.lz4 | tar -C {shlex.quote(target)} -xf -"),
    )


def cp(repository: str, tree: str, state: str) -> Tool:
    return Tool(
        environment={},
        init=["mkdir", repository],
        open=["true"],
        backup=lambda version: ["cp", "-a", tree, f"{repository}/v{version}"],
        restore=lambda version, target: ["cp", "-a", f"{repository}/v{version}/.", target],
    )


TOOLS: dict[str, Callable[[str, str, str], Tool]] = {
    "muninn": muninn,
    "muninn-high": lambda *at: muninn(*at, "--level", "9"),
    "restic": restic,
    "restic-max": lambda *at: restic(*at, "--compression", "max"),
    "borg": borg,
    "borg-zstd": lambda *at: borg(*at, "zstd,3"),
    "tar-lz4": tar,
    "cp": cp,
}
