// Weight files: named tensors of numbers in the safetensors format; see src/weights.

/** A file that cannot be used; the message names it and says what is wrong. */
export class FileError extends Error {
  constructor(file, problem) {
    super(`${file}: ${problem}`);
  }
}

const MAX_FILE = 1 << 28;
const MAX_HEADER = 1 << 22;
/** Most characters of a foreign text in a message. */
const MAX_QUOTED = 300;

/** A text that somebody else wrote, no longer than a person reads. */
export const shortened = (text) =>
  text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}... (${text.length} characters in all)` : text;

const WIDEN = {
  F32: [4, (bytes) => new Float32Array(bytes)],
  F16: [2, (bytes) => widen(bytes, half)],
  BF16: [2, (bytes) => widen(bytes, brain)],
};

/**
 * Tensors (`{ shape, values }`) and metadata by name, from a `Blob`. The header is checked against the size of the file
 * before any tensor is given memory.
 */
export async function readWeights(name, blob) {
  const damaged = (problem) => new FileError(name, `${problem}; the file is damaged or no safetensors file`);
  if (blob.size > MAX_FILE) throw new FileError(name, `${blob.size} bytes; at most ${MAX_FILE} are read`);
  if (blob.size < 8) throw damaged("too short for a header");
  const bytes = await blob.arrayBuffer();
  const length = new DataView(bytes).getBigUint64(0, true);
  if (length > BigInt(Math.min(blob.size - 8, MAX_HEADER))) throw damaged(`a header of ${length} bytes in a file of ${blob.size}`);
  const start = 8 + Number(length);
  let header;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(bytes, 8, start - 8)));
  } catch (error) {
    throw damaged(`its header is no JSON (${shortened(error.message)})`);
  }
  if (!isObject(header)) throw damaged("its header is no JSON object");

  const entries = new Map(Object.entries(header));
  const described = entries.get("__metadata__") ?? {};
  if (!isObject(described) || !Object.values(described).every((text) => typeof text === "string"))
    throw damaged("its metadata is no texts by key");
  const metadata = new Map(Object.entries(described));
  entries.delete("__metadata__");
  const places = [...entries]
    .map(([tensor, entry]) => place(tensor, entry, damaged))
    .sort((a, b) => a.from - b.from || a.to - b.to);
  const end = places.reduce((end, { tensor, from, to }) => {
    if (from !== end) throw damaged(`tensor \`${shortened(tensor)}\` starts at byte ${from} of the data, not ${end}`);
    return to;
  }, 0);
  if (start + end !== blob.size) throw damaged(`its header calls for ${start + end} bytes, and it has ${blob.size}`);

  const tensors = new Map();
  for (const { tensor, shape, dtype, from, to } of places) {
    if (!Object.hasOwn(WIDEN, dtype))
      throw new FileError(name, `tensor \`${shortened(tensor)}\` holds ${shortened(dtype)}; convert it to F32`);
    tensors.set(tensor, { shape, values: WIDEN[dtype][1](bytes.slice(start + from, start + to)) });
  }
  return { name, tensors, metadata };
}

export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
export const isCount = (value) => Number.isSafeInteger(value) && value >= 0;

/** A tensor's place in the data, where the header makes sense. */
function place(tensor, entry, damaged) {
  const { dtype, shape, data_offsets: offsets } = isObject(entry) ? entry : {};
  const counts = [shape, offsets].every((list) => Array.isArray(list) && list.every(isCount));
  if (!counts || typeof dtype !== "string" || offsets.length !== 2 || offsets[0] > offsets[1]) {
    throw damaged(`tensor \`${shortened(tensor)}\` is not described as it should be`);
  }
  const [from, to] = offsets;
  if (Object.hasOwn(WIDEN, dtype) && shape.reduce((product, side) => product * side, WIDEN[dtype][0]) !== to - from) {
    throw damaged(`tensor \`${shortened(tensor)}\` of shape [${shortened(`${shape}`)}] does not fill ${to - from} bytes`);
  }
  return { tensor, dtype, shape, from, to };
}

function widen(bytes, number) {
  return Float32Array.from(new Uint16Array(bytes), number);
}

/** The number that 16 bits of IEEE 754 half precision stand for. */
function half(bits) {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
}

/** The number whose upper 16 bits in single precision these are. */
function brain(bits) {
  return new Float32Array(Uint32Array.of(bits << 16).buffer)[0];
}
