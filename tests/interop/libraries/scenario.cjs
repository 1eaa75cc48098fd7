// A scenario of an application with ioredis, on the server at the port given as the only argument.
//
// Every step asserts; the last line printed is "done". Run by mod.rs, against Limpid and against
// redis-server.

"use strict";

const assert = require("node:assert/strict");
const { once } = require("node:events");
const Redis = require("ioredis");

const PATIENCE = 30_000;
const port = Number(process.argv[2]);
const open = [];

function connect(options = {}) {
  const redis = new Redis({ port, ...options });
  open.push(redis);
  return redis;
}

/**
 * A connection for subscriptions. The library would send a SUBSCRIBE ahead of the INFO by which it
 * finds out whether the server is ready, and a connection that is subscribed may not ask for that.
 */
async function listen(options) {
  const redis = connect(options);
  await once(redis, "ready");
  return redis;
}

/** Waits until `condition()` gives something, and gives that. */
async function until(condition) {
  const deadline = Date.now() + PATIENCE;
  while (Date.now() < deadline) {
    const found = await condition();
    if (found) return found;
  }
  throw new Error(`waited in vain for ${condition}`);
}

async function blocked(db, count) {
  await until(async () => (await db.info("clients")).includes(`blocked_clients:${count}\r\n`));
}

async function pipelines(db) {
  const pipeline = db.pipeline();
  for (let n = 0; n < 1_000; n++) pipeline.set(`key:${n}`, n).get(`key:${n}`);
  const replies = await pipeline.exec();
  for (let n = 0; n < 1_000; n++) {
    assert.deepEqual(replies[2 * n], [null, "OK"]);
    assert.deepEqual(replies[2 * n + 1], [null, String(n)]);
  }
  const [ok, failed, text] = await db.pipeline().set("text", "x").incr("text").get("text").exec();
  assert.deepEqual([ok, text], [[null, "OK"], [null, "x"]]);
  assert.match(failed[0].message, /^ERR value is not an integer/);
  // Commands of one turn of the event loop are sent together and answered one by one.
  const automatic = connect({ enableAutoPipelining: true });
  const values = await Promise.all(Array.from({ length: 500 }, (_, n) => automatic.get(`key:${n}`)));
  assert.deepEqual(values, Array.from({ length: 500 }, (_, n) => String(n)));
  const bytes = Buffer.from([0, 255, 13, 10, 36]);
  await db.set(bytes, bytes);
  assert.deepEqual(await db.getBuffer(bytes), bytes);
}

/** Many who add to one balance, read first and written in a transaction, lose nothing. */
async function transactions(db) {
  await db.set("balance", 0);
  async function add() {
    const own = connect();
    for (let done = 0; done < 30; ) {
      await own.watch("balance");
      const balance = Number(await own.get("balance"));
      const replies = await own.multi().set("balance", balance + 1).rpush("ledger", balance).exec();
      if (replies !== null) done++;
    }
    own.disconnect();
  }
  await Promise.all(Array.from({ length: 6 }, add));
  assert.equal(await db.get("balance"), "180");
  const ledger = await db.lrange("ledger", 0, -1);
  assert.deepEqual(ledger, Array.from({ length: 180 }, (_, n) => String(n)));

  const other = connect();
  await db.watch("balance");
  await other.incr("balance");
  assert.equal(await db.multi().set("balance", 0).exec(), null);
  assert.equal(await db.get("balance"), "181");

  // If a command fails during EXEC, the others are still carried out; if one cannot be queued, none is.
  const replies = await db.multi().set("text", "x").incr("text").set("text", "y").exec();
  assert.deepEqual([replies[0], replies[2]], [[null, "OK"], [null, "OK"]]);
  assert.match(replies[1][0].message, /^ERR value is not an integer/);
  await assert.rejects(db.multi().set("text", "z").call("get").exec(), /EXECABORT/);
  assert.equal(await db.get("text"), "y");
}

async function messages(db) {
  const listener = await listen();
  const heard = [];
  listener.on("message", (channel, text) => heard.push([channel, text]));
  listener.on("pmessage", (...all) => heard.push(all));
  // The library counts all subscriptions of a connection as one kind, the server does not.
  const shards = await listen();
  const fromShards = [];
  shards.on("smessage", (...all) => fromShards.push(all));
  assert.equal(await listener.subscribe("news", "more"), 2);
  assert.equal(await listener.psubscribe("news.*", "[x-z]?"), 4);
  assert.equal(await shards.ssubscribe("shard"), 1);
  assert.deepEqual((await db.pubsub("CHANNELS")).sort(), ["more", "news"]);
  assert.deepEqual(await db.pubsub("NUMSUB", "news", "none"), ["news", 1, "none", 0]);
  assert.equal(await db.pubsub("NUMPAT"), 2);
  const sent = [["news", "1"], ["news.sport", "2"], ["y1", "3"], ["w1", "4"], ["more", "é\0"]];
  const reached = await Promise.all(sent.map(([channel, text]) => db.publish(channel, text)));
  assert.deepEqual(reached, [1, 1, 1, 0, 1]);
  assert.equal(await db.spublish("shard", "5"), 1);
  const all = () => heard.length === 4 && fromShards.length === 1;
  await until(async () => all() || (await db.ping(), false));
  assert.deepEqual(heard, [
    ["news", "1"],
    ["news.*", "news.sport", "2"],
    ["[x-z]?", "y1", "3"],
    ["more", "é\0"],
  ]);
  assert.deepEqual(fromShards, [["shard", "5"]]);
  await assert.rejects(listener.get("text"), /subscriber mode/);
  assert.equal(await listener.unsubscribe("news", "more"), 2);
  assert.equal(await listener.punsubscribe(), 0);
  assert.equal(await shards.sunsubscribe(), 0);
  // After unsubscribing, it is an ordinary connection again.
  assert.equal(await listener.get("text"), "y");

  // A client that is disconnected reconnects, and subscribes again.
  const faithful = await listen({ retryStrategy: () => 1 });
  await faithful.subscribe("again");
  const id = await db.client("LIST", "TYPE", "pubsub");
  const back = once(faithful, "message");
  assert.equal(await db.client("KILL", "ID", /id=(\d+)/.exec(id)[1]), 1);
  await until(async () => (await db.publish("again", "back")) === 1);
  assert.deepEqual(await back, ["again", "back"]);
}

/** Who waits longest is served first, whatever key it waits for; and a move wakes the next. */
async function blocking(db) {
  const queue = [];
  const waiting = [];
  for (let n = 0; n < 4; n++) {
    const pop = connect().blpop("jobs", "other", 30).then((reply) => queue.push([n, ...reply]));
    waiting.push(pop);
    await blocked(db, n + 1);
  }
  for (const [n, key] of ["jobs", "other", "other", "jobs"].entries()) await db.rpush(key, n);
  await Promise.all(waiting);
  assert.deepEqual(queue.sort(), [
    [0, "jobs", "0"],
    [1, "other", "1"],
    [2, "other", "2"],
    [3, "jobs", "3"],
  ]);

  const moved = connect().blmove("source", "target", "RIGHT", "LEFT", 30);
  const popped = connect().brpop("target", 30);
  const least = connect().bzmpop(30, 1, "scores", "MIN", "COUNT", 2);
  await blocked(db, 3);
  await db.lpush("source", "item");
  assert.equal(await moved, "item");
  assert.deepEqual(await popped, ["target", "item"]);
  await db.zadd("scores", 2, "b", 1, "a", 3, "c");
  assert.deepEqual(await least, ["scores", [["a", "1"], ["b", "2"]]]);
  assert.equal(await connect().blpop("nothing", 0.05), null);
  // Blocking commands do not block in a transaction.
  assert.deepEqual(await db.multi().blpop("nothing", 0).exec(), [[null, null]]);

  const waiter = connect();
  const id = await waiter.client("ID");
  const refused = assert.rejects(waiter.blpop("nothing", 30), /^ReplyError: UNBLOCKED/);
  await blocked(db, 1);
  assert.equal(await db.client("UNBLOCK", id, "ERROR"), 1);
  await refused;
}

async function scans(db) {
  const wanted = new Set(Array.from({ length: 2_000 }, (_, n) => `scan:${n}`));
  await db.mset(...[...wanted].flatMap((key) => [key, "x"]));
  const found = new Set();
  for await (const keys of db.scanStream({ match: "scan:*", count: 100 })) {
    for (const key of keys) found.add(key);
  }
  assert.deepEqual(found, wanted);
  await db.hset("hash", Object.fromEntries([...wanted].map((key) => [key, "x"])));
  let fields = 0;
  for await (const pairs of db.hscanStream("hash")) fields += pairs.length / 2;
  assert.equal(fields, 2_000);
}

async function types(db) {
  assert.equal(await db.hset("h", { a: 1, b: "x" }), 2);
  assert.deepEqual(await db.hgetall("h"), { a: "1", b: "x" });
  assert.equal(await db.zadd("z", 1, "a", 2.5, "b", "+inf", "c"), 3);
  assert.deepEqual(await db.zrevrange("z", 0, -1, "WITHSCORES"), ["c", "inf", "b", "2.5", "a", "1"]);
  assert.equal(await db.sadd("s", "a", "b", "a"), 2);
  assert.deepEqual((await db.smembers("s")).sort(), ["a", "b"]);
  assert.equal(await db.set("k", "v", "EX", 100, "NX"), "OK");
  assert.equal(await db.set("k", "v", "EX", 100, "NX"), null);
  assert.equal(await db.getex("k", "PERSIST"), "v");
  assert.equal(await db.ttl("k"), -1);
  await assert.rejects(db.lpush("k", "x"), /^ReplyError: WRONGTYPE/);
  // On a connection that is ready: otherwise MONITOR's line about the library's own INFO confuses it.
  const monitor = await db.monitor();
  open.push(monitor);
  const seen = once(monitor, "monitor");
  await db.get("seen");
  const [, args] = await seen;
  assert.deepEqual(args, ["get", "seen"]);
}

async function main() {
  const db = connect();
  await db.flushall();
  for (const step of [pipelines, transactions, messages, blocking, scans, types]) {
    console.log(step.name);
    await step(db);
  }
  for (const redis of open) redis.disconnect();
  console.log("done");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
