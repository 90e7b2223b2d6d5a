// Model files that went wrong, from a seed: cut off, with flipped bytes, extreme lengths and numbers, keys that are there
// twice, deep nesting, tensors of other kinds, shapes and places, and whole networks of extreme layers.

import { safetensors } from "./files.js";

/** Numbers in [0, 1), the same ones for a seed (mulberry32). */
export function generator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

// As they stand in JSON.
const VALUES = [
  ..."0 -0 -1 1 2 3 7 64 65 255 256 4096 4097 0.5 1e-40 1e-400 1e400 -1e400 2147483648 4294967296".split(" "),
  ..."9007199254740991 9007199254740993 18446744073709551616 null true false [] {} [[]] [0] [1,1,1,1]".split(" "),
  ...'"" "x" "F16" "F64" "__proto__" "constructor" "running" "per-image" "stretch" "pkdgan-ede-gan-2"'.split(" "),
];
const LENGTHS = [0n, 1n, 7n, 8n, 255n, 65536n, 2n ** 31n, 2n ** 32n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n];
const FLOATS = [NaN, Infinity, -Infinity, -1, -0, 1e-45, 3.4e38, -3.4e38];

/** Damages of model files: `mutate(files)` gives the bytes of one. */
export function mutations(seed) {
  const random = generator(seed);
  const below = (count) => Math.floor(random() * count);
  const pick = (list) => list[below(list.length)];
  const nested = () => {
    const depth = pick([3, 30, 1000, 10_000, 100_000]);
    return pick([
      () => "[".repeat(depth) + "]".repeat(depth),
      () => '{"a":'.repeat(depth) + "1" + "}".repeat(depth),
      () => "[".repeat(depth),
    ])();
  };
  const long = () => JSON.stringify(pick(["a", "\u00e9", "9", "\\"]).repeat(pick([300, 10_000, 1_000_000])));
  const value = () => (random() < 0.7 ? pick(VALUES) : random() < 0.7 ? nested() : long());

  /** The header's text, and the bytes behind it. */
  const parts = (file) => {
    const end = 8 + Number(file.readBigUInt64LE(0));
    return [file.toString("utf8", 8, end), file.subarray(end)];
  };
  const replace = (text, pattern, by) => {
    const found = [...text.matchAll(pattern)];
    if (!found.length) return text;
    const { 0: old, index } = pick(found);
    return text.slice(0, index) + by(old) + text.slice(index + old.length);
  };
  /** Changes an entry of an object in JSON: another value, none, another key, or a second entry of the key. */
  const changeEntry = (text) => {
    let entries;
    try {
      entries = Object.entries(JSON.parse(text)).map(([key, value]) => [JSON.stringify(key), JSON.stringify(value)]);
    } catch {
      return value();
    }
    const index = below(entries.length);
    const [key, old] = entries[index] ?? ['"a"', "1"];
    const inside = (text) => (text.startsWith("[") ? replace(text, /[\d.e-]+/g, value) : value());
    pick([
      () => (entries[index] = [key, value()]),
      () => (entries[index] = [key, inside(old)]),
      () => entries.splice(index, 1),
      () => (entries[index] = [random() < 0.5 ? long() : pick(['""', '"__proto__"', '"toString"', '"b"']), old]),
      () => entries.push([key, random() < 0.5 ? old : value()]),
      () => entries.unshift([key, value()]),
    ])();
    return `{${entries.map((entry) => entry.join(":")).join(",")}}`;
  };
  /** The header with its metadata, or one value of it, changed. */
  const changeMetadata = (header) => {
    const parsed = JSON.parse(header);
    const metadata = parsed.__metadata__;
    const key = pick(["architecture", "preprocessing", "normal", "format"]);
    if (random() < 0.8 && key !== "format") {
      metadata[key] = random() < 0.9 ? changeEntry(metadata[key]) : value();
      return JSON.stringify(parsed);
    }
    return JSON.stringify({ ...parsed, __metadata__: 0 }).replace('"__metadata__":0', () => {
      return `"__metadata__":${random() < 0.7 ? changeEntry(JSON.stringify(metadata)) : value()}`;
    });
  };
  /** The header with a tensor's entry changed. */
  const changeTensor = (header) => {
    const parsed = JSON.parse(header);
    const names = Object.keys(parsed).filter((name) => name !== "__metadata__");
    const [name, other] = [pick(names), pick(names)];
    const text = pick([
      () => changeEntry(JSON.stringify(parsed[name])),
      () => JSON.stringify(parsed[other]),
      () => JSON.stringify({ ...parsed[name], data_offsets: parsed[other].data_offsets }),
      () => JSON.stringify({ ...parsed[name], shape: [...parsed[name].shape, pick([0, 1, 2])] }),
      value,
    ])();
    parsed[name] = 0;
    const at = `${JSON.stringify(name)}:0`;
    return JSON.stringify(parsed).replace(at, () => `${JSON.stringify(name)}:${text}`);
  };
  const changeNumbers = (file) => {
    const [header, data] = parts(file);
    const tensors = Object.entries(JSON.parse(header)).filter(([name]) => name !== "__metadata__");
    const bytes = Buffer.from(data);
    const [, { dtype, data_offsets: offsets }] = pick(tensors);
    if (dtype === "F32") bytes.writeFloatLE(pick(FLOATS), offsets[0] + 4 * below((offsets[1] - offsets[0]) / 4));
    else bytes.writeUInt16LE(pick([0x7c00, 0x7e00, 0xfc00, 0xffff, 1, 0x8000]), offsets[0]);
    return safetensors(header, bytes);
  };
  const flip = (file, end) => {
    const bytes = Buffer.from(file);
    for (let flips = 1 + below(8); flips > 0; flips--) bytes[below(end)] ^= random() < 0.5 ? 1 << below(8) : below(256);
    return bytes;
  };
  const withHeader = (change) => (file) => {
    const [header, data] = parts(file);
    return safetensors(change(header), data);
  };
  /** A whole file of a network whose layers fit, of extreme sizes; with few numbers, all of them zero. */
  const extreme = () => {
    for (;;) {
      const side = pick([1, 2, 8, 32, 1024, 4095, 4096]);
      const [encoder, latents] = [[], pick([1, 2, 4096])];
      let [left, input, numbers] = [side, 1, 0];
      for (let layers = 1 + below(4); layers > 0; layers--) {
        const [kernel, outputs] = [pick([1, 2, 3, 4, left]), pick([1, 1, 2, 4096])];
        const padding = below(Math.min(kernel, 4));
        const room = left + 2 * padding - kernel;
        if (room < 0) break;
        const strides = [1, 2, kernel, room, 4096].filter((stride) => stride >= 1 && room % stride === 0);
        if (!strides.length) break;
        const stride = pick(strides);
        encoder.push([outputs, kernel, stride, padding]);
        numbers += input * outputs * kernel * kernel;
        [left, input] = [room / stride + 1, outputs];
      }
      numbers += input * latents * left * left;
      if (encoder.length && numbers < 1 << 16) return network({ side, encoder, latents });
    }
  };
  const statistics = () => pick(["running", "per-image"]);
  const network = (shape) => zeros({ ...shape, statistics: statistics() });

  return (files) => {
    const file = pick(files);
    const [header] = parts(file);
    return pick([
      () => file.subarray(0, random() < 0.5 ? below(file.length) : below(8 + header.length)),
      () => flip(file, file.length),
      () => flip(file, 8 + header.length),
      () => flip(file, 8),
      () => Buffer.concat([file, Buffer.alloc(1 + below(16), below(256))]),
      () => {
        const bytes = Buffer.from(file);
        const near = BigInt(header.length + below(5) - 2);
        bytes.writeBigUInt64LE(random() < 0.5 ? pick(LENGTHS) : near, 0);
        return bytes;
      },
      () => withHeader((header) => replace(header, /(?<=[[,:])\d+/g, value))(file),
      () => withHeader((header) => replace(header, /"[^"\\]*"/g, value))(file),
      () => withHeader(changeMetadata)(file),
      () => withHeader(changeMetadata)(file),
      () => withHeader(changeTensor)(file),
      () => withHeader(changeEntry)(file),
      () => withHeader(nested)(file),
      () => changeNumbers(file),
      extreme,
      extreme,
    ])();
  };
}

/** A model file of a network, all of whose weights are zero. */
function zeros({ side, encoder, latents, statistics }) {
  const layers = [];
  let [input, left] = [1, side];
  for (const [outputs, kernel, stride, padding] of encoder) {
    layers.push([input, outputs, kernel]);
    [input, left] = [outputs, (left + 2 * padding - kernel) / stride + 1];
  }
  layers.push([input, latents, left]);
  const architecture = { channels: 1, side, encoder, latents, discriminator: [8], norm_epsilon: 1e-5, statistics };
  const preprocessing = { channels: 1, side, height: side, width: side, fit: "pad" };
  const described = { architecture, preprocessing, normal: { dataset: "mnist", class: 8 } };
  const texts = Object.entries(described).map(([key, value]) => [key, JSON.stringify(value)]);
  const header = { __metadata__: { format: "pkdgan-ede-gan-1", ...Object.fromEntries(texts) } };
  let end = 0;
  const add = (name, shape) => {
    const from = end;
    end += 4 * shape.reduce((product, length) => product * length, 1);
    header[name] = { dtype: "F32", shape, data_offsets: [from, end] };
  };
  const layer = (name, weight, outputs, normed) => {
    add(`${name}.weight`, weight);
    const parts = normed ? ["weight", "bias", "running_mean", "running_var"].map((part) => `norm.${part}`) : ["bias"];
    for (const part of parts) add(`${name}.${part}`, [outputs]);
  };
  const last = layers.length - 1;
  layers.forEach(([from, to, kernel], index) => {
    for (const encoder of ["encoder1", "encoder2"])
      layer(`${encoder}.conv${index + 1}`, [to, from, kernel, kernel], to, index > 0 && index < last);
    layer(`decoder.deconv${last - index + 1}`, [to, from, kernel, kernel], from, index > 0);
  });
  return safetensors(header, Buffer.alloc(end));
}
