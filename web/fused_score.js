// Runs a whole generator in one dispatch, one workgroup an image; the twin of src/engine/ops/fused_score.rs, over the same
// files under shaders/.

import { pack, plan } from "./fused.js";
import { FileError } from "./weights.js";

const SHADERS = new URL("../shaders/", import.meta.url);
const PARTS = ["fused_place", "fused_activation", "fused_dense", "fused_convolution", "fused_norm"];
/** What src/engine/ops/unit_rms.rs has. */
const SMALLEST = 1e-6;
/** Most images in one dispatch. */
export const BATCH = 32;

/** A device, with what kernels are shaped by: `{ device, width, name }`; null where the browser has no WebGPU. */
export async function openGpu() {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return null;
  const { maxComputeWorkgroupStorageSize, maxStorageBufferBindingSize } = adapter.limits;
  const device = await adapter.requestDevice({ requiredLimits: { maxComputeWorkgroupStorageSize, maxStorageBufferBindingSize } });
  const { vendor, architecture, description } = adapter.info;
  const name = description || [vendor, architecture].filter(Boolean).join(" ") || "unnamed adapter";
  // Eight invocations fill a CPU's vector unit.
  const software = adapter.info.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe/i.test(`${name} ${architecture}`);
  return { device, width: software ? 8 : 64, name };
}

/** The kernel's text for a plan: constants, what they stand for, and the calls of the pieces. */
export async function source(planned, width) {
  const [kernel, weights, ...parts] = await Promise.all(["fused_score", ...["weights_single", ...PARTS].map((name) => `common/${name}`)].map(fetchText));
  const text = new Map(PARTS.map((name, index) => [name, parts[index]]));
  const ends = planned.layers.map((layers) => layers.at(-1).to.start);
  const u32 = (value) => `u32 = ${value >>> 0}u`;
  const f32 = (value) => `f32 = ${Math.fround(value)}f`;
  const declared = (prefix, constants) => Object.entries(constants).map(([name, value]) => `const ${prefix}${name}: ${value};`);
  const prelude = declared("", {
    WIDTH: u32(width), MEMORY: u32(planned.memory), IMAGE: u32(planned.image.reduce((a, b) => a * b)), LATENTS: u32(planned.latents),
    SMALLEST: f32(SMALLEST), LATENT1: u32(ends[0]), LATENT2: u32(ends[2]),
  });
  const instances = [], calls = [];
  let number = 0;
  const add = (constants, names, call) => {
    prelude.push(...declared(`P${number}_`, constants));
    for (const name of names) instances.push(text.get(name).replaceAll("P_", `P${number}_`).replaceAll("NUMBER", number));
    calls.push(`    ${call.replace("NUMBER", number)};`);
    number += 1;
  };
  planned.layers.forEach((layers, network) => {
    calls.push(`fn network${network}(image: u32, lane: u32) {`);
    for (const { layer, pieces, from, to, bias } of layers) {
      const { input: [inputs, height, width], output: [outputs, outHeight, outWidth], norm, activation } = layer;
      const normed = norm !== undefined;
      const activated = ([kind, slope]) => ({ ACTIVATION: u32(kind), NEGATIVE_SLOPE: f32(slope) });
      for (const piece of pieces) {
        const dense = piece.grid[0] * piece.grid[1] === 1;
        add({
          FROM: u32(from.kind), READ: u32(from.start), CI: u32(inputs), IH: u32(height), IW: u32(width),
          KH: u32(piece.window[0]), KW: u32(piece.window[1]), STRIDE: u32(piece.stride),
          // May be negative: it wraps round, as does the difference that it is taken from.
          PY: u32(piece.padding[0]), PX: u32(piece.padding[1]),
          GH: u32(piece.grid[0]), GW: u32(piece.grid[1]),
          WEIGHTS: u32(piece.weights / 4), QUADS: u32(Math.ceil(piece.columns / 4)), COLUMNS: u32(piece.columns),
          TO: u32(to.kind), WRITE: u32(to.start), CO: u32(outputs), OH: u32(outHeight), OW: u32(outWidth),
          SPREAD: u32(piece.spread), STEP: u32(piece.step), OY: u32(piece.offset[0]), OX: u32(piece.offset[1]),
          BIAS: u32(bias), NORMED: `bool = ${normed}`, ...activated(normed ? [0, 0] : activation),
        }, ["fused_place", "fused_activation", dense ? "fused_dense" : "fused_convolution"], "pieceNUMBER(image, lane)");
      }
      calls.push("    workgroupBarrier();");
      if (normed) {
        add({
          AT: u32(to.start), C: u32(outputs), PIXELS: u32(outHeight * outWidth),
          SCALE: u32(bias), SHIFT: u32(bias + 4 * Math.ceil(outputs / 4)), EPSILON: f32(norm), ...activated(activation),
        }, ["fused_activation", "fused_norm"], "normNUMBER(lane)");
        calls.push("    workgroupBarrier();");
      }
    }
    calls.push("}");
  });
  return [...prelude, weights, kernel, ...instances, ...calls].join("\n");
}

/** A model on a device, ready to score. */
export class Scorer {
  static async open({ device, width }, model) {
    const planned = plan(model.networks);
    const most = device.limits.maxComputeWorkgroupStorageSize;
    if (4 * planned.memory > most) {
      throw new FileError(
        model.name,
        `its activations need ${4 * planned.memory} bytes of workgroup memory, and this adapter has ${most}. ` +
          "The page scores students; score a teacher or a wider student with `pkdgan score`.",
      );
    }
    const code = await source(planned, width);
    const module = device.createShaderModule({ code, label: "fused_score" });
    const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute: { module } });
    return new Scorer(device, planned, pack(planned), pipeline);
  }

  constructor(device, planned, weights, pipeline) {
    const image = planned.image.reduce((a, b) => a * b);
    const buffer = (numbers, usage) => device.createBuffer({ size: 4 * numbers, usage });
    const { STORAGE, COPY_DST, COPY_SRC, MAP_READ } = GPUBufferUsage;
    this.images = buffer(BATCH * image, STORAGE | COPY_DST);
    this.weights = buffer(weights.length, STORAGE | COPY_DST);
    this.scores = buffer(BATCH, STORAGE | COPY_SRC);
    this.reconstructions = buffer(BATCH * image, STORAGE | COPY_SRC);
    this.latents = buffer(BATCH * planned.latents, STORAGE);
    this.staging = buffer(BATCH * (1 + image), COPY_DST | MAP_READ);
    const bound = [this.images, this.weights, this.scores, this.reconstructions, this.latents];
    const entries = bound.map((buffer, binding) => ({ binding, resource: { buffer } }));
    this.group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
    device.queue.writeBuffer(this.weights, 0, weights);
    Object.assign(this, { device, pipeline, image });
  }

  /**
   * Scores images, `[C, side, side]` each in -1..1: scores, reconstructions shaped alike, and the milliseconds from
   * images to scores. One call at a time.
   */
  async score(images) {
    const scores = [], reconstructions = [];
    const started = performance.now();
    for (let first = 0; first < images.length; first += BATCH) {
      const batch = images.slice(first, first + BATCH);
      batch.forEach((image, index) => this.device.queue.writeBuffer(this.images, 4 * index * this.image, image));
      const encoder = this.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(this.pipeline);
      pass.setBindGroup(0, this.group);
      pass.dispatchWorkgroups(batch.length);
      pass.end();
      encoder.copyBufferToBuffer(this.scores, 0, this.staging, 0, 4 * BATCH);
      encoder.copyBufferToBuffer(this.reconstructions, 0, this.staging, 4 * BATCH, 4 * batch.length * this.image);
      this.device.queue.submit([encoder.finish()]);
      await this.staging.mapAsync(GPUMapMode.READ);
      const numbers = new Float32Array(this.staging.getMappedRange().slice(0));
      this.staging.unmap();
      scores.push(...numbers.subarray(0, batch.length));
      batch.forEach((_, index) => reconstructions.push(numbers.slice(BATCH + index * this.image, BATCH + (index + 1) * this.image)));
    }
    return { scores, reconstructions, milliseconds: performance.now() - started };
  }

  /** Gives the buffers back. */
  close() {
    for (const buffer of [this.images, this.weights, this.scores, this.reconstructions, this.latents, this.staging]) buffer.destroy();
  }
}

async function fetchText(name) {
  const address = new URL(`${name}.wgsl`, SHADERS);
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: ${response.status} ${response.statusText}; serve the folder shaders/ beside web/`);
  return response.text();
}
