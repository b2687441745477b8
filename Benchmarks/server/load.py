#!/usr/bin/env python3
"""A server under load: many file systems, clients that poll their status, backups that run all the time.

Starts a server of its own on a scratch directory and a free port of the loopback interface, and stops it. Prints one
JSON object: requests, errors, latency of status answers, backups, memory. Needs Python 3.11 and the muninn binary:

    MUNINN=.build/release/muninn python3 Benchmarks/server/load.py --seconds 600
"""

import argparse, asyncio, json, os, random, shutil, signal, subprocess, sys, tempfile, time


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
        self.end = time.monotonic() + options.seconds
        self.latencies, self.errors, self.backups, self.failed = [], [], 0, 0
        self.peak = self.first = 0

    def name(self, index):
        return f"FS{index}"

    async def poll(self, number):
        client = Client(self.port)
        await asyncio.sleep(random.random() * self.options.pause)
        while time.monotonic() < self.end:
            name = self.name(random.randrange(self.options.file_systems))
            path = f"/fs/{name}/config?name=Raven%2FBackup%2FStatus"
            begun = time.perf_counter()
            try:
                status, _ = await client.send("GET", path)
            except Exception as error:
                self.errors.append(f"{type(error).__name__} {error}")
                client = Client(self.port)
                continue
            self.latencies.append(time.perf_counter() - begun)
            if status not in (200, 404):
                self.errors.append(f"{path}: {status}")
            await asyncio.sleep(self.options.pause)
        client.close()

    async def back_up(self, number):
        """Backs up the file systems number, number + lanes and so on, one after the other."""
        client = Client(self.port)
        lanes, turn = self.options.backups, number
        while time.monotonic() < self.end:
            name = self.name(turn % self.options.file_systems)
            turn += lanes
            if turn >= self.options.file_systems * lanes:
                turn = number
            tree = os.path.join(self.options.scratch, "trees", name)
            with open(os.path.join(tree, f"{random.randrange(self.options.files)}"), "wb") as file:
                file.write(os.urandom(self.options.file_bytes))
            incremental = "true" if random.random() < 0.9 else "false"
            path = f"/fs/{name}/admin/backup?incremental={incremental}"
            status, answer = await client.send("POST", path, {"BackupLocation": f"~/b/{name}"})
            if status == 409:
                continue
            if status != 201:
                self.errors.append(f"{path}: {status} {answer[:200]}")
                return
            while True:
                await asyncio.sleep(0.1)
                _, answer = await client.send("GET", f"/fs/{name}/config?name=Raven/Backup/Status")
                state = json.loads(answer)
                if not state["IsRunning"]:
                    break
            self.backups += 1
            if not state["Success"]:
                self.failed += 1
                self.errors.append(f"{name}: {state['Messages']}")
        client.close()

    async def watch(self):
        while time.monotonic() < self.end:
            with open(f"/proc/{self.pid}/status") as file:
                kibibytes = int(next(line for line in file if line.startswith("VmRSS")).split()[1])
            self.first = self.first or kibibytes
            self.peak = max(self.peak, kibibytes)
            await asyncio.sleep(1)

    async def run(self):
        client = Client(self.port)
        for index in range(self.options.file_systems):
            tree = os.path.join(self.options.scratch, "trees", self.name(index))
            os.makedirs(tree)
            for number in range(self.options.files):
                with open(os.path.join(tree, f"{number}"), "wb") as file:
                    file.write(os.urandom(self.options.file_bytes))
            body = {"Settings": {"Raven/FileSystem/DataDir": tree}}
            status, answer = await client.send("PUT", f"/admin/fs/{self.name(index)}", body)
            assert status == 201, answer
        client.close()
        self.end = time.monotonic() + self.options.seconds
        tasks = [self.poll(number) for number in range(self.options.clients)]
        tasks += [self.back_up(number) for number in range(self.options.backups)]
        await asyncio.gather(self.watch(), *tasks)

    def report(self):
        ordered = sorted(self.latencies)

        def at(share):
            return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2)

        return {
            "seconds": self.options.seconds, "fileSystems": self.options.file_systems,
            "clients": self.options.clients, "lanes": self.options.backups,
            "statusRequests": len(ordered),
            "perSecond": round(len(ordered) / self.options.seconds, 1),
            "p50Milliseconds": at(0.5), "p99Milliseconds": at(0.99), "p999Milliseconds": at(0.999),
            "maximumMilliseconds": at(1), "backups": self.backups, "backupsFailed": self.failed,
            "errors": len(self.errors), "firstErrors": self.errors[:5],
            "residentStartMiB": round(self.first / 1024), "residentPeakMiB": round(self.peak / 1024),
        }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--file-systems", type=int, default=50)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--backups", type=int, default=8)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--file-bytes", type=int, default=20_000)
    parser.add_argument("--pause", type=float, default=0.25, help="seconds between a client's polls")
    options = parser.parse_args()
    options.scratch = tempfile.mkdtemp(prefix="muninn-load-")
    muninn = os.environ.get("MUNINN", ".build/release/muninn")
    command = [muninn, "serve", "--base", options.scratch + "/base", "--listen", "127.0.0.1:0",
               "--log-level", "error"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline().rsplit(":", 1)[1])
        load = Load(options, port, server.pid)
        asyncio.run(load.run())
        report = load.report()
    finally:
        server.send_signal(signal.SIGTERM)
        status = server.wait(timeout=60)
        shutil.rmtree(options.scratch, ignore_errors=True)
    report["exitStatus"] = status
    print(json.dumps(report, indent=2))
    sys.exit(1 if report["errors"] or status != 0 else 0)


main()
