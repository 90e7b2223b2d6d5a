// Reads mutated model files as the page does, without a page, and says of each what came of it. A thread of its own, so
// that one that hangs can be ended.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parentPort, workerData } from "node:worker_threads";

import { mutations } from "./mutations.js";

const { web, models, seed, count, at, failing } = workerData;
const load = (name) => import(pathToFileURL(join(web, name)));
const [{ FileError }, { parameters, readModel }, { pack, plan }] = await Promise.all(
  ["weights.js", "model.js", "fused.js"].map(load),
);
const files = models.map((path) => readFileSync(path));
const mutate = mutations(seed);
const progress = new Int32Array(at);
/** What the page says and shows of a model, and what it computes before the device limits it. */
const use = ({ networks, unitRms, normal, calibration, preprocessing: { height, width } }) => {
  const planned = plan(networks, unitRms);
  const numbers = [height, width, planned.memory, planned.weights, parameters({ networks }), normal.class];
  if (!numbers.every(Number.isSafeInteger)) throw new Error(`no counts: ${numbers}`);
  if (typeof normal.dataset !== "string") throw new Error("a data set without a name");
  if (calibration && !(calibration.pValue(1) > 0 && calibration.leastAlpha() > 0)) throw new Error("no p-value");
  pack(planned);
};
const [reasons, slow] = [new Map(), { milliseconds: 0 }];
let models_read = 0;
for (let index = 0; index < count; index++) {
  Atomics.store(progress, 0, index);
  const bytes = mutate(files);
  const started = performance.now();
  try {
    use(await readModel("m", new Blob([bytes])));
    models_read += 1;
  } catch (error) {
    const fault = !(error instanceof FileError) ? error.stack : error.message.length > 1000 && "a long message";
    if (fault) failing.postMessage({ index, fault, bytes });
    const kind = error.message.replace(/[`\d"[\]{},]+.*/s, "").slice(0, 40);
    reasons.set(kind, (reasons.get(kind) ?? 0) + 1);
  }
  const milliseconds = performance.now() - started;
  if (milliseconds > slow.milliseconds) Object.assign(slow, { index, milliseconds, length: bytes.length });
}
parentPort.postMessage({ models: models_read, reasons: Object.fromEntries(reasons), slow });
