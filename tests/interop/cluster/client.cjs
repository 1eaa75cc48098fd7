// An ioredis client of a cluster. For each input line it prints "ready"; "end" ends it.
//
// It continuously increments many keys: in the end every acknowledged count must be there, except those
// that were lost with a killed primary: for its keys, the counts at the time of "fail".
// Its arguments are the ports of some nodes. During "move" no command may fail; during "fail" the
// application retries.

"use strict";

const assert = require("node:assert/strict");
const readline = require("node:readline");
const { setTimeout: sleep } = require("node:timers/promises");
const calculateSlot = require("cluster-key-slot");
const Redis = require("ioredis");

const KEYS = Array.from({ length: 100 }, (_, n) => `key:${n}`);
const PATIENCE = 30_000;
// All slots from here on belong to the primary that is killed.
const FIRST_SLOT_THAT_DIES = 10_923;

const nodes = process.argv.slice(2).map((port) => ({ host: "127.0.0.1", port: Number(port) }));
const cluster = new Redis.Cluster(nodes, { redisOptions: { connectTimeout: 2_000 } });
// Errors of single connections are reported here; commands have their own errors.
cluster.on("error", () => {});
const acknowledged = new Map(KEYS.map((key) => [key, 0]));
const broken = [];
let rounds = 0;
let mayFail = false;
let beforeFailure;
let running = true;

async function count(key) {
  try {
    acknowledged.set(key, Math.max(acknowledged.get(key), await cluster.incr(key)));
  } catch (error) {
    if (!mayFail) broken.push(error);
    await sleep(20);
  }
}

async function write() {
  while (running) {
    await Promise.all(KEYS.map(count));
    rounds += 1;
  }
}

async function main() {
  const writer = write();
  for await (const line of readline.createInterface({ input: process.stdin })) {
    if (line === "end") break;
    mayFail = line === "fail";
    if (mayFail) beforeFailure ??= new Map(acknowledged);
    const begin = rounds;
    const deadline = Date.now() + PATIENCE;
    // Waits for a complete round that starts after this.
    while (rounds < begin + 2) {
      assert(Date.now() < deadline, "no write arrives any more");
      await sleep(5);
    }
    console.log("ready");
  }
  running = false;
  await writer;
  assert.deepEqual(broken, []);
  for (const key of KEYS) {
    const there = Number(await cluster.get(key));
    const dies = calculateSlot(key) >= FIRST_SLOT_THAT_DIES;
    const known = (dies ? beforeFailure : acknowledged).get(key);
    assert(there >= known, `${key}: ${there} of ${known}`);
  }
  const replies = await cluster.multi().set("{tag}a", 1).set("{tag}b", 2).mget("{tag}a", "{tag}b").exec();
  assert.deepEqual(replies.at(-1), [null, ["1", "2"]]);
  console.log("done");
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
