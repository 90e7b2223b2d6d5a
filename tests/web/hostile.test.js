// Thousands of mutated model files through the page's own reader, in Node: each ends in the page's error or in a model.
// PKDGAN names the binary, which exports one of the models in half precision; SEED and COUNT choose other files.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { MessageChannel, Worker } from "node:worker_threads";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PKDGAN = process.env.PKDGAN ?? join(ROOT, "target/release/pkdgan");
const [SEED, COUNT] = [Number(process.env.SEED ?? 1), Number(process.env.COUNT ?? 3000)];
/** Seconds that a file may take, and bytes that all of them may add to the process. */
const LONGEST = 10;
const MOST_MEMORY = 400 << 20;

test("mutated model files end in the page's error or in a model", async () => {
  const folder = mkdtempSync(join(tmpdir(), "pkdgan-hostile-"));
  try {
    // Node takes them for modules where this file says so; a browser needs none.
    const web = join(folder, "web");
    cpSync(join(ROOT, "web"), web, { recursive: true });
    writeFileSync(join(web, "package.json"), '{ "type": "module" }');
    const [model, half] = [join(web, "model.safetensors"), join(folder, "half.safetensors")];
    execFileSync(PKDGAN, ["export", model, "--format", "safetensors-f16", "--out", half]);

    const at = new SharedArrayBuffer(4);
    const progress = new Int32Array(at);
    const { port1: failures, port2: failing } = new MessageChannel();
    const before = process.memoryUsage.rss();
    const worker = new Worker(new URL("hostile_worker.js", import.meta.url), {
      workerData: { web, models: [model, half], seed: SEED, count: COUNT, at, failing },
      transferList: [failing],
      resourceLimits: { maxOldGenerationSizeMb: 256 },
    });
    const faults = [];
    failures.on("message", (fault) => faults.push(fault));
    let [last, since] = [-1, Date.now()];
    const watch = setInterval(() => {
      const now = Atomics.load(progress, 0);
      if (now !== last) [last, since] = [now, Date.now()];
      else if (Date.now() - since > 1000 * LONGEST) worker.terminate();
    }, 200);
    const done = await new Promise((resolve, reject) => {
      worker.once("message", resolve).once("error", (error) => reject(new Error(`file ${progress[0]}`, { cause: error })));
      worker.once("exit", () => setTimeout(() => reject(new Error(`file ${progress[0]} does not end`)), 100));
    }).finally(() => {
      clearInterval(watch);
      failures.close();
    });
    await worker.terminate();
    console.log(`${COUNT} files, ${done.models} of them models; slowest`, done.slow, done.reasons);

    for (const { index, fault, bytes } of faults.slice(0, 5)) {
      const path = join(tmpdir(), `hostile-${SEED}-${index}.safetensors`);
      writeFileSync(path, bytes);
      console.log(`${path}: ${fault}`);
    }
    assert.equal(faults.length, 0, "ended in something else than the page's error");
    assert.ok(Object.keys(done.reasons).length >= 10, "the files reach only a few of the checks");
    assert.ok(done.models > COUNT / 100, "hardly any file is a model");
    const memory = 1024 * process.resourceUsage().maxRSS - before;
    assert.ok(memory < MOST_MEMORY, `${memory >> 20} MiB`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
