// An ioredis client that asks Sentinels for the master. Prints "writing" after its first write, and
// "done" after it has written to another master.
const Redis = require("ioredis");

const sentinels = process.argv.slice(2).map((port) => ({ host: "127.0.0.1", port: Number(port) }));
const client = new Redis({ sentinels, name: "mymaster", sentinelRetryStrategy: () => 50, retryStrategy: () => 50 });
client.on("error", () => {});

const port = async () => (/tcp_port:(\d+)/.exec(await client.info("server")) || [])[1];

async function play() {
  const first = await port();
  await client.set("key", "before");
  if ((await client.wait(2, 5000)) !== 2) throw new Error("the replicas did not get the write");
  console.log("writing");
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline) {
    try {
      await client.incr("count");
      if ((await port()) !== first) {
        if ((await client.get("key")) !== "before") throw new Error("the write is gone");
        console.log("done");
        process.exit(0);
      }
    } catch (error) {
      if (!/closed|retries|ECONN|READONLY|UNBLOCKED/.test(String(error))) throw error;
    }
  }
  throw new Error("no write reached another master");
}

play().catch((error) => {
  console.error(error);
  process.exit(1);
});
