// A whole generator planned as one kernel: its layers as implicit matrix products, its weights packed for them. The
// twin of src/engine/fused, whose words these are; what such a product is stands in implicit_gemm.rs.

const SUMS = 64;

export const padded = (columns) => 4 * Math.ceil(columns / 4);
const count = (shape) => shape.reduce((product, side) => product * side, 1);
const range = (length) => Array.from({ length }, (_, index) => index);

/** Matrix products and places of every layer: `layers` (three lists), `memory` and `weights` in numbers, `unitRms` as given. */
export function plan(networks, unitRms) {
  const chain = networks.flat();
  const lastOfDecoder = networks[0].length + networks[1].length - 1;
  // What a layer reads and what it writes are there at once, and nothing else: one at each end of the memory.
  const held = (index) => (index === lastOfDecoder ? 0 : count(chain[index].output));
  const pairs = range(chain.length - 1).map((index) => held(index) + held(index + 1));
  const memory = Math.max(...pairs, held(0), held(chain.length - 1) + SUMS);
  let [weights, from] = [0, { kind: 0, start: 0 }];
  const planned = chain.map((layer, index) => {
    const to =
      index === lastOfDecoder ? { kind: 1, start: 0 } : { kind: 2, start: index % 2 ? memory - held(index) : 0 };
    const gemms = gemmsOf(layer);
    for (const gemm of gemms) {
      gemm.rows = gemm.window[0] * gemm.window[1] * layer.input[0];
      gemm.weights = weights;
      weights += gemm.rows * padded(gemm.columns);
    }
    const bias = weights;
    weights += padded(layer.output[0]) * (layer.norm === undefined ? 1 : 2);
    const placed = { layer, gemms, from, to, bias };
    from = to;
    return placed;
  });
  const layers = [
    planned.slice(0, networks[0].length),
    planned.slice(networks[0].length, lastOfDecoder + 1),
    planned.slice(lastOfDecoder + 1),
  ];
  return {
    layers,
    memory,
    weights,
    image: chain[0].input,
    unitRms,
    latents: chain[lastOfDecoder + 1 - networks[1].length].input[0],
  };
}

function gemmsOf({
  transposed,
  input: [, height, width],
  output: [channels, outHeight, outWidth],
  kernel,
  stride,
  padding,
}) {
  const one = { stride: 1, padding: [0, 0], spread: 1, step: 1, offset: [0, 0], columns: channels };
  if (!transposed) {
    const taps = [range(kernel), range(kernel)];
    return [
      { ...one, grid: [outHeight, outWidth], window: [kernel, kernel], stride, padding: [padding, padding], taps },
    ];
  }
  if (padding === 0 && (stride === kernel || (height === 1 && width === 1))) {
    return [
      {
        ...one,
        grid: [height, width],
        window: [1, 1],
        spread: kernel,
        step: kernel,
        taps: null,
        columns: kernel * kernel * channels,
      },
    ];
  }
  // Output pixel `g stride + r` meets the taps `k` with `g stride + r + padding - k` a multiple of the stride.
  const phase = (r, size) => {
    const first = (r + padding) % stride;
    const taps = range(kernel)
      .filter((tap) => tap >= first && (tap - first) % stride === 0)
      .reverse();
    return {
      size: Math.ceil(Math.max(size - r, 0) / stride),
      taps,
      before: taps.length - 1 - Math.floor((r + padding) / stride),
    };
  };
  const gemms = range(stride * stride).map((index) => {
    const offset = [Math.floor(index / stride), index % stride];
    const [rows, columns] = [phase(offset[0], outHeight), phase(offset[1], outWidth)];
    const window = [rows.taps.length, columns.taps.length];
    return {
      ...one,
      grid: [rows.size, columns.size],
      window,
      padding: [rows.before, columns.before],
      step: stride,
      offset,
      taps: [rows.taps, columns.taps],
    };
  });
  return gemms.filter(({ grid }) => grid[0] * grid[1] > 0);
}

/** The weights of a plan: the matrix of each product, then biases, layer by layer. */
export function pack({ layers, weights }) {
  const packed = new Float32Array(weights);
  for (const planned of layers.flat()) packLayer(packed, planned);
  return packed;
}

function packLayer(packed, { layer, gemms, bias }) {
  const {
    transposed,
    input: [inputs],
    output: [outputs],
    kernel,
    norm,
    weight,
    scale,
    shift,
    fixed,
  } = layer;
  const factors = range(outputs).map((co) => (fixed ? scale[co] / Math.sqrt(fixed.variances[co] + fixed.epsilon) : 1));
  for (const gemm of gemms) {
    for (let row = 0; row < gemm.rows; row++) {
      const [pixel, ci] = [Math.floor(row / inputs), row % inputs];
      const start = gemm.weights + row * padded(gemm.columns);
      for (let column = 0; column < gemm.columns; column++) {
        const co = column % outputs;
        const spread = Math.floor(column / outputs);
        const [ky, kx] = gemm.taps
          ? [gemm.taps[0][Math.floor(pixel / gemm.window[1])], gemm.taps[1][pixel % gemm.window[1]]]
          : [Math.floor(spread / gemm.spread), spread % gemm.spread];
        const pair = transposed ? ci * outputs + co : co * inputs + ci;
        packed[start + column] = weight[(pair * kernel + ky) * kernel + kx] * factors[co];
      }
    }
  }
  if (norm === undefined) {
    packed.set(
      range(outputs).map((co) => (fixed ? shift[co] - fixed.means[co] * factors[co] : shift[co])),
      bias,
    );
  } else {
    packed.set(scale, bias);
    packed.set(shift, bias + padded(outputs));
  }
}
