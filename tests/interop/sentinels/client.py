"""A redis-py client that asks Sentinels for the master. Prints "writing" after its first write, and
"done" after it has written to another master."""

import sys
import time

from redis.exceptions import RedisError
from redis.sentinel import Sentinel

sentinel = Sentinel([("127.0.0.1", int(port)) for port in sys.argv[1:]], socket_timeout=1)
master = sentinel.master_for("mymaster", socket_timeout=1)
first = sentinel.discover_master("mymaster")
replicas = sentinel.discover_slaves("mymaster")
assert len(replicas) == 2, replicas
master.set("key", "before")
assert master.wait(2, 5000) == 2
print("writing", flush=True)

deadline = time.monotonic() + 30
while time.monotonic() < deadline:
    try:
        master.incr("count")
        if sentinel.discover_master("mymaster") != first:
            assert master.get("key") == b"before"
            print("done", flush=True)
            sys.exit(0)
    except RedisError:
        time.sleep(0.02)
sys.exit("no write reached another master")
