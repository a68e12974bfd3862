"""A server inside a memory cgroup: its limit is the budget, and nothing is ever killed for it.

Skipped, with the reason, where this process may not make such a group.
"""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from budget_harness import MIB, four_clients, plan, said, stop
from cli_harness import model
from server_harness import ServerTest

V1, V2 = pathlib.Path("/sys/fs/cgroup/memory"), pathlib.Path("/sys/fs/cgroup")
# What the server takes itself, and what the kernel takes for both: sockets, tables of pages.
BESIDE_MODELS = 8 * MIB
# For caches beyond what a model is promised: less than four long answers take.
ROOM = 16 * MIB


class Cgroup:
    """A memory cgroup of this test's own."""

    def __init__(self):
        self.v2 = (V2 / "cgroup.controllers").exists()
        base = V2 if self.v2 else V1
        self.folder = base / f"quipu-test-{os.getpid()}"
        if self.v2:
            (base / "cgroup.subtree_control").write_text("+memory")
        self.folder.mkdir()
        if not (self.folder / ("memory.max" if self.v2 else "memory.limit_in_bytes")).exists():
            self.folder.rmdir()
            raise OSError(f"{base} has no memory controller")

    def limit(self, n_bytes):
        (self.folder / ("memory.max" if self.v2 else "memory.limit_in_bytes")).write_text(str(n_bytes))

    def kills(self):
        text = (self.folder / ("memory.events" if self.v2 else "memory.oom_control")).read_text()
        return int(re.search(r"(?m)^oom_kill (\d+)$", text).group(1))

    def peak(self):
        """The most that was charged so far; what is charged now where the kernel does not say (cgroup 2 before Linux 5.19)."""
        names = ("memory.peak", "memory.current") if self.v2 else ("memory.max_usage_in_bytes",)
        path, = [self.folder / name for name in names if (self.folder / name).exists()][:1]
        return int(path.read_text())

    def charged_files(self):
        """Bytes of files in memory that count for the group."""
        name = "file" if self.v2 else "total_cache"
        return int(re.search(rf"(?m)^{name} (\d+)$", (self.folder / "memory.stat").read_text()).group(1))

    def before(self):
        """Words in front of a command that then runs inside."""
        return ("sh", "-c", f'echo $$ > {self.folder}/cgroup.procs && exec "$@"', "sh")

    def remove(self):
        self.folder.rmdir()


class InACgroup(ServerTest):
    def setUp(self):
        try:
            self.group = Cgroup()
            subprocess.run([*self.group.before(), "true"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as e:
            self.skipTest(f"no memory cgroup can be made here: {e}")
        super().setUp()
        # On a disk: files in memory (a tmpfs) stay with whoever wrote them.
        self.folder.rmdir()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="qsrv-", dir="/var/tmp"))

    def tearDown(self):
        super().tearDown()
        self.group.remove()

    def start(self, limit, **environment):
        if not (self.folder / "models" / "manifests").exists():
            maker = self.server()
            self.smol(maker)
            stop(maker)
        self.forget_files()
        self.group.limit(limit)
        return self.server(before=self.group.before(), QUIPU_MEMORY_RESERVE="0", **environment)

    def forget_files(self):
        """Pages of a file count for the group that read it first, which shall be the server's."""
        for path in (self.folder / "models" / "blobs").iterdir():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def preemptions(self, server):
        text = server.request("GET", "/metrics").body.decode()
        return int(re.search(r'quipu_preemptions_total\{model="smol:latest"\} (\d+)', text)[1])

    def ask(self, server):
        return server.post("/api/generate", {"model": "smol", "prompt": "Hello", "stream": False})

    def test_just_above_and_just_below(self):
        charge = plan(512)["charge"]
        server = self.start(charge + BESIDE_MODELS)
        self.assertEqual(self.ask(server).status, 200)
        self.assertEqual(self.group.kills(), 0)
        stop(server)
        server = self.start(charge - MIB)
        answer = self.ask(server)
        self.assertEqual(answer.status, 507, answer.body)
        machine = answer.json()["quipu"]["plan"]["machine"]
        self.assertLess(machine["budget"], charge)
        self.assertTrue(any(t["name"].startswith("cgroup /") for t in machine["terms"]), machine)
        self.assertEqual(server.runners(), [])
        self.assertEqual(server.request("GET", "/api/version").status, 200)
        self.assertEqual(self.group.kills(), 0)

    def test_the_reserve_counts(self):
        charge = plan(512)["charge"]
        server = self.start(charge + BESIDE_MODELS)
        stop(server)
        self.group.limit(charge + BESIDE_MODELS)
        server = self.server(before=self.group.before(), QUIPU_MEMORY_RESERVE=str(BESIDE_MODELS + MIB))
        self.assertEqual(self.ask(server).status, 507)

    def test_four_clients_grow_into_it(self):
        long = {"num_predict": 700, "num_ctx": 800}
        server = self.server()
        self.smol(server)
        expected, expected_long = said(four_clients(server, "smol")), said(four_clients(server, "smol", **long))
        stop(server)
        self.assertEqual({status for status, *_ in expected + expected_long}, {200})
        self.assertEqual([(n, reason) for *_, n, reason in expected_long], [(700, "length")] * 4)
        limit = plan(512)["charge"] + ROOM
        server = self.start(limit)
        self.assertEqual(said(four_clients(server, "smol")), expected)
        self.assertEqual(self.group.kills(), 0)
        self.assertEqual(len(server.runners()), 1, server.log_text())
        # Longer than the group can hold at once. It can hold one whole, so whoever finds no block waits or pauses until others
        # are done: each of them comes to its end and says the same as without a limit. Nobody is refused, dropped or killed.
        lasts = four_clients(server, "smol", **long)
        self.assertEqual(said(lasts), expected_long)
        self.assertEqual([last["quipu"]["stop"] for _, last in lasts], ["length"] * 4)
        self.assertGreater(self.preemptions(server), 0)
        self.assertGreater(self.group.charged_files(), 0.9 * os.path.getsize(model()), "the model counts for the group")
        self.assertGreater(self.group.peak(), 0.9 * limit)
        self.assertEqual(self.group.kills(), 0)
        self.assertEqual(self.ask(server).status, 200)


if __name__ == "__main__":
    unittest.main(verbosity=2)
