// A job queue (BullMQ) and a lock (Redlock), which use scripts, on the server at the port given as the
// only argument.
//
// Every step asserts; the last line printed is "done". Run by mod.rs, against Limpid and against
// redis-server.

"use strict";

const assert = require("node:assert/strict");
const { Queue, QueueEvents, Worker, UnrecoverableError } = require("bullmq");
const Redis = require("ioredis");
const { default: Redlock, ResourceLockedError, ExecutionError } = require("redlock");

const port = Number(process.argv[2]);
const connection = { port, host: "127.0.0.1", maxRetriesPerRequest: null };

async function jobs() {
  const queue = new Queue("work", { connection });
  const events = new QueueEvents("work", { connection });
  // There is one listener for each awaited job.
  for (const emitter of [queue, events]) emitter.setMaxListeners(100);
  const done = [];
  const worker = new Worker(
    "work",
    async (job) => {
      if (job.name === "hopeless") throw new UnrecoverableError("never");
      if (job.name === "second time" && job.attemptsMade === 0) throw new Error("not yet");
      await job.updateProgress(50);
      done.push(job.data.n);
      return job.data.n * 2;
    },
    { connection, concurrency: 4 },
  );
  await Promise.all([events.waitUntilReady(), worker.waitUntilReady()]);

  const many = await queue.addBulk(
    Array.from({ length: 50 }, (_, n) => ({ name: "plain", data: { n } })),
  );
  const results = await Promise.all(many.map((job) => job.waitUntilFinished(events)));
  assert.deepEqual(results, Array.from({ length: 50 }, (_, n) => n * 2));
  assert.deepEqual([...done].sort((a, b) => a - b), Array.from({ length: 50 }, (_, n) => n));

  const later = await queue.add("plain", { n: 100 }, { delay: 50 });
  assert.equal(await later.waitUntilFinished(events), 200);
  const again = await queue.add("second time", { n: 101 }, { attempts: 3, backoff: 10 });
  assert.equal(await again.waitUntilFinished(events), 202);
  const hopeless = await queue.add("hopeless", { n: 102 }, { attempts: 3 });
  await assert.rejects(hopeless.waitUntilFinished(events), /never/);

  await queue.pause();
  worker.concurrency = 1;
  const waiting = [];
  for (const [n, priority] of [[201, 10], [203, 20], [202, 1]]) {
    waiting.push(await queue.add("plain", { n }, { priority }));
  }
  assert.deepEqual(await queue.getJobCounts("paused", "prioritized", "failed"), {
    paused: 0,
    prioritized: 3,
    failed: 1,
  });
  await queue.resume();
  await Promise.all(waiting.map((job) => job.waitUntilFinished(events)));
  assert.deepEqual(done.slice(-3).sort(), [201, 202, 203]);

  assert.equal(await queue.getCompletedCount(), 55);
  assert.equal((await queue.getFailed())[0].failedReason, "never");
  await worker.close();
  await queue.obliterate({ force: true });
  assert.equal(await queue.count(), 0);
  await Promise.all([events.close(), queue.close()]);
}

async function locks() {
  const redis = new Redis({ port });
  const locks = new Redlock([redis], { retryCount: 0 });
  let lock = await locks.acquire(["door", "window"], 10_000);
  await assert.rejects(locks.acquire(["door"], 1_000), (error) => {
    return error instanceof ResourceLockedError || error instanceof ExecutionError;
  });
  lock = await lock.extend(20_000);
  const left = await redis.pttl("door");
  assert.ok(left > 10_000 && left <= 20_000, `${left}`);
  await lock.release();
  assert.equal(await redis.exists("door", "window"), 0);
  const seen = await locks.using(["door"], 5_000, async (signal) => {
    assert.equal(signal.aborted, false);
    return redis.exists("door");
  });
  assert.equal(seen, 1);
  assert.equal(await redis.exists("door"), 0);
  redis.disconnect();
}

async function main() {
  const redis = new Redis({ port });
  await redis.flushall();
  redis.disconnect();
  for (const step of [jobs, locks]) {
    console.log(step.name);
    await step();
  }
  console.log("done");
  // Ends although a library may have left connections open.
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
