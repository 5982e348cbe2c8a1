"""A hub with a Redis door, and the commands that talk to it.

With REFERENCE=redis-server in the environment, a real Redis is started instead: what a test says of Redis's ways can so
be held against Redis itself. Tests that need the hub do not run then.
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

HERE = pathlib.Path(__file__).parent
BINARY = pathlib.Path(os.environ.get("SWITCHBOARD_BINARY", HERE / "../../target/debug/switchboard")).resolve()
REFERENCE = os.environ.get("REFERENCE")

# Nothing here should take longer, on a busy machine either.
PATIENCE = 60

needs_hub = unittest.skipIf(REFERENCE, "a real Redis has no hub")


def until(condition, what, patience=PATIENCE):
    """Waits until the condition gives something, and returns that."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"waited in vain for {what}")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Daemon:
    """A daemon in a folder of its own. Started again, it has the addresses it had.

    With the PEM files of a certificate and its key it has a TLS door, too.
    """

    def __init__(self, tls=None, **environment):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="switchboard-redis-"))
        self.environment = {"PATH": os.environ["PATH"], **environment}
        self.tls = tls
        self.port = 0
        self.tls_port = 0
        self.http = "http://127.0.0.1:0"
        self.log = ""
        self.start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def start(self):
        if REFERENCE:
            self._start_reference()
            return
        assert BINARY.is_file(), f"{BINARY} is not built"
        listen = [f"unix://{self.folder}/hub.sock", self.http, self.url]
        arguments = []
        if self.tls:
            listen.append(f"rediss://127.0.0.1:{self.tls_port}")
            arguments += ["--tls-cert", self.tls[0], "--tls-key", self.tls[1]]
        arguments += [argument for address in listen for argument in ("--listen", address)]
        self.process = subprocess.Popen(
            [BINARY, "serve", "--data", self.folder / "data", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A file that may not grow is an error for the daemon to handle, not a signal: as Python has it for itself.
            restore_signals=False,
        )
        threading.Thread(target=self._read_log, args=[self.process.stderr], daemon=True).start()
        for line in self.process.stdout:
            words = line.split()
            if words == ["ready"]:
                return
            if len(words) > 1 and words[1].startswith("http://"):
                self.http = words[1]
            if len(words) > 1 and words[1].startswith("redis://"):
                self.port = int(words[1].rsplit(":", 1)[1])
            if len(words) > 1 and words[1].startswith("rediss://"):
                self.tls_port = int(words[1].rsplit(":", 1)[1])
        raise AssertionError(f"the daemon ended: {self.log}")

    def _start_reference(self):
        self.port = self.port or free_port()
        if self.tls:
            self.tls_port = self.tls_port or free_port()
        arguments = ["--port", str(self.port), "--dir", self.folder, "--appendonly", "yes", "--save", ""]
        if self.tls:
            arguments += ["--tls-port", str(self.tls_port), "--tls-auth-clients", "no"]
            arguments += ["--tls-cert-file", self.tls[0], "--tls-key-file", self.tls[1]]
        self.process = subprocess.Popen([REFERENCE, *arguments], stdout=subprocess.DEVNULL)

        def answers():
            return subprocess.run(self.cli_command("ping"), capture_output=True).returncode == 0

        until(answers, "redis-server")

    def _read_log(self, stream):
        for line in stream:
            self.log += line

    def kill(self):
        """Without a chance to say goodbye."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """As the system stops it. Returns how it ended."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def close(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- commands

    def cli_command(self, *arguments):
        return ["redis-cli", "-p", str(self.port), *map(str, arguments)]

    def cli(self, *arguments, input=None):
        """What redis-cli says."""
        ran = subprocess.run(
            self.cli_command(*arguments), input=input, capture_output=True, text=True, timeout=PATIENCE
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.rstrip("\n")

    def switchboard_command(self, *arguments):
        return [BINARY, "--hub", f"unix://{self.folder}/hub.sock", *map(str, arguments)]

    def switchboard(self, *arguments):
        """What the switchboard command says."""
        ran = subprocess.run(self.switchboard_command(*arguments), capture_output=True, text=True, timeout=PATIENCE)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.rstrip("\n")


class HubTest(unittest.TestCase):
    """A test with a daemon for all its methods, and empty databases for each."""

    environment = {}

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(**cls.environment)
        cls.addClassCleanup(cls.daemon.close)

    def setUp(self):
        self.daemon.cli("flushall")

    def start(self, command, **options):
        """A process that ends with the test."""
        process = subprocess.Popen(command, text=True, **options)

        def end():
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()

        self.addCleanup(end)
        return process
