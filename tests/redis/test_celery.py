"""Celery, with the door as its broker and its result back end."""

import os
import pathlib
import subprocess
import sys

from support import HERE, HubTest, PATIENCE, until


class Celery(HubTest):
    def setUp(self):
        super().setUp()
        os.environ["REDIS_URL"] = f"{self.daemon.url}/0"
        sys.modules.pop("celery_tasks", None)
        import celery_tasks

        self.tasks = celery_tasks
        self.addCleanup(celery_tasks.app.close)

    def work(self, name="one", concurrency=2):
        log = open(self.daemon.folder / f"{name}.log", "w")
        self.addCleanup(log.close)
        worker = self.start(
            [sys.executable, "-m", "celery", "--app", "celery_tasks", "worker", "--hostname", f"{name}@%h"]
            + ["--concurrency", str(concurrency), "--loglevel", "INFO"],
            cwd=HERE,
            env={**os.environ, "REDIS_URL": f"{self.daemon.url}/0"},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.addCleanup(kill_session, worker)
        read = (self.daemon.folder / f"{name}.log").read_text
        until(lambda: "ready." in read(), "the worker")
        return worker, read

    def test_jobs_of_every_sort(self):
        tasks = self.tasks
        _, log = self.work()
        self.assertEqual(tasks.add.delay(2, 3).get(timeout=PATIENCE), 5)
        with self.assertRaisesRegex(ValueError, "oops"):
            tasks.fail.delay("oops").get(timeout=PATIENCE)
        self.assertEqual(tasks.third_time_lucky.delay().get(timeout=PATIENCE), 2)
        self.assertEqual(tasks.add.apply_async((1, 1), countdown=1).get(timeout=PATIENCE), 2)

        from celery import chain, chord, group

        self.assertEqual(chain(tasks.add.s(1, 2), tasks.add.s(10))().get(timeout=PATIENCE), 13)
        results = group(tasks.add.s(number, 1) for number in range(50))().get(timeout=PATIENCE)
        self.assertEqual(results, list(range(1, 51)))
        parts = [tasks.add.s(number, number) for number in range(20)]
        self.assertEqual(chord(parts)(tasks.total.s()).get(timeout=PATIENCE), 380)
        # Whoever looks after the worker can.
        self.assertTrue(tasks.app.control.ping(timeout=10))
        waiting = tasks.add.apply_async((1, 1), countdown=3600)
        until(lambda: any(tasks.app.control.inspect(timeout=5).scheduled().values()), "the scheduled job")
        waiting.revoke()
        until(lambda: any(tasks.app.control.inspect(timeout=5).revoked().values()), "the revoked job")
        self.assertNotIn("Unrecoverable", log())

    def test_what_a_killed_worker_had_begun_is_done_by_another(self):
        path = str(pathlib.Path(self.daemon.folder) / "slow")
        worker, _ = self.work("first", concurrency=1)
        result = self.tasks.slow.delay(path)
        begun = pathlib.Path(path)
        until(lambda: begun.exists() and begun.read_text().count("begun") == 1, "the job")
        kill_session(worker)
        self.work("second", concurrency=1)
        until(lambda: begun.read_text().count("begun") == 2, "the job, again")
        pathlib.Path(path + ".go").touch()
        self.assertEqual(result.get(timeout=PATIENCE), "done")

    def test_workers_outlast_a_restart_of_the_daemon(self):
        _, log = self.work()
        self.assertEqual(self.tasks.add.delay(1, 2).get(timeout=PATIENCE), 3)
        self.daemon.stop()
        self.daemon.start()
        result = until(lambda: attempt(lambda: self.tasks.add.delay(4, 5)), "the broker")
        self.assertEqual(until(lambda: attempt(lambda: result.get(timeout=PATIENCE)), "the result"), 9)
        self.assertNotIn("Unrecoverable", log())


def attempt(what):
    """What it gives, or nothing while the connection is being made anew."""
    import kombu.exceptions
    import redis.exceptions

    try:
        return what()
    except (kombu.exceptions.OperationalError, redis.exceptions.ConnectionError):
        return None


def kill_session(process):
    """A worker with its children."""
    try:
        os.killpg(process.pid, 9)
    except ProcessLookupError:
        pass
    process.wait()
