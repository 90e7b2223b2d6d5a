// Picture files, decoded by the browser; see src/data/picture.rs.

import { FileError } from "./weights.js";

/**
 * The pixels of a picture file as the file has them: `{ width, height, rgba }`. They come through a texture, because a
 * canvas forgets the colour of what is transparent.
 */
export async function readPicture(device, file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, {
      colorSpaceConversion: "none",
      premultiplyAlpha: "none",
      imageOrientation: "from-image",
    });
  } catch {
    throw new FileError(file.name, file.size ? "no picture that this browser can read, or damaged" : "empty file");
  }
  const { width, height } = bitmap;
  const most = device.limits.maxTextureDimension2D;
  if (width > most || height > most) {
    bitmap.close();
    throw new FileError(file.name, `${width} x ${height} pixels; at most ${most} a side are read`);
  }
  const { COPY_DST, COPY_SRC, RENDER_ATTACHMENT } = GPUTextureUsage;
  const texture = device.createTexture({
    size: [width, height],
    format: "rgba8unorm",
    usage: COPY_DST | COPY_SRC | RENDER_ATTACHMENT,
  });
  device.queue.copyExternalImageToTexture({ source: bitmap }, { texture, premultipliedAlpha: false }, [width, height]);
  // Rows of a copy begin at multiples of 256 bytes.
  const bytesPerRow = 256 * Math.ceil((4 * width) / 256);
  const buffer = device.createBuffer({
    size: bytesPerRow * height,
    usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
  });
  const encoder = device.createCommandEncoder();
  encoder.copyTextureToBuffer({ texture }, { buffer, bytesPerRow }, [width, height]);
  device.queue.submit([encoder.finish()]);
  try {
    await buffer.mapAsync(GPUMapMode.READ);
    const rows = new Uint8Array(buffer.getMappedRange());
    const rgba = new Uint8Array(4 * width * height);
    for (let y = 0; y < height; y++)
      rgba.set(rows.subarray(y * bytesPerRow, y * bytesPerRow + 4 * width), 4 * y * width);
    return { width, height, rgba };
  } finally {
    bitmap.close();
    texture.destroy();
    buffer.destroy();
  }
}
