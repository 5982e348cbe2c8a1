"""redis-cli, redis-benchmark, and netcat's way of talking, beside the other doors."""

import http.client
import socket
import subprocess
import urllib.parse
import urllib.request

from support import Daemon, HubTest, REFERENCE, needs_hub, until


class RedisCli(HubTest):
    def test_a_value_is_the_same_behind_every_door_and_outlasts_a_kill(self):
        self.assertEqual(self.daemon.cli("set", "greeting", "hi"), "OK")
        self.assertEqual(self.daemon.cli("get", "greeting"), "hi")
        if not REFERENCE:
            self.assertEqual(self.daemon.switchboard("get", "greeting"), "hi")
            with urllib.request.urlopen(f"{self.daemon.http}/keys/greeting") as answer:
                self.assertEqual(answer.read(), b"hi")
            self.daemon.switchboard("put", "answer", "42")
            self.assertEqual(self.daemon.cli("incr", "answer"), "43")
        self.daemon.cli("rpush", "list", "a", "b", "c")
        # What was acknowledged a second ago is on the disk.
        self.assertEqual(self.daemon.cli("wait", "0", "0"), "0")
        import time

        time.sleep(1.5)
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.daemon.cli("get", "greeting"), "hi")
        self.assertEqual(self.daemon.cli("lrange", "list", "0", "-1"), "a\nb\nc")

    @needs_hub
    def test_messages_go_both_ways(self):
        subscriber = self.start(self.daemon.cli_command("subscribe", "home/lamp"), stdout=subprocess.PIPE)
        lines = subscriber.stdout
        self.assertEqual([lines.readline().strip() for _ in range(3)], ["subscribe", "home/lamp", "1"])
        self.daemon.switchboard("publish", "home/lamp", "on")
        self.assertEqual([lines.readline().strip() for _ in range(3)], ["message", "home/lamp", "on"])

        hub = self.start(self.daemon.switchboard_command("subscribe", "home/#", "--json"), stdout=subprocess.PIPE)
        host = urllib.parse.urlsplit(self.daemon.http).netloc
        page = http.client.HTTPConnection(host, timeout=60)
        self.addCleanup(page.close)
        page.request("GET", "/subscribe?topic=home/%23")
        events = page.getresponse()
        until(lambda: self.daemon.cli("publish", "home/lamp", "off") == "3", "both subscribers")
        self.assertIn('"off"', hub.stdout.readline())
        data = next(line for line in iter(events.readline, b"") if line.startswith(b"data:"))
        self.assertIn(b"off", data)

    @needs_hub
    def test_operations_are_called(self):
        handler = self.start(self.daemon.switchboard_command("handle", "upper", "--", "tr", "a-z", "A-Z"))
        until(lambda: "upper" in self.daemon.switchboard("ops"), "the operation")
        self.assertEqual(self.daemon.cli("call", "upper", "hello"), "HELLO")
        self.assertIn("ERR", self.daemon.cli("call", "nobody", "hello"))
        handler.kill()

    def test_a_pipe_of_commands(self):
        commands = "".join(f"SET key:{number} {number}\r\n" for number in range(10_000))
        said = self.daemon.cli("--pipe", input=commands)
        self.assertIn("errors: 0, replies: 10000", said)
        self.assertEqual(self.daemon.cli("dbsize"), "10000")
        self.assertEqual(len(self.daemon.cli("--scan", "--pattern", "key:99*").split()), 111)
        self.assertEqual(self.daemon.cli("get", "key:7777"), "7777")

    def test_databases(self):
        self.daemon.cli("-n", "3", "set", "a", "1")
        self.assertEqual(self.daemon.cli("get", "a"), "")
        self.assertEqual(self.daemon.cli("-n", "3", "get", "a"), "1")
        if not REFERENCE:
            self.assertEqual(self.daemon.switchboard("get", "--bucket", "db3", "a"), "1")

    def test_resp3(self):
        self.daemon.cli("hset", "hash", "f", "v")
        self.assertEqual(self.daemon.cli("-3", "hgetall", "hash"), "f v")
        self.assertEqual(self.daemon.cli("-3", "--no-raw", "hgetall", "hash"), '1# "f" => "v"')

    def test_redis_benchmark(self):
        for options in ([], ["-P", "16"], ["-3"]):
            ran = subprocess.run(
                ["redis-benchmark", "-p", str(self.daemon.port), "-n", "2000", "-r", "1000", "-q", *options]
                + ["-t", "ping,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange,mset"],
                capture_output=True,
                text=True,
                timeout=300,
            )
            self.assertEqual(ran.returncode, 0, ran.stderr + ran.stdout)
            self.assertNotIn("rror", ran.stdout)
            self.assertIn("MSET (10 keys)", ran.stdout)


class Netcat(HubTest):
    def talk(self, *lines):
        with socket.create_connection(("127.0.0.1", self.daemon.port), timeout=60) as talker:
            talker.sendall("".join(f"{line}\r\n" for line in lines).encode())
            talker.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: talker.recv(65536), b"")).decode()

    def test_inline_commands(self):
        self.assertEqual(self.talk("SET a 1", "incr a", 'append a " x"', "get a"), "+OK\r\n:2\r\n:3\r\n$3\r\n2 x\r\n")

    @needs_hub
    def test_those_who_come_from_memento(self):
        said = self.talk("PUT a 1", "INC a", "inc a 5", "DEC a", "incf a 0.5", "Getp a", "exit", "get a")
        lines = said.split("\r\n")
        self.assertEqual(lines[:4], ["+OK", ":2", ":7", ":6"])
        self.assertIn("6.5", lines)
        # It says no more after the exit.
        self.assertEqual(lines[-1], "")


class Kill(HubTest):
    """With a promise that holds at once."""

    environment = {"SWITCHBOARD_ENGINE_DURABILITY": "always"}

    @needs_hub
    def test_nothing_that_was_acknowledged_is_lost(self):
        with socket.create_connection(("127.0.0.1", self.daemon.port), timeout=60) as talker:
            reader = talker.makefile("rb")
            acknowledged = 0
            for number in range(200):
                talker.sendall(f"RPUSH all {number}\r\n".encode())
                self.assertEqual(reader.readline(), f":{number + 1}\r\n".encode())
                acknowledged = number + 1
            self.daemon.kill()
            reader.close()
        self.daemon.start()
        self.assertEqual(self.daemon.cli("llen", "all"), str(acknowledged))


class Ends(HubTest):
    def test_it_stops_when_told_to(self):
        daemon = Daemon()
        self.addCleanup(daemon.close)
        daemon.cli("set", "a", "1")
        waiting = self.start(daemon.cli_command("blpop", "nothing", "0"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        until(lambda: "blpop" in daemon.cli("client", "list"), "the waiting client")
        self.assertEqual(daemon.stop(), 0)
        waiting.wait(60)
        daemon.start()
        self.assertEqual(daemon.cli("get", "a"), "1")
