// Files for the tests: MNIST's images, PNG files, a static server.

import { createServer } from "node:http";
import { existsSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { deflateSync, gunzipSync } from "node:zlib";

/** The first images of a packed IDX file, 28 x 28 bytes each. */
export function mnistImages(path, count) {
  const bytes = gunzipSync(readFileSync(path));
  return Array.from({ length: count }, (_, index) => bytes.subarray(16 + 784 * index, 16 + 784 * (index + 1)));
}

/** A PNG file of interleaved pixels: grey, colour, or colour with transparency. */
export function png(width, height, channels, pixels) {
  const chunk = (name, data) => {
    const body = Buffer.concat([Buffer.from(name, "latin1"), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length, 0);
    frame.writeUInt32BE(checksum(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, { 1: 0, 3: 2, 4: 6 }[channels]], 8);
  const row = width * channels;
  const rows = Array.from({ length: height }, (_, y) =>
    Buffer.concat([Buffer.alloc(1), pixels.subarray(y * row, (y + 1) * row)]),
  );
  const magic = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    magic,
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(Buffer.concat(rows))),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** CRC-32, as PNG wants it. */
function checksum(bytes) {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}

/**
 * A model file of a network with made-up weights, as src/model writes them. `encoder` lists channels, kernel, stride and
 * padding of each layer.
 */
export function modelFile({ channels = 1, side = 32, scaled = 28, encoder, latents, statistics }) {
  let [input, left] = [channels, side];
  const shrinking = encoder.map(([output, kernel, stride, padding]) => {
    const layer = { input, output, kernel };
    [input, left] = [output, (left + 2 * padding - kernel) / stride + 1];
    return layer;
  });
  shrinking.push({ input, output: latents, kernel: left });
  const tensors = [];
  const add = (name, weight, outputs, normed) => {
    tensors.push([`${name}.weight`, weight]);
    const parts = normed ? ["norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"] : ["bias"];
    for (const part of parts) tensors.push([`${name}.${part}`, [outputs]]);
  };
  for (const network of ["encoder1", "encoder2"]) {
    shrinking.forEach(({ input, output, kernel }, index) => {
      const normed = index > 0 && index < encoder.length;
      add(`${network}.conv${index + 1}`, [output, input, kernel, kernel], output, normed);
    });
  }
  [...shrinking].reverse().forEach(({ input, output, kernel }, index) => {
    add(`decoder.deconv${index + 1}`, [output, input, kernel, kernel], input, index < encoder.length);
  });

  let seed = 1;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  const value = (name) => (/running_var|norm\.weight/.test(name) ? 0.5 + random() : 0.6 * random() - 0.3);
  const architecture = { channels, side, encoder, latents, discriminator: [8, 8, 8], norm_epsilon: 1e-5, statistics };
  const preprocessing = { channels, side, height: scaled, width: scaled, fit: "pad" };
  const described = { architecture, preprocessing, normal: { dataset: "mnist", class: 8 } };
  const texts = Object.entries(described).map(([key, value]) => [key, JSON.stringify(value)]);
  // Version 1 need not describe every layer.
  const header = { __metadata__: { format: "pkdgan-ede-gan-1", ...Object.fromEntries(texts) } };
  const numbers = [];
  for (const [name, shape] of tensors) {
    const from = 4 * numbers.length;
    const count = shape.reduce((a, b) => a * b);
    for (let index = 0; index < count; index++) numbers.push(value(name));
    header[name] = { dtype: "F32", shape, data_offsets: [from, 4 * numbers.length] };
  }
  return safetensors(header, Buffer.from(Float32Array.from(numbers).buffer));
}

/** A safetensors file of a header, as JSON or text, and data. */
export function safetensors(header, data = Buffer.alloc(0)) {
  const text = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, data]);
}

/** The plainest static server of a folder, on loopback. */
export async function serveFolder(folder) {
  const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".png": "image/png" };
  const server = createServer((request, response) => {
    const path = join(folder, request.url.endsWith("/") ? `${request.url}index.html` : request.url);
    if (!existsSync(path)) return response.writeHead(404).end();
    response
      .writeHead(200, { "content-type": types[extname(path)] ?? "application/octet-stream" })
      .end(readFileSync(path));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}
