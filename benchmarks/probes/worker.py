"""Workers of a server, each with one post-processor: ``python worker.py TENSOR.npy BEGIN WORKERS``.

With 0 WORKERS this process, which began at BEGIN on the clock that all processes share, is the worker itself;
otherwise it warms up and forks them. A worker writes a line of JSON, its process id and the seconds from its
beginning to its first result, and waits for the end of its input.
"""

import json
import os
import sys
import time

from yolov8 import post, tensors

_CALLS = 100


def _work(begin: float) -> None:
    """Serve some calls, tell, and wait."""
    post(tensors)
    seconds = time.monotonic() - begin
    for _ in range(_CALLS):
        post(tensors)
    sys.stdout.write(json.dumps({"pid": os.getpid(), "seconds": seconds}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


forks = int(sys.argv[3])
if not forks:
    _work(float(sys.argv[2]))
else:
    post.warmup()
    for _ in range(forks):
        if os.fork() == 0:
            _work(time.monotonic())
            os._exit(0)
    for _ in range(forks):
        os.wait()
