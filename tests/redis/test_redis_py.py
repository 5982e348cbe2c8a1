"""redis-py, in both protocols."""

import threading

import redis

from support import HubTest, PATIENCE


class Base(HubTest):
    protocol = 2

    def connect(self, **options):
        client = redis.Redis(
            port=self.daemon.port, protocol=self.protocol, decode_responses=True, socket_timeout=PATIENCE, **options
        )
        self.addCleanup(client.close)
        return client

    def setUp(self):
        super().setUp()
        self.client = self.connect()


class Resp2(Base):
    def test_strings(self):
        client = self.client
        self.assertTrue(client.set("a", "1", ex=100))
        self.assertIsNone(client.set("a", "2", nx=True))
        self.assertEqual(client.set("a", "3", xx=True, get=True, keepttl=True), "1")
        self.assertEqual(client.ttl("a"), 100)
        self.assertEqual(client.incrbyfloat("a", 0.5), 3.5)
        self.assertTrue(client.mset({"b": "ä", "c": "\x00\U0001f600"}))
        self.assertEqual(client.mget("a", "b", "c", "d"), ["3.5", "ä", "\x00\U0001f600", None])
        self.assertEqual(client.getrange("b", 0, -1), "ä")
        self.assertEqual(client.getdel("b"), "ä")
        self.assertEqual(client.setrange("s", 3, "x"), 4)
        with self.assertRaisesRegex(redis.ResponseError, "not an integer"):
            client.incr("c")
        with self.assertRaisesRegex(redis.ResponseError, "WRONGTYPE"):
            client.lpush("c", "x")

    def test_keys(self):
        client = self.client
        client.mset({f"key:{number}": number for number in range(500)})
        client.sadd("members", "a")
        self.assertEqual(len(set(client.scan_iter(match="key:*", count=50))), 500)
        self.assertEqual(list(client.scan_iter(_type="set")), ["members"])
        self.assertEqual(sorted(client.keys("key:12?")), [f"key:12{digit}" for digit in range(10)])
        self.assertEqual(client.type("members"), "set")
        self.assertTrue(client.rename("members", "people"))
        self.assertTrue(client.copy("people", "folk"))
        self.assertTrue(client.copy("people", "people", destination_db=1))
        self.assertFalse(client.copy("people", "people", destination_db=1))
        self.assertEqual(self.connect(db=1).smembers("people"), {"a"})
        self.assertEqual(client.exists("people", "folk", "members"), 2)
        self.assertTrue(client.expire("folk", 1000, nx=True))
        self.assertFalse(client.expire("folk", 10, gt=True))
        self.assertTrue(client.persist("folk"))
        self.assertEqual(client.unlink("folk", "people"), 2)
        self.assertEqual(client.dbsize(), 500)
        self.assertIn(client.randomkey(), client.keys())
        self.assertTrue(client.flushdb())
        self.assertEqual(client.dbsize(), 0)

    def test_hashes(self):
        client = self.client
        self.assertEqual(client.hset("h", mapping={"a": 1, "b": "x"}), 2)
        self.assertEqual(client.hgetall("h"), {"a": "1", "b": "x"})
        self.assertEqual(client.hincrby("h", "a", 5), 6)
        self.assertEqual(client.hmget("h", "a", "c"), ["6", None])
        client.hset("h", mapping={f"f{number}": number for number in range(1000)})
        self.assertEqual(len(dict(client.hscan_iter("h", match="f*"))), 1000)
        self.assertEqual(len(client.hrandfield("h", 5, withvalues=True)), 10 if self.protocol == 2 else 5)
        self.assertEqual(client.hdel("h", "a", "b"), 2)

    def test_lists(self):
        client = self.client
        self.assertEqual(client.rpush("l", *"abc"), 3)
        self.assertEqual(client.lpos("l", "c"), 2)
        self.assertEqual(client.linsert("l", "before", "b", "x"), 4)
        self.assertEqual(client.lmove("l", "m", "left", "right"), "a")
        self.assertEqual(client.lrange("l", 0, -1), ["x", "b", "c"])
        self.assertEqual(client.lmpop(2, "nothing", "l", direction="LEFT", count=2), ["l", ["x", "b"]])
        self.assertEqual(client.lpop("l", 5), ["c"])
        self.assertEqual(client.exists("l"), 0)

    def test_sets(self):
        client = self.client
        client.sadd("a", *"xyz")
        client.sadd("b", *"yzw")
        self.assertEqual(client.sinter("a", "b"), {"y", "z"})
        self.assertEqual(client.sunion("a", "b"), set("xyzw"))
        self.assertEqual(client.sdiffstore("c", "a", "b"), 1)
        self.assertEqual(client.smembers("c"), {"x"})
        self.assertEqual(client.smismember("a", ["x", "w"]), [1, 0])
        self.assertEqual(client.sintercard(2, ["a", "b"], limit=1), 1)
        self.assertEqual(len(client.spop("a", 2)), 2)

    def test_sorted_sets(self):
        client = self.client
        client.zadd("z", {"a": 1, "b": 2.5, "c": float("inf")})
        self.assertEqual(client.zadd("z", {"a": 9}, gt=True, ch=True), 1)
        self.assertEqual(client.zscore("z", "c"), float("inf"))
        self.assertEqual([member for member, _ in client.zrange("z", 0, -1, withscores=True)], ["b", "a", "c"])
        self.assertEqual(client.zrange("z", "(2.5", "+inf", byscore=True, offset=0, num=1), ["a"])
        self.assertEqual(client.zrevrank("z", "c"), 0)
        self.assertEqual(client.zcount("z", "-inf", 5), 1)
        self.assertEqual(client.zpopmin("z")[0][0] if self.protocol == 2 else client.zpopmin("z")[0], "b")
        client.zadd("y", {"a": 1})
        self.assertEqual(client.zunionstore("u", {"z": 2, "y": 3}), 2)
        self.assertEqual(client.zscore("u", "a"), 21)
        self.assertEqual(len(list(client.zscan_iter("u"))), 2)

    def test_a_transaction_notices_who_came_between(self):
        client, other = self.client, self.connect()
        client.set("balance", 10)
        with client.pipeline() as pipeline:
            pipeline.watch("balance")
            balance = int(pipeline.get("balance"))
            other.incr("balance")
            pipeline.multi()
            pipeline.set("balance", balance + 1)
            with self.assertRaises(redis.WatchError):
                pipeline.execute()
        self.assertEqual(client.get("balance"), "11")
        with client.pipeline() as pipeline:
            pipeline.incr("balance").lpush("log", "one").hset("h", "f", "v").execute()
        self.assertEqual(client.get("balance"), "12")
        with client.pipeline() as pipeline:
            outcome = pipeline.incr("log").incr("balance").execute(raise_on_error=False)
        self.assertIsInstance(outcome[0], redis.ResponseError)
        self.assertEqual(outcome[1], 13)

    def test_many_commands_at_once(self):
        with self.client.pipeline(transaction=False) as pipeline:
            for number in range(10_000):
                pipeline.set(f"k{number}", "x" * 100)
            self.assertTrue(all(pipeline.execute()))
        self.assertEqual(len(self.client.mget([f"k{number}" for number in range(10_000)])), 10_000)

    def test_who_waits_first_is_served_first(self):
        answers = []
        waiters = []
        for name in ("first", "second"):
            client = self.connect()
            client.client_setname(name)
            waiter = threading.Thread(target=lambda client=client, name=name: answers.append((name, client.blpop("queue", PATIENCE))))
            waiter.start()
            waiters.append(waiter)
            while not any(entry["name"] == name and entry["cmd"] == "blpop" for entry in self.client.client_list()):
                pass
        self.client.rpush("queue", "a")
        waiters[0].join(PATIENCE)
        self.client.rpush("queue", "b")
        waiters[1].join(PATIENCE)
        expected = [("first", ("queue", "a")), ("second", ("queue", "b"))]
        self.assertEqual([(name, tuple(answer)) for name, answer in answers], expected)
        self.assertIsNone(self.client.blpop("queue", 0.05))

    def test_messages(self):
        listener = self.client.pubsub(ignore_subscribe_messages=True)
        self.addCleanup(listener.close)
        listener.subscribe("news")
        listener.psubscribe("home/*/temp[ab]")
        publisher = self.connect()
        while publisher.publish("news", "one") == 0:
            pass
        while publisher.publish("home/hall/tempa", "21") == 0:
            pass
        seen = set()
        wanted = {
            ("message", None, "news", "one"),
            ("pmessage", "home/*/temp[ab]", "home/hall/tempa", "21"),
        }
        while not wanted <= seen:
            message = listener.get_message(timeout=PATIENCE)
            if message:
                seen.add((message["type"], message["pattern"], message["channel"], message["data"]))
        self.assertEqual(publisher.pubsub_channels("news"), ["news"])
        self.assertEqual(publisher.pubsub_numpat(), 1)

    def test_keyspace_notifications(self):
        self.client.config_set("notify-keyspace-events", "KEA")
        self.addCleanup(self.client.config_set, "notify-keyspace-events", "")
        listener = self.connect().pubsub(ignore_subscribe_messages=False)
        self.addCleanup(listener.close)
        listener.psubscribe("__key*__:*")
        self.assertEqual(listener.get_message(timeout=PATIENCE)["type"], "psubscribe")
        self.client.set("a", "1", px=200)
        self.client.lpush("l", "x")
        self.client.lpop("l")
        seen = set()
        wanted = {
            ("__keyspace@0__:a", "set"),
            ("__keyevent@0__:set", "a"),
            ("__keyspace@0__:a", "expire"),
            ("__keyevent@0__:lpush", "l"),
            ("__keyevent@0__:lpop", "l"),
            ("__keyevent@0__:del", "l"),
            ("__keyevent@0__:expired", "a"),
        }
        while not wanted <= seen:
            message = listener.get_message(timeout=PATIENCE)
            self.assertIsNotNone(message, wanted - seen)
            seen.add((message["channel"], message["data"]))

    def test_locks_and_scripts(self):
        lock = self.client.lock("lock", timeout=10)
        self.assertTrue(lock.acquire(blocking=False))
        self.assertFalse(self.client.lock("lock", timeout=10).acquire(blocking=False))
        self.assertTrue(lock.extend(5))
        lock.release()
        self.assertEqual(self.client.exists("lock"), 0)
        script = self.client.register_script("redis.call('INCRBY', KEYS[1], ARGV[1]) return {KEYS[1], redis.call('GET', KEYS[1])}")
        self.assertEqual(script(keys=["n"], args=[5]), ["n", "5"])
        with self.assertRaisesRegex(redis.ResponseError, "oops"):
            self.client.eval("return redis.error_reply('oops')", 0)

    def test_what_is_large(self):
        large = "x" * (20 << 20)
        self.client.set("large", large)
        self.assertEqual(self.client.strlen("large"), len(large))
        self.assertEqual(self.client.get("large"), large)

    def test_who_is_here(self):
        self.client.client_setname("me")
        self.assertEqual(self.client.client_getname(), "me")
        self.assertIn("me", [entry["name"] for entry in self.client.client_list()])
        other = self.connect()
        self.assertTrue(self.client.client_kill_filter(_id=other.client_id()))
        self.assertTrue(self.client.ping())
        self.assertEqual(self.client.info("server")["redis_mode"], "standalone")
        self.assertIn("get", self.client.command())
        self.assertEqual(self.client.echo("ä"), "ä")
        self.assertEqual(len(self.client.time()), 2)


class Resp3(Resp2):
    protocol = 3
