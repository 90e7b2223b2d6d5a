// Model files: the generator's layers with their tensors, and what is needed to use them; see src/model.

import { Calibration } from "./calibration.js";
import { FileError, isCount, isObject, readWeights, shortened } from "./weights.js";

const LEAKY_RELU = 2,
  RELU = 1,
  TANH = 3,
  IDENTITY = 0;
const LEAK = 0.2;
const MAX_WIDTH = 4096,
  MAX_LAYERS = 16,
  MAX_NUMBERS = 1 << 26,
  MAX_STRIDE = 64;
/** What may be done to latent vectors; the first goes without saying. */
const CONSTRAINTS = ["unit-rms", "tanh", "none"];
const FORMATS = ["pkdgan-ede-gan-1", "pkdgan-ede-gan-2", "pkdgan-ede-gan-3", "pkdgan-ede-gan-4"];
/** Most characters of a metadata value: settings of sixteen layers take a third of it. */
const MAX_VALUE = 2000;
/** What the metadata say of every model's preprocessing, if they say it. */
const FIXED = {
  pixels: "value / 127.5 - 1",
  padding: "centred, with -1",
  grey: "0.212648 R + 0.715179 G + 0.072173 B",
};

/**
 * Reads a model from a `Blob`. `networks` are encoder, decoder and encoder, each a list of layers: `transposed`,
 * `input` and `output` (channels, height, width), `kernel`, `stride`, `padding`, `activation`, and the tensors `weight`
 * and `shift`, for a layer with a norm `scale`, and `fixed` (means and variances) where the norm's statistics are fixed.
 * `norm` is the norm's epsilon where they are each image's own. With `unitRms` latent vectors are scaled to a root mean
 * square of one.
 */
export async function readModel(name, blob) {
  const weights = await readWeights(name, blob);
  const foreign = (problem) => new FileError(name, problem);
  if (!weights.metadata.has("architecture")) {
    throw foreign("no model of pkdgan: its metadata has no `architecture`; use model.safetensors of a run folder");
  }
  const format = weights.metadata.get("format");
  if (!FORMATS.includes(format)) {
    throw foreign(`metadata \`format\`: ${shortened(`${format}`)}; this page reads ${FORMATS.join(", ")}`);
  }
  const architecture = described(weights, "architecture");
  const preprocessing = described(weights, "preprocessing");
  const normal = described(weights, "normal");
  const problem = unsound(architecture) ?? mismatched(preprocessing, architecture) ?? unnamed(normal);
  if (problem) throw foreign(problem);

  const take = taker(weights);
  const scores = weights.tensors.get("calibration.scores");
  if (scores && !scores.values.every((score) => Number.isFinite(score) && score >= 0))
    throw foreign("a calibration score is not finite or below 0; train again");
  if (scores && !(scores.shape.length === 1 && scores.shape[0] > 0))
    throw foreign("tensor `calibration.scores` is no list of scores");
  const networks = generator(architecture).map(([prefix, layers]) =>
    layers.map((layer, index) => {
      const part = (rest) => `${prefix}.${layer.transposed ? "deconv" : "conv"}${index + 1}.${rest}`;
      const [from, to] = [layer.input[0], layer.output[0]];
      const pair = layer.transposed ? [from, to] : [to, from];
      const weight = take(part("weight"), [...pair, layer.kernel, layer.kernel]);
      if (!layer.normed) return { ...layer, weight, shift: take(part("bias"), [to]) };
      const tensors = { weight, scale: take(part("norm.weight"), [to]), shift: take(part("norm.bias"), [to]) };
      const epsilon = Math.fround(architecture.norm_epsilon);
      if (architecture.statistics === "per-image") return { ...layer, ...tensors, norm: epsilon };
      const [means, variances] = ["norm.running_mean", "norm.running_var"].map((rest) => take(part(rest), [to]));
      if (!variances.every((variance) => variance >= 0))
        throw foreign(`tensor \`${part("norm.running_var")}\` has variances below 0`);
      return { ...layer, ...tensors, fixed: { means, variances, epsilon } };
    }),
  );
  return {
    name,
    architecture,
    preprocessing,
    normal,
    networks,
    unitRms: (architecture.latent_constraint ?? CONSTRAINTS[0]) === "unit-rms",
    calibration: scores ? new Calibration(scores.values) : null,
  };
}

/** Trainable numbers of the generator. */
export function parameters(model) {
  return model.networks
    .flat()
    .reduce((sum, { weight, scale, shift }) => sum + weight.length + shift.length + (scale?.length ?? 0), 0);
}

function described(weights, key) {
  let value;
  const text = weights.metadata.get(key) ?? "";
  try {
    // What is longer may be nested deeper than it can be shown.
    value = text.length <= MAX_VALUE ? JSON.parse(text) : undefined;
  } catch {
    value = undefined;
  }
  if (!isObject(value)) throw new FileError(weights.name, `metadata \`${key}\` is missing or damaged`);
  return value;
}

const within = (value) => isCount(value) && value >= 1 && value <= MAX_WIDTH;

/** What is wrong with an architecture, if anything: each window must fill its image exactly. */
function unsound({
  channels,
  side,
  latents,
  latent_constraint: constraint = CONSTRAINTS[0],
  encoder,
  statistics,
  norm_epsilon: epsilon,
}) {
  const shown = JSON.stringify({ channels, side, latents, latent_constraint: constraint, encoder, statistics });
  const problem = `metadata \`architecture\` makes no sense: ${shown.slice(0, 200)}`;
  const positive = typeof epsilon === "number" && Number.isFinite(epsilon) && Math.fround(epsilon) > 0;
  const known = ["running", "per-image"].includes(statistics) && CONSTRAINTS.includes(constraint);
  if (![channels, side, latents].every(within) || !known || !positive) return problem;
  if (!Array.isArray(encoder) || encoder.length < 1 || encoder.length > MAX_LAYERS) return problem;
  let left = side;
  for (const layer of encoder) {
    if (!Array.isArray(layer) || layer.length !== 4) return problem;
    const [outputs, kernel, stride, padding] = layer;
    const room = left + 2 * padding - kernel;
    if (![outputs, kernel, stride].every(within) || !isCount(padding) || padding >= kernel || room < 0 || room % stride)
      return problem;
    left = room / stride + 1;
    // The transposed convolution is computed apart for each way in which an output pixel can lie to the windows.
    const apart = padding === 0 && (stride === kernel || left === 1);
    if ((!apart && stride > MAX_STRIDE) || outputs * left * left > MAX_NUMBERS) return problem;
  }
}

function mismatched({ channels, side, height, width, fit, ...others }, architecture) {
  const other = Object.keys(FIXED).find((key) => Object.hasOwn(others, key) && others[key] !== FIXED[key]);
  if (other) return `metadata \`preprocessing\`: \`${other}\` is not "${FIXED[other]}"`;
  const fits =
    [height, width].every((length) => within(length) && length <= side) && ["crop", "pad", "stretch"].includes(fit);
  if (!fits || channels !== architecture.channels || side !== architecture.side || ![1, 3].includes(channels)) {
    return "metadata `preprocessing` does not go with the architecture";
  }
}

function unnamed({ dataset, class: number }) {
  const named = typeof dataset === "string" && isCount(number) && number <= 255;
  if (!named) return "metadata `normal` names no data set and class";
}

/** The layers of the three networks, without tensors; the decoder mirrors the encoder. */
function generator({ channels, side, encoder, latents, latent_constraint: constraint }) {
  let input = [channels, side, side];
  const shrinking = encoder.map(([outputs, kernel, stride, padding], index) => {
    const left = (input[1] + 2 * padding - kernel) / stride + 1;
    const layer = {
      transposed: false,
      input,
      output: [outputs, left, left],
      kernel,
      stride,
      padding,
      normed: index > 0,
      activation: [LEAKY_RELU, LEAK],
    };
    input = layer.output;
    return layer;
  });
  shrinking.push({
    transposed: false,
    input,
    output: [latents, 1, 1],
    kernel: input[1],
    stride: 1,
    padding: 0,
    normed: false,
    activation: [constraint === "tanh" ? TANH : IDENTITY, 0],
  });
  const growing = shrinking.map((layer, index) => ({
    ...layer,
    transposed: true,
    input: layer.output,
    output: layer.input,
    normed: index > 0,
    activation: [index > 0 ? RELU : TANH, 0],
  }));
  return [
    ["encoder1", shrinking],
    ["decoder", growing.reverse()],
    ["encoder2", shrinking],
  ];
}

function taker({ name, tensors }) {
  return (tensor, shape) => {
    const found = tensors.get(tensor);
    if (!found) throw new FileError(name, `no tensor \`${tensor}\`; use a model that pkdgan trained`);
    if (`${found.shape}` !== `${shape}`) {
      throw new FileError(name, `tensor \`${tensor}\` has shape [${shortened(`${found.shape}`)}] where the network has [${shape}]`);
    }
    if (!found.values.every(Number.isFinite)) {
      throw new FileError(
        name,
        `tensor \`${tensor}\` has numbers that are not finite; its training diverged, train again`,
      );
    }
    return found.values;
  };
}
