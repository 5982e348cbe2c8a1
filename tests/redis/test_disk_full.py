"""Transactions while the disk takes no more: each is there as a whole or not at all, and all goes on when there is room."""

import resource
import unittest

import redis

from support import Daemon, PATIENCE, REFERENCE, until

# Files may not grow beyond this.
FULL_BYTES = 1 << 20

VALUE = "x" * 10_000


@unittest.skipIf(REFERENCE, "a real Redis ends when its log cannot be written")
class DiskFull(unittest.TestCase):
    def transact(self, number):
        """Adds to a string, a list, and a number. They agree, unless a transaction was done in part."""
        pipeline = self.client.pipeline(transaction=True)
        pipeline.set(f"value:{number}", VALUE)
        pipeline.rpush("list", number)
        pipeline.incr("count")
        return pipeline.execute()

    def state(self):
        """How many transactions there are, when all that belongs to them agrees."""
        count = int(self.client.get("count") or 0)
        numbers = self.client.lrange("list", 0, -1)
        self.assertEqual(len(numbers), count)
        values = self.client.mget([f"value:{number}" for number in numbers]) if numbers else []
        self.assertEqual([value for value in values if value != VALUE], [])
        self.assertEqual(self.client.dbsize(), count + 2 if count else 0)
        return numbers

    def test_a_transaction_is_done_or_refused(self):
        for durability in "always", "second":
            with self.subTest(durability=durability):
                self.fill_and_heal(durability)

    def fill_and_heal(self, durability):
        """Refusals have the code TRYAGAIN, which redis-py makes a class of its own."""
        daemon = Daemon(SWITCHBOARD_ENGINE_DURABILITY=durability)
        self.addCleanup(daemon.close)
        self.client = redis.Redis(port=daemon.port, decode_responses=True, socket_timeout=PATIENCE)
        self.addCleanup(self.client.close)
        acknowledged = []

        def refusal():
            number = str(self.next)
            self.next += 1
            try:
                self.transact(number)
                acknowledged.append(number)
            except redis.exceptions.TryAgainError as error:
                return str(error)

        self.next = 0
        self.transact("first")
        acknowledged.append("first")
        soft, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (FULL_BYTES, hard))
        refused = until(refusal, "a full disk")
        self.assertIn("nothing can be written: File too large", refused)
        # What was read before is read now; a refused transaction may be done later as a whole, but never in part.
        numbers = self.state()
        self.assertEqual(numbers[: len(acknowledged)], acknowledged)
        self.assertIsNotNone(refusal())

        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (soft, hard))
        until(lambda: refusal() is None, "room again")
        numbers = self.state()
        self.assertEqual([number for number in acknowledged if number not in numbers], [])

        if durability == "always":
            daemon.kill()
        else:
            # A kill may take what was acknowledged in the last second.
            self.assertEqual(daemon.stop(), 0)
        daemon.start()
        self.assertEqual(self.state(), numbers)
