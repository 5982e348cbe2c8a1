"""The Redis door over TLS."""

import pathlib
import shutil
import socket
import subprocess
import tempfile
import unittest

import redis

from support import Daemon, PATIENCE


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="switchboard-redis-tls-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.certificate, key = cls.make_certificate("door")
        cls.daemon = Daemon(tls=(cls.certificate, key))
        cls.addClassCleanup(cls.daemon.close)

    @classmethod
    def make_certificate(cls, name):
        """A certificate for this machine that vouches for itself, and its key."""
        certificate, key = cls.folder / f"{name}.crt", cls.folder / f"{name}.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
            + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "2"]
            + ["-keyout", key, "-out", certificate],
            check=True,
            capture_output=True,
        )
        return certificate, key

    def connect(self, **options):
        client = redis.Redis(
            host="127.0.0.1",
            port=self.daemon.tls_port,
            ssl=True,
            ssl_check_hostname=True,
            decode_responses=True,
            socket_timeout=PATIENCE,
            # What fails here does so at once, or not at all.
            retry=None,
            **options,
        )
        self.addCleanup(client.close)
        return client

    def cli(self, *arguments):
        command = ["redis-cli", "--tls", "-h", "127.0.0.1", "-p", str(self.daemon.tls_port), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)

    def test_redis_py_in_both_protocols(self):
        for protocol in (2, 3):
            client = self.connect(ssl_ca_certs=str(self.certificate), protocol=protocol)
            # Longer than a TLS record, and so in several.
            value = "x" * 1_000_000
            self.assertTrue(client.set("large", value))
            self.assertEqual(client.get("large"), value)
            pipeline = client.pipeline()
            for number in range(10_000):
                pipeline.hset("h", number, number)
            self.assertEqual(len(pipeline.execute()), 10_000)
            self.assertEqual(client.hlen("h"), 10_000)
            # The same keys as without TLS.
            self.assertEqual(self.daemon.cli("strlen", "large"), "1000000")

    def test_a_subscriber_hears_what_is_published_without_tls(self):
        client = self.connect(ssl_ca_certs=str(self.certificate))
        with client.pubsub(ignore_subscribe_messages=True) as subscriber:
            subscriber.subscribe("news")
            self.assertIsNone(subscriber.get_message(timeout=PATIENCE))
            self.assertEqual(self.daemon.cli("publish", "news", "hello"), "1")
            self.assertEqual(subscriber.get_message(timeout=PATIENCE)["data"], "hello")

    def test_redis_cli(self):
        said = self.cli("--cacert", self.certificate, "set", "cli", "1")
        self.assertEqual((said.returncode, said.stdout), (0, "OK\n"), said.stderr)
        self.assertEqual(self.cli("--cacert", self.certificate, "incr", "cli").stdout, "2\n")

    def test_who_trusts_another_certificate_does_not_connect(self):
        other, _ = self.make_certificate("other")
        with self.assertRaisesRegex(redis.ConnectionError, "CERTIFICATE_VERIFY_FAILED"):
            self.connect(ssl_ca_certs=str(other)).ping()
        said = self.cli("--cacert", other, "ping")
        self.assertNotEqual(said.returncode, 0)
        self.assertNotIn("PONG", said.stdout)
        # Nobody else is bothered by that.
        self.assertTrue(self.connect(ssl_ca_certs=str(self.certificate)).ping())

    def test_who_does_not_speak_tls_is_cut_off(self):
        for hello in (b"PING\r\n", b"*1\r\n$4\r\nPING\r\n"):
            with socket.create_connection(("127.0.0.1", self.daemon.tls_port), timeout=PATIENCE) as talker:
                talker.sendall(hello)
                try:
                    said = b"".join(iter(lambda: talker.recv(65536), b""))
                except ConnectionResetError:
                    said = b""
                # At most an alert of TLS: its first byte is 21.
                self.assertEqual(said[:1].strip(b"\x15"), b"", said)
        plain = redis.Redis(port=self.daemon.tls_port, socket_timeout=PATIENCE, retry=None)
        self.addCleanup(plain.close)
        with self.assertRaises((redis.ConnectionError, redis.InvalidResponse)):
            plain.ping()
