// From a picture to the pixels that a network takes; see src/data/preprocessing.rs.

/** What of red, green and blue is the brightness of a colour; see GREY there. */
const GREY = [0.212648, 0.715179, 0.072173];

/** The values of a picture `{ width, height, rgba }`, `channels` x `height` x `width`. What is transparent lies on black. */
export function pixels(preprocessing, picture) {
  const { channels, height, width } = preprocessing;
  const { rgba } = picture;
  let planes = Array.from({ length: channels }, () => new Uint8Array(picture.width * picture.height));
  for (let at = 0, from = 0; from < rgba.length; at++, from += 4) {
    const colour = [0, 1, 2].map((channel) => Math.round((rgba[from + channel] * rgba[from + 3]) / 255));
    if (channels === 1) planes[0][at] = Math.round(GREY.reduce((sum, share, channel) => sum + share * colour[channel], 0));
    else for (let channel = 0; channel < channels; channel++) planes[channel][at] = colour[channel];
  }
  if (picture.width !== width || picture.height !== height) {
    planes = planes.map((plane) => fitted(plane, picture, preprocessing));
  }
  const joined = new Uint8Array(channels * height * width);
  planes.forEach((plane, channel) => joined.set(plane, channel * height * width));
  return joined;
}

/** Network input of pixels: values in -1..1, centred in a square of `side` on -1. */
export function networkInput({ channels, height, width, side }, pixels) {
  const input = new Float32Array(channels * side * side).fill(-1);
  eachPixel({ channels, height, width, side }, (from, to) => (input[to] = pixels[from] / 127.5 - 1));
  return input;
}

/** The part of a reconstruction that the picture takes up, as pixels. */
export function networkOutput({ channels, height, width, side }, reconstruction) {
  const pixels = new Uint8ClampedArray(channels * height * width);
  eachPixel(
    { channels, height, width, side },
    (to, from) => (pixels[to] = Math.round((reconstruction[from] + 1) * 127.5)),
  );
  return pixels;
}

function eachPixel({ channels, height, width, side }, visit) {
  const [top, left] = [(side - height) >> 1, (side - width) >> 1];
  for (let at = 0; at < channels * height * width; at++) {
    const [channel, y, x] = [Math.floor(at / (height * width)), Math.floor(at / width) % height, at % width];
    visit(at, (channel * side + top + y) * side + left + x);
  }
}

/** A plane scaled to `height` x `width` as `fit` says. */
function fitted(plane, { width: fromWidth, height: fromHeight }, { width, height, fit }) {
  const from = { width: fromWidth, height: fromHeight };
  if (fit === "stretch") return scaled(plane, from, [0, fromHeight], [0, fromWidth], height, width);
  if (fit === "crop") {
    const ratio = Math.min(fromWidth / width, fromHeight / height);
    const [marginY, marginX] = [(fromHeight - height * ratio) / 2, (fromWidth - width * ratio) / 2];
    return scaled(plane, from, [marginY, fromHeight - marginY], [marginX, fromWidth - marginX], height, width);
  }
  const ratio = Math.min(width / fromWidth, height / fromHeight);
  const inner = (length, most) => Math.min(Math.max(Math.round(length * ratio), 1), most);
  const [innerHeight, innerWidth] = [inner(fromHeight, height), inner(fromWidth, width)];
  const within = scaled(plane, from, [0, fromHeight], [0, fromWidth], innerHeight, innerWidth);
  const padded = new Uint8Array(height * width);
  const [top, left] = [(height - innerHeight) >> 1, (width - innerWidth) >> 1];
  for (let y = 0; y < innerHeight; y++) {
    padded.set(within.subarray(y * innerWidth, (y + 1) * innerWidth), (top + y) * width + left);
  }
  return padded;
}

/** The part of a plane between `rows` and between `columns`, averaged over what a pixel of the result covers. */
export function scaled(plane, from, rows, columns, height, width) {
  const squeezed = new Uint8Array(height * from.width);
  taps(from.height, rows, height).forEach(({ first, weights }, y) => {
    for (let x = 0; x < from.width; x++) {
      squeezed[y * from.width + x] = sum(plane, weights, first * from.width + x, from.width);
    }
  });
  const result = new Uint8Array(height * width);
  taps(from.width, columns, width).forEach(({ first, weights }, x) => {
    for (let y = 0; y < height; y++) result[y * width + x] = sum(squeezed, weights, y * from.width + first, 1);
  });
  return result;
}

/** A weighted sum of every `step`th value, as a byte. */
function sum(values, weights, first, step) {
  let sum = 0.5;
  for (let tap = 0; tap < weights.length; tap++) sum += weights[tap] * values[first + tap * step];
  return Math.floor(sum);
}

/** For each of `count` pixels the weights of those it covers: a triangle over two of its widths, or two of theirs. */
function taps(length, [start, end], count) {
  const scale = (end - start) / count;
  const radius = Math.max(scale, 1);
  return Array.from({ length: count }, (_, index) => {
    const centre = start + (index + 0.5) * scale;
    const first = Math.max(Math.floor(centre - radius), 0);
    const last = Math.min(Math.ceil(centre + radius), length);
    const weights = Array.from({ length: last - first }, (_, tap) =>
      Math.max(1 - Math.abs(first + tap + 0.5 - centre) / radius, 0),
    );
    const sum = weights.reduce((a, b) => a + b);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}
