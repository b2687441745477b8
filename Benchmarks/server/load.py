#!/usr/bin/env python3
"""A server under load: many file systems, clients that poll their status, backups that run all the time.

Starts a server of its own on a scratch directory and a free port of the loopback interface, and stops it. The polls
are wrk's (poll.lua beside this file), so that what is measured is not an interpreter on the same processors; the
backups are asked for from here. Prints one JSON object: requests, errors, latency of status answers, backups, memory,
and what else kept the machine busy. Needs Python 3.11, wrk and the muninn binary:

    MUNINN=.build/release/muninn python3 Benchmarks/server/load.py --seconds 600
"""

import argparse, asyncio, json, os, random, shutil, signal, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
TICKS = os.sysconf("SC_CLK_TCK")


def status_of(pid, field):
    """A field of /proc/PID/status, in MiB."""
    with open(f"/proc/{pid}/status") as file:
        return int(next(line for line in file if line.startswith(field)).split()[1]) / 1024


def seconds_of(pid):
    """Processor time of a process and of its children that ended."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15]) / TICKS


def seconds_of_machine():
    """Processor time that was used for anything."""
    with open("/proc/stat") as file:
        fields = [int(field) for field in file.readline().split()[1:]]
    return (sum(fields[:3]) + sum(fields[5:7])) / TICKS


class Client:
    """One connection that is kept open, HTTP/1.1."""

    def __init__(self, port):
        self.port, self.reader, self.writer = port, None, None

    async def send(self, method, path, body=None):
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n"
        self.writer.write(head.encode() + data)
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        status = int(lines[0].split(" ")[1])
        fields = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        answer = await self.reader.readexactly(int(fields.get("content-length", 0)))
        return status, answer

    def close(self):
        if self.writer:
            self.writer.close()


class Load:
    def __init__(self, options, port, pid):
        self.options, self.port, self.pid = options, port, pid
        self.errors, self.backups, self.samples = [], 0, []
        self.end = None

    def tree(self, name):
        return os.path.join(self.options.scratch, "trees", name)

    async def back_up(self, client, name, incremental):
        """One backup, to its end. False where it was refused or failed."""
        path = f"/fs/{name}/admin/backup?incremental={incremental}"
        status, answer = await client.send("POST", path, {"BackupLocation": f"~/b/{name}"})
        if status != 201:
            self.errors.append(f"{path}: {status} {answer[:200]}")
            return False
        while True:
            await asyncio.sleep(0.1)
            _, answer = await client.send("GET", f"/fs/{name}/config?name=Raven/Backup/Status")
            state = json.loads(answer)
            if not state["IsRunning"]:
                break
        if not state["Success"]:
            self.errors.append(f"{name}: {state['Messages']}")
        return state["Success"]

    async def prepare(self, number):
        """Makes the file systems number, number + lanes and so on, and backs each up: so every status exists."""
        client = Client(self.port)
        for index in range(number, self.options.file_systems, self.options.backups):
            name = f"FS{index}"
            os.makedirs(self.tree(name))
            for file_number in range(self.options.files):
                self.write(name, file_number)
            body = {"Settings": {"Raven/FileSystem/DataDir": self.tree(name)}}
            status, answer = await client.send("PUT", f"/admin/fs/{name}", body)
            assert status == 201, answer
            assert await self.back_up(client, name, "false"), self.errors
        client.close()

    def write(self, name, number):
        with open(os.path.join(self.tree(name), f"{number}"), "wb") as file:
            file.write(os.urandom(self.options.file_bytes))

    async def lane(self, number):
        """Backs its file systems up, one after the other and again."""
        client, turn = Client(self.port), number
        while time.monotonic() < self.end:
            name = f"FS{turn}"
            turn += self.options.backups
            if turn >= self.options.file_systems:
                turn = number
            self.write(name, random.randrange(self.options.files))
            if not await self.back_up(client, name, "true" if random.random() < 0.9 else "false"):
                return
            self.backups += 1
        client.close()

    async def watch(self):
        while time.monotonic() < self.end:
            self.samples.append(status_of(self.pid, "VmRSS"))
            await asyncio.sleep(1)

    async def run(self):
        options = self.options
        at_start = status_of(self.pid, "VmRSS")
        await asyncio.gather(*[self.prepare(number) for number in range(options.backups)])
        self.end = time.monotonic() + options.seconds
        machine, server, own = seconds_of_machine(), seconds_of(self.pid), time.process_time()
        polls = await asyncio.create_subprocess_exec(
            "wrk", "-t", "1", "-c", str(options.clients), "-d", f"{options.seconds}s", "--timeout", "30s",
            "-s", os.path.join(HERE, "poll.lua"), f"http://127.0.0.1:{self.port}", "--",
            str(options.file_systems), str(round(options.pause * 1000)), stdout=subprocess.PIPE)
        lanes = [self.lane(number) for number in range(options.backups)]
        (output, _), *_ = await asyncio.gather(polls.communicate(), self.watch(), *lanes)
        line = next((line for line in output.decode().splitlines() if line.startswith("RESULT ")), None)
        assert line, output
        result = json.loads(line[7:])
        children = os.times()
        clients = time.process_time() - own + children.children_user + children.children_system
        server = seconds_of(self.pid) - server
        wrong = sum(result[name] for name in result if name.endswith(("Errors", "timeouts", "Statuses")))
        self.errors += [f"{wrong} polls failed"] * (wrong > 0)
        # What stays when nothing runs any more.
        await asyncio.sleep(5)
        quarter = max(1, len(self.samples) // 4)
        return {
            "seconds": options.seconds, "fileSystems": options.file_systems, "clients": options.clients,
            "lanes": options.backups, "pauseMilliseconds": round(options.pause * 1000), **result,
            "perSecond": round(result["statusRequests"] / options.seconds, 1), "backups": self.backups,
            "errors": len(self.errors), "firstErrors": self.errors[:5],
            "residentStartMiB": round(at_start), "residentPeakMiB": round(status_of(self.pid, "VmHWM")),
            "residentSecondQuarterMeanMiB": round(sum(self.samples[quarter:2 * quarter]) / quarter),
            "residentLastQuarterMeanMiB": round(sum(self.samples[-quarter:]) / quarter),
            "residentIdleMiB": round(status_of(self.pid, "VmRSS")),
            "processorSeconds": {
                "server": round(server, 1), "clients": round(clients, 1),
                "others": round(seconds_of_machine() - machine - server - clients, 1)},
        }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--file-systems", type=int, default=50)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--backups", type=int, default=8)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--file-bytes", type=int, default=20_000)
    parser.add_argument("--pause", type=float, default=0.25, help="seconds between a client's polls, on average")
    parser.add_argument("--serve", action="append", default=[], metavar="OPTION", help="more options of muninn serve")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("load.py: wrk is needed: apt-get install wrk")
    options.scratch = tempfile.mkdtemp(prefix="muninn-load-")
    muninn = os.environ.get("MUNINN", ".build/release/muninn")
    command = [muninn, "serve", "--base", options.scratch + "/base", "--listen", "127.0.0.1:0",
               "--log-level", "error"] + options.serve
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline().rsplit(":", 1)[1])
        report = asyncio.run(Load(options, port, server.pid).run())
    finally:
        server.send_signal(signal.SIGTERM)
        status = server.wait(timeout=60)
        shutil.rmtree(options.scratch, ignore_errors=True)
    report["exitStatus"] = status
    print(json.dumps(report, indent=2))
    sys.exit(1 if report["errors"] or status != 0 else 0)


main()
