"""What the Celery workers of the tests do."""

import os
import time

import celery

app = celery.Celery("tests", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": 5,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    },
    result_expires=600,
    task_track_started=True,
    worker_hijack_root_logger=False,
)


@app.task
def add(x, y):
    return x + y


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def fail(text):
    raise ValueError(text)


@app.task(bind=True, max_retries=3)
def third_time_lucky(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return self.request.retries


@app.task(acks_late=True, reject_on_worker_lost=True)
def slow(path):
    """Says that it has begun, and ends once it may."""
    with open(path, "a") as log:
        log.write("begun\n")
    while not os.path.exists(path + ".go"):
        time.sleep(0.05)
    return "done"
