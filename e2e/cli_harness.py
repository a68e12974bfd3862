"""What the tests of the command line share: running the program with pipes or on a pseudo-terminal of its own.

The program is $QUIPU_PROGRAM (or $QUIPU_BIN), the model $QUIPU_DEMO_MODEL. Every test gets a home and a runtime folder of
its own; afterwards no process and no socket may be left of it.
"""
import fcntl
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
TIMEOUT = 120  # seconds; generous, since tests may share a slow machine

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[78=>]|\r")


def program():
    given = os.environ.get("QUIPU_BIN") or os.environ.get("QUIPU_PROGRAM")
    return given or str(ROOT / "build" / "release" / "quipu")


def model():
    path = os.environ.get("QUIPU_DEMO_MODEL")
    if not path:
        raise unittest.SkipTest("QUIPU_DEMO_MODEL is not set")
    return path


def plain(text):
    """The text without escape sequences."""
    return ESCAPES.sub("", text)


def bytes_text(n):
    """Bytes as the program writes them."""
    sign, n = "-" * (n < 0), abs(n)
    if n < 1024:
        return f"{sign}{n} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        n /= 1024
        if n < 1023.95:
            break
    return f"{sign}{n:.1f} {unit}"


class CliTest(unittest.TestCase):
    def setUp(self):
        # Short: the path of a socket has a limit of 108 bytes.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="qe2e-", dir="/tmp"))
        self.runtime = self.folder / "run"
        self.runtime.mkdir(mode=0o700)
        self.sessions = []
        self.environment = {**os.environ, "HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.runtime),
                            "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        # No server listens there, and nothing of a user's own store is touched.
        self.environment["QUIPU_HOST"] = f"unix://{self.folder}/s"
        self.environment["QUIPU_MODELS"] = str(self.folder / "models")
        for name in ("OLLAMA_HOST", "QUIPU_API_KEY", "OLLAMA_NOHISTORY", "QUIPU_NOHISTORY", "QUIPU_HISTORY", "OLLAMA_DEBUG", "NO_COLOR"):
            self.environment.pop(name, None)

    def tearDown(self):
        for session in self.sessions:
            session.close()
        try:
            self.assert_nothing_left()
        finally:
            for pid in self.runners():
                os.kill(pid, signal.SIGKILL)
            shutil.rmtree(self.folder, ignore_errors=True)

    def runners(self):
        """Private servers and runners: processes that were given a socket below this test's runtime folder."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if b"--socket" in words and any(w.startswith(os.fsencode(self.runtime)) for w in words):
                    found.append(int(entry.name))
        return found

    def assert_nothing_left(self):
        deadline = time.monotonic() + 5
        while (self.runners() or list(self.runtime.iterdir())) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertEqual(self.runners(), [], "a runner is still there")
        self.assertEqual(list(self.runtime.iterdir()), [], "a socket's folder is still there")

    def run_cli(self, *args, stdin=b"", **more):
        """Runs the program to its end with pipes; returns it with stdout and stderr as text."""
        done = subprocess.run([program(), *map(str, args)], input=stdin, capture_output=True, env=self.environment,
                              timeout=TIMEOUT, check=False, **more)
        done.stdout = done.stdout.decode()
        done.stderr = done.stderr.decode()
        return done

    def start_cli(self, *args, stdin=subprocess.DEVNULL):
        child = subprocess.Popen([program(), *map(str, args)], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 env=self.environment)
        self.sessions.append(Child(child))
        return child

    def assert_refused(self, done, code, *parts):
        """Nothing on standard output, one sentence on standard error, this exit code."""
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertRegex(done.stderr, r"\AError: [^\n]+\n\Z")
        for part in parts:
            self.assertIn(str(part), done.stderr)

    def terminal(self, *args, **more):
        session = Terminal(self, *args, **more)
        self.sessions.append(session)
        return session


class Child:
    """A program started with pipes, to be ended with its test."""

    def __init__(self, child):
        self.child = child

    def close(self):
        if self.child.poll() is None:
            self.child.terminate()
        try:
            self.child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        for stream in (self.child.stdin, self.child.stdout, self.child.stderr):
            if stream is not None:
                stream.close()


class Terminal:
    """The program on a pseudo-terminal. What it writes is collected in `screen`."""

    # The program marks the start of a prompt by asking for bracketed paste.
    PROMPT = re.compile(r"\x1b\[\?2004h(?:\r|\x1b\[[0-9;]*[A-Za-z])*(>>> |\.\.\. )")

    def __init__(self, test, *args, columns=100, environment=None):
        self.screen = ""
        self.mark = 0
        self.status = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(program(), [program(), *map(str, args)], environment or test.environment)
        self.resize(columns)

    def resize(self, columns, rows=40):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, timeout):
        """Takes what has been written; False at the end or when nothing comes in time."""
        if not select.select([self.fd], [], [], timeout)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.pending = getattr(self, "pending", b"") + data
        text = self.pending.decode("utf-8", errors="ignore")
        if not self.pending.endswith(text[-1:].encode() or b"\0"):
            return True  # half a character: the rest is on its way
        self.screen += text
        self.pending = b""
        return bool(data)

    def wait_for(self, pattern, timeout=TIMEOUT):
        """Waits for text (or a compiled pattern) after the last match; returns what came before it."""
        pattern = re.compile(re.escape(pattern)) if isinstance(pattern, str) else pattern
        deadline = time.monotonic() + timeout
        while True:
            match = pattern.search(self.screen, self.mark)
            if match:
                before = self.screen[self.mark:match.start()]
                self.mark = match.end()
                return before
            left = deadline - time.monotonic()
            if left <= 0 or not self.read(min(left, 1)) and self.ended():
                raise AssertionError(f"'{pattern.pattern}' did not come; there was: {self.screen[self.mark:]!r}")

    def prompt(self, timeout=TIMEOUT):
        """Waits for the next prompt; returns what stands before it, without escape sequences."""
        return plain(self.wait_for(self.PROMPT, timeout))

    def send(self, keys):
        os.write(self.fd, keys.encode() if isinstance(keys, str) else keys)

    def line(self, text):
        """Types a line; returns what the program says until its next prompt, without the echo of the line."""
        self.send(text + "\r")
        said = self.prompt()
        return said[said.find("\n") + 1:]

    def ended(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def exit_code(self, timeout=30):
        deadline = time.monotonic() + timeout
        while not self.ended():
            if time.monotonic() > deadline:
                raise AssertionError(f"the program is still running; it wrote: {self.screen[self.mark:]!r}")
            self.read(0.05)
        while self.read(0.05):
            pass
        return self.status

    def close(self):
        for ending in (signal.SIGTERM, signal.SIGKILL):
            if not self.ended():
                os.kill(self.pid, ending)
                deadline = time.monotonic() + 10
                while not self.ended() and time.monotonic() < deadline:
                    self.read(0.05)
        os.close(self.fd)
