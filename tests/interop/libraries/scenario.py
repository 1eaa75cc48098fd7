"""A scenario of an application with redis-py, on the server at the port given as the only argument.

Every step asserts; the last line printed is "done". Run by mod.rs, over both versions of the
protocol, against Limpid and against redis-server.
"""

import sys
import threading
import time

import redis
from redis.cache import CacheConfig
from redis.connection import CacheProxyConnection

PATIENCE = 30


def until(condition):
    """Waits until `condition()` returns something, and returns that."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
    raise AssertionError("waited in vain")


def together(*works):
    """Runs functions in threads and returns their results; raises if one fails."""
    given, failed = [None] * len(works), []

    def run(n, work):
        try:
            given[n] = work()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    if failed:
        raise failed[0]
    assert not any(thread.is_alive() for thread in threads)
    return given


def pipelines(db):
    with db.pipeline(transaction=False) as pipe:
        for n in range(1_000):
            pipe.set(f"key:{n}", n)
            pipe.get(f"key:{n}")
        replies = pipe.execute()
    assert replies[0::2] == [True] * 1_000
    assert replies[1::2] == [str(n) for n in range(1_000)]
    with db.pipeline(transaction=False) as pipe:
        pipe.set("text", "x").incr("text").get("text")
        ok, error, text = pipe.execute(raise_on_error=False)
    assert (ok, text) == (True, "x") and isinstance(error, redis.ResponseError), error


def transactions(db):
    """Several clients that add to one balance by WATCH and MULTI lose no update."""
    db.set("balance", 0)
    retries = []

    def add():
        for _ in range(50):
            with db.pipeline() as pipe:
                while True:
                    try:
                        pipe.watch("balance")
                        balance = int(pipe.get("balance"))
                        pipe.multi()
                        pipe.set("balance", balance + 1)
                        pipe.rpush("ledger", balance)
                        assert pipe.execute()[0] is True
                        break
                    except redis.WatchError:
                        retries.append(1)

    together(*[add] * 6)
    assert db.get("balance") == "300"
    assert db.lrange("ledger", 0, -1) == [str(n) for n in range(300)]

    # A certain conflict: another client writes between the reading and the transaction.
    with db.pipeline() as pipe:
        pipe.watch("balance")
        db.incr("balance")
        pipe.multi()
        pipe.set("balance", 0)
        try:
            pipe.execute()
            raise AssertionError("executed although the key was written")
        except redis.WatchError:
            pass
    assert db.get("balance") == "301"

    def double(pipe):
        value = int(pipe.get("balance"))
        pipe.multi()
        pipe.set("balance", value * 2)

    assert db.transaction(double, "balance") == [True]
    assert db.get("balance") == "602"


def messages(db):
    pubsub = db.pubsub()
    heard = []
    pubsub.subscribe(**{"news": lambda message: heard.append(message["data"])})
    pubsub.psubscribe("news.*", "[x-z]?")

    def confirmed(count):
        message = pubsub.get_message(timeout=PATIENCE)
        assert message["type"] in ("subscribe", "psubscribe") and message["data"] == count, message

    for count in (1, 2, 3):
        confirmed(count)
    assert db.pubsub_channels() == ["news"]
    assert db.pubsub_numsub("news", "none") == [("news", 1), ("none", 0)]
    assert db.pubsub_numpat() == 2
    sent = [("news", "1"), ("news.sport", "2"), ("y1", "3"), ("w1", "4"), ("news", "\u00e9\0")]
    assert [db.publish(*message) for message in sent] == [1, 1, 1, 0, 1]
    patterns = []

    def all_heard():
        message = pubsub.get_message(timeout=0.01)
        if message:
            assert message["type"] == "pmessage", message
            patterns.append((message["pattern"], message["channel"], message["data"]))
        return len(patterns) == 2 and len(heard) == 2

    until(all_heard)
    assert heard == ["1", "\u00e9\0"]
    assert patterns == [("news.*", "news.sport", "2"), ("[x-z]?", "y1", "3")]
    # PING works on a subscribed connection. (In RESP3 its reply is no message, but the library takes it
    # for one.)
    pubsub.ping()
    assert pubsub.get_message(timeout=PATIENCE)["type"] in ("pong", "P")
    pubsub.unsubscribe()
    pubsub.punsubscribe()
    until(lambda: pubsub.get_message(timeout=0.01) is None and not pubsub.subscribed)
    pubsub.close()
    until(lambda: db.pubsub_numpat() == 0)


def events_of_keys(db):
    before = db.config_get("notify-keyspace-events")["notify-keyspace-events"]
    db.config_set("notify-keyspace-events", "KEA")
    pubsub = db.pubsub(ignore_subscribe_messages=True)
    pubsub.psubscribe("__key*__:*")
    until(lambda: db.pubsub_numpat() == 1)
    db.set("watched", "x", px=1)
    db.rpush("watched.list", "a")
    wanted = {
        ("__keyspace@0__:watched", "set"),
        ("__keyevent@0__:expire", "watched"),
        ("__keyspace@0__:watched", "expired"),
        ("__keyevent@0__:rpush", "watched.list"),
    }

    def seen():
        message = pubsub.get_message(timeout=0.01)
        if message:
            wanted.discard((message["channel"], message["data"]))
        return not wanted

    until(seen)
    pubsub.close()
    db.config_set("notify-keyspace-events", before)


def blocking(db):
    """The client blocked for longest is served first, whatever its key; and LMOVE serves another one."""
    blocked = lambda count: until(lambda: db.info("clients")["blocked_clients"] == count)
    queue = []

    def wait(n):
        queue.append((n, *db.blpop(["jobs", "other"], timeout=PATIENCE)))

    threads = []
    for n in range(4):
        threads.append(threading.Thread(target=wait, args=(n,)))
        threads[-1].start()
        blocked(n + 1)
    for n, key in enumerate(["jobs", "other", "other", "jobs"]):
        db.rpush(key, n)
        until(lambda: len(queue) == n + 1)
    for thread in threads:
        thread.join(PATIENCE)
    assert queue == [(0, "jobs", "0"), (1, "other", "1"), (2, "other", "2"), (3, "jobs", "3")]

    def feed():
        blocked(3)
        db.lpush("source", "item")
        until(lambda: db.info("clients")["blocked_clients"] == 1)
        db.zadd("scores", {"b": 2, "a": 1})

    moved, popped, least, _ = together(
        lambda: db.blmove("source", "target", PATIENCE, "RIGHT", "LEFT"),
        lambda: db.brpop("target", timeout=PATIENCE),
        lambda: db.bzpopmin("scores", timeout=PATIENCE),
        feed,
    )
    assert moved == "item" and list(popped) == ["target", "item"], (moved, popped)
    assert list(least) == ["scores", "a", 1.0], least
    assert db.blpop("nothing", timeout=0.05) is None
    assert db.blmpop(0.05, 1, "nothing", direction="LEFT") is None

    waiter = db.client()
    ident = waiter.client_id()

    def unblock():
        blocked(1)
        assert db.client_unblock(ident, error=True) == 1

    try:
        together(lambda: waiter.blpop("nothing", timeout=PATIENCE), unblock)
        raise AssertionError("nobody unblocked it")
    except redis.ResponseError as error:
        assert str(error).startswith("UNBLOCKED"), error
    waiter.close()


def scans(db):
    with db.pipeline(transaction=False) as pipe:
        for n in range(3_000):
            pipe.set(f"scan:{n}", n)
        pipe.execute()
    assert set(db.scan_iter("scan:*", count=100)) == {f"scan:{n}" for n in range(3_000)}
    numbers = {str(n): n for n in range(1_000)}
    db.hset("hash", mapping=numbers)
    db.sadd("set", *numbers)
    db.zadd("zset", numbers)
    assert dict(db.hscan_iter("hash")) == {k: str(v) for k, v in numbers.items()}
    assert set(db.sscan_iter("set")) == set(numbers)
    assert dict(db.zscan_iter("zset")) == numbers
    assert set(db.scan_iter(_type="zset")) >= {"zset"}
    assert not set(db.scan_iter(_type="zset")) & {"hash", "set"}


def types(db):
    assert db.hset("h", mapping={"a": 1, "b": "x"}) == 2
    assert db.hgetall("h") == {"a": "1", "b": "x"}
    assert db.hincrbyfloat("h", "a", 1.5) == 2.5
    assert db.zadd("z", {"a": 1, "b": 2.5, "c": float("inf")}) == 3
    top = db.zrange("z", 0, -1, desc=True, withscores=True)
    assert [tuple(pair) for pair in top] == [("c", float("inf")), ("b", 2.5), ("a", 1.0)], top
    assert db.zscore("z", "b") == 2.5 and db.zscore("z", "none") is None
    assert db.zmscore("z", ["a", "none"]) == [1.0, None]
    assert db.sadd("s1", "a", "b") == 2 and db.sadd("s2", "b", "c") == 2
    assert db.sinter("s1", "s2") == {"b"} and db.smismember("s1", ["a", "z"]) == [1, 0]
    assert db.setbit("bits", 7, 1) == 0 and db.bitcount("bits") == 1
    assert db.bitfield("bits").incrby("u8", 0, 254, overflow="SAT").execute() == [255]
    assert db.sort("ledger", start=0, num=3, desc=True) == ["299", "298", "297"]
    assert db.set("k", "v", ex=100, get=True) is None and 0 < db.ttl("k") <= 100
    assert db.object("encoding", "k") == "embstr"
    info = db.info()
    assert info["role"] == "master" and info["connected_clients"] >= 1
    assert db.command_count() > 100
    assert {"get", "watch", "blpop"} <= set(db.command())
    assert any(client["cmd"] == "client|list" for client in db.client_list())
    try:
        db.lpush("k", "x")
        raise AssertionError("WRONGTYPE was expected")
    except redis.ResponseError as error:
        assert str(error).startswith("WRONGTYPE"), error


def users(db):
    assert db.acl_whoami() == "default" and "default" in db.acl_users()
    assert {"string", "dangerous"} <= set(db.acl_cat()) and "get" in db.acl_cat("string")
    assert len(db.acl_genpass()) == 64
    assert db.acl_setuser(
        "reader",
        enabled=True,
        reset=True,
        passwords=["+secret", "+other"],
        categories=["+read"],
        commands=["+acl|whoami", "-mget"],
        keys=["cache:*"],
        channels=["news"],
        selectors=[("+set", "%W~out:*")],
    )
    reader = db.acl_getuser("reader")
    assert "on" in reader["flags"] and len(reader["passwords"]) == 2, reader
    assert reader["keys"] == ["~cache:*"] and reader["channels"] == ["&news"], reader
    assert len(reader["selectors"]) == 1, reader
    assert db.acl_dryrun("reader", "set", "out:1", "x") == "OK"
    assert "no permissions" in db.acl_dryrun("reader", "get", "out:1")
    login = {"username": "reader", "password": "other"}
    with redis.Redis(port=int(sys.argv[1]), decode_responses=True, **login) as other:
        assert other.acl_whoami() == "reader" and other.get("cache:1") is None
        assert other.set("out:1", "x")
        for denied in (
            lambda: other.get("out:1"),
            lambda: other.mget("cache:1"),
            lambda: other.publish("olds", "m"),
        ):
            try:
                denied()
                raise AssertionError("NOPERM was expected")
            except redis.exceptions.NoPermissionError:
                pass
        told = [(entry["reason"], entry["object"], entry["username"]) for entry in db.acl_log(2)]
        assert told == [("command", "publish", "reader"), ("command", "mget", "reader")], told
        assert db.acl_log_reset() and db.acl_log() == []
        assert db.acl_deluser("reader") == 1
        # Its connection is closed, and there is no way back.
        try:
            other.get("cache:1")
            raise AssertionError("an end was expected")
        except (redis.AuthenticationError, redis.ConnectionError):
            pass


def locks(db):
    lock = db.lock("door", timeout=20, thread_local=False)
    assert lock.acquire(blocking=False) and lock.owned()
    other = db.lock("door", timeout=20, thread_local=False)
    assert not other.acquire(blocking=False) and not other.owned()
    assert lock.extend(10) and 20 < db.ttl("door") <= 30
    assert lock.reacquire() and db.ttl("door") <= 20
    first, _ = together(
        lambda: other.acquire(blocking_timeout=PATIENCE),
        lock.release,
    )
    assert first and other.owned() and not lock.owned()
    try:
        lock.release()
        raise AssertionError("the lock is another's")
    except redis.exceptions.LockError:
        pass
    other.release()
    with db.lock("door", timeout=5):
        assert db.exists("door")
    assert not db.exists("door")


def caching(db):
    """Client-side caching: read values are kept until the server invalidates them."""
    if db.get_connection_kwargs()["protocol"] == 2:
        return
    port = db.get_connection_kwargs()["port"]
    # The library requires a server of version 7.4 or later, but uses nothing that 7.0 lacks.
    CacheProxyConnection.MIN_ALLOWED_VERSION = "7.0.0"
    caching = redis.Redis(
        port=port, protocol=3, decode_responses=True, cache_config=CacheConfig(max_size=100)
    )
    cache = caching.get_cache()
    db.mset({"cached:1": "a", "cached:2": "b"})
    assert caching.mget("cached:1", "cached:2") == ["a", "b"]
    assert caching.get("cached:1") == "a" and cache.size == 2
    calls = lambda: db.info("commandstats")["cmdstat_get"]["calls"]
    before = calls()
    assert [caching.get("cached:1") for _ in range(10)] == ["a"] * 10
    assert calls() == before, "they came from the cache"
    db.set("cached:1", "c")
    assert until(lambda: caching.get("cached:1") == "c")
    assert caching.mget("cached:1", "cached:2") == ["c", "b"]
    db.hset("cached:3", "f", "v")
    assert caching.hgetall("cached:3") == {"f": "v"}
    db.flushdb()
    assert until(lambda: caching.get("cached:1") is None)
    assert caching.hgetall("cached:3") == {}
    caching.close()


STEPS = (
    pipelines, transactions, messages, events_of_keys, blocking, scans, types, users, locks, caching
)

for protocol in (2, 3):
    db = redis.Redis(
        port=int(sys.argv[1]), protocol=protocol, decode_responses=True, socket_timeout=2 * PATIENCE
    )
    db.flushall()
    for step in STEPS:
        print(f"protocol {protocol}: {step.__name__}", flush=True)
        step(db)
    db.close()
print("done")
