// Runs a whole generator in one dispatch, one workgroup an image; the twin of src/engine/ops/fused_score.rs, over the
// same files under shaders/.

import { pack, padded, plan } from "./fused.js";
import { FileError } from "./weights.js";

const SHADERS = new URL("../shaders/", import.meta.url);
const PARTS = ["fused_place", "fused_activation", "fused_dense", "fused_convolution", "fused_norm"];
/** What src/engine/ops/unit_rms.rs has. */
const MIN_NORM = 1e-6;
/** What an invocation sums at once; see src/engine/ops/fused_score.rs. */
const MAX_SHARED = 8;
const MAX_SUMS = 8;
/** Most images in one dispatch. */
export const BATCH = 32;

/** A device, with what kernels are shaped by: `{ device, width, name }`; null where the browser has no WebGPU. */
export async function openGpu() {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return null;
  const { maxComputeWorkgroupStorageSize, maxStorageBufferBindingSize } = adapter.limits;
  const device = await adapter.requestDevice({
    requiredLimits: { maxComputeWorkgroupStorageSize, maxStorageBufferBindingSize },
  });
  const { vendor, architecture, description } = adapter.info;
  const name = description || [vendor, architecture].filter(Boolean).join(" ") || "unnamed adapter";
  // Eight invocations fill a CPU's vector unit.
  const software = adapter.info.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe/i.test(`${name} ${architecture}`);
  return { device, width: software ? 8 : 64, name };
}

const u32 = (value) => `u32 = ${value >>> 0}u`;
const f32 = (value) => `f32 = ${Math.fround(value)}f`;
const count = (shape) => shape.reduce((product, side) => product * side, 1);

/** The kernel's text for a plan: constants, what they stand for, and the calls of the matrix products. */
export async function source(planned, width) {
  const names = ["fused_score", ...["weights_single", ...PARTS].map((name) => `common/${name}`)];
  const [kernel, weights, ...parts] = await Promise.all(names.map(fetchText));
  const text = new Map(PARTS.map((name, index) => [name, parts[index]]));
  const [prelude, instances, calls] = [[], [], []];
  const declare = (prefix, constants) => {
    prelude.push(...Object.entries(constants).map(([name, value]) => `const ${prefix}${name}: ${value};`));
  };
  declare("", {
    WIDTH: u32(width),
    MEMORY: u32(planned.memory),
    IMAGE: u32(count(planned.image)),
    LATENTS: u32(planned.latents),
    UNIT_RMS: `bool = ${planned.unitRms}`,
    MIN_NORM: f32(MIN_NORM),
    LATENT1: u32(planned.layers[0].at(-1).to.start),
    LATENT2: u32(planned.layers[2].at(-1).to.start),
  });
  let number = 0;
  const add = (names, constants, call) => {
    declare(`P${number}_`, constants);
    const instance = (name) => text.get(name).replaceAll("P_", `P${number}_`).replaceAll("NUMBER", number);
    instances.push(...names.map(instance));
    calls.push(call.replace("NUMBER", number));
    number += 1;
  };
  planned.layers.forEach((layers, network) => {
    calls.push(`fn network${network}(image: u32, lane: u32) {`);
    for (const layer of layers) {
      for (const gemm of layer.gemms) {
        const kernel = count(gemm.grid) === 1 ? "fused_dense" : "fused_convolution";
        const call = "    gemmNUMBER(image, lane);";
        add(["fused_place", "fused_activation", kernel], gemmConstants(layer, gemm, width), call);
      }
      calls.push("    workgroupBarrier();");
      if (layer.layer.norm === undefined) continue;
      add(["fused_activation", "fused_norm"], normConstants(layer), "    normNUMBER(lane);");
      calls.push("    workgroupBarrier();");
    }
    calls.push("}");
  });
  return [...prelude, weights, kernel, ...instances, ...calls].join("\n");
}

function gemmConstants({ layer, from, to, bias }, gemm, width) {
  const normed = layer.norm !== undefined;
  const [grid, vec4s] = [count(gemm.grid), Math.ceil(gemm.columns / 4)];
  const maxShare =
    grid === 1 ? Math.ceil(vec4s / width) : Math.min(Math.floor(grid / width), Math.floor(MAX_SUMS / vec4s));
  return {
    FROM: u32(from.kind),
    READ: u32(from.start),
    CI: u32(layer.input[0]),
    IH: u32(layer.input[1]),
    IW: u32(layer.input[2]),
    KH: u32(gemm.window[0]),
    KW: u32(gemm.window[1]),
    STRIDE: u32(gemm.stride),
    // May be negative: it wraps round, as does the difference that it is taken from.
    PY: u32(gemm.padding[0]),
    PX: u32(gemm.padding[1]),
    GH: u32(gemm.grid[0]),
    GW: u32(gemm.grid[1]),
    WEIGHTS: u32(gemm.weights / 4),
    VEC4S: u32(vec4s),
    SHARE: u32(Math.max(1, Math.min(maxShare, MAX_SHARED))),
    COLUMNS: u32(gemm.columns),
    TO: u32(to.kind),
    WRITE: u32(to.start),
    CO: u32(layer.output[0]),
    OH: u32(layer.output[1]),
    OW: u32(layer.output[2]),
    SPREAD: u32(gemm.spread),
    STEP: u32(gemm.step),
    OY: u32(gemm.offset[0]),
    OX: u32(gemm.offset[1]),
    BIAS: u32(bias / 4),
    NORMED: `bool = ${normed}`,
    ...activationConstants(normed ? [0, 0] : layer.activation),
  };
}

function normConstants({ layer, to, bias }) {
  const [channels, height, width] = layer.output;
  return {
    AT: u32(to.start),
    C: u32(channels),
    PIXELS: u32(height * width),
    SCALE: u32(bias),
    SHIFT: u32(bias + padded(channels)),
    EPSILON: f32(layer.norm),
    ...activationConstants(layer.activation),
  };
}

function activationConstants([kind, slope]) {
  return { ACTIVATION: u32(kind), NEGATIVE_SLOPE: f32(slope) };
}

/** A model on a device, ready to score. */
export class Scorer {
  static async open({ device, width }, model) {
    const planned = plan(model.networks, model.unitRms);
    const limit = device.limits.maxComputeWorkgroupStorageSize;
    if (4 * planned.memory > limit) {
      throw new FileError(
        model.name,
        `its activations need ${4 * planned.memory} bytes of workgroup memory, and this adapter has ${limit}. ` +
          "The page scores students; score a teacher or a wider student with `pkdgan score`.",
      );
    }
    const buffers = 4 * Math.max(BATCH * (1 + count(planned.image)), planned.weights);
    const largest = Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize);
    if (buffers > largest) {
      throw new FileError(
        model.name,
        `its images or weights need ${buffers} bytes, and this adapter has ${largest}; score with \`pkdgan score\`.`,
      );
    }
    const code = await source(planned, width);
    const module = device.createShaderModule({ code, label: "fused_score" });
    const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute: { module } });
    return new Scorer(device, planned, pack(planned), pipeline, model.name);
  }

  constructor(device, planned, weights, pipeline, name) {
    const image = count(planned.image);
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
    Object.assign(this, { device, pipeline, image, name });
  }

  /**
   * Scores images, `[C, side, side]` each in -1..1: scores, reconstructions shaped alike, and the milliseconds from
   * images to scores. One call at a time.
   */
  async score(images) {
    const scores = [],
      reconstructions = [];
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
      batch.forEach((_, index) =>
        reconstructions.push(numbers.slice(BATCH + index * this.image, BATCH + (index + 1) * this.image)),
      );
    }
    const milliseconds = performance.now() - started;
    if (!scores.every(Number.isFinite)) {
      throw new FileError(this.name, "its scores are not finite; its training diverged, train again");
    }
    return { scores, reconstructions, milliseconds };
  }

  /** Gives the buffers back. */
  close() {
    for (const buffer of [this.images, this.weights, this.scores, this.reconstructions, this.latents, this.staging])
      buffer.destroy();
  }
}

async function fetchText(name) {
  const address = new URL(`${name}.wgsl`, SHADERS);
  const response = await fetch(address);
  if (!response.ok)
    throw new Error(`${address}: ${response.status} ${response.statusText}; serve the folder shaders/ beside web/`);
  return response.text();
}
