"""A redis-py client of a cluster. For each input line it prints "ready"; "end" ends it.

It counts in many keys all the while: every count that was acknowledged must be there at the end, but
for those that a dead primary took with it: of its keys, the counts known when "fail" was read. Its arguments: the ports of some nodes. During "move" no
command may fail; during "fail" the application tries again, as applications do.
"""

import sys
import threading
import time

from redis.backoff import ConstantBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisError
from redis.retry import Retry

KEYS = [f"key:{n}" for n in range(100)]
# All slots from here on belong to the primary that is killed.
FIRST_SLOT_THAT_DIES = 10923

cluster = RedisCluster(
    startup_nodes=[ClusterNode("127.0.0.1", int(port)) for port in sys.argv[1:]],
    socket_timeout=2,
    retry=Retry(ConstantBackoff(0.05), 5),
)
acknowledged = dict.fromkeys(KEYS, 0)
rounds = 0
may_fail = False
before_failure = {}
running = True
broken = []


def write():
    global rounds
    while running:
        for key in KEYS:
            try:
                acknowledged[key] = max(acknowledged[key], cluster.incr(key))
            except RedisError as error:
                if not may_fail:
                    broken.append(error)
                time.sleep(0.02)
        rounds += 1


writer = threading.Thread(target=write)
writer.start()
for line in sys.stdin:
    if line.strip() == "end":
        break
    may_fail = line.strip() == "fail"
    if may_fail and not before_failure:
        before_failure = dict(acknowledged)
    begin = rounds
    deadline = time.monotonic() + 30
    # Waits for a complete round that starts after this.
    while rounds < begin + 2:
        assert time.monotonic() < deadline, "no write arrives any more"
        time.sleep(0.005)
    print("ready", flush=True)
running = False
writer.join()
assert not broken, broken[0]
for key in KEYS:
    there = int(cluster.get(key))
    dies = cluster.keyslot(key) >= FIRST_SLOT_THAT_DIES
    known = (before_failure if dies else acknowledged)[key]
    assert there >= known, (key, there, known)
with cluster.pipeline() as pipe:
    pipe.set("{tag}a", 1).set("b", 2).get("{tag}a").get("b")
    assert pipe.execute() == [True, True, b"1", b"2"]
print("done", flush=True)
