// The drawing area: strokes by mouse, pen or finger, and what the network gets of them.

import { scaled } from "./preprocessing.js";

/** Width of a stroke, as a share of the canvas: that of MNIST's pens. */
const PEN = 0.085;
/** MNIST's digits fill a square of 20 pixels in one of 28. */
const DIGIT = 20,
  IMAGE = 28;

/** Draws on a canvas; `changed(finished)` is called with each stroke's every part. */
export function drawing(canvas, changed) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const clear = () => {
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
  };
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [
      ((event.clientX - box.left) / box.width) * canvas.width,
      ((event.clientY - box.top) / box.height) * canvas.height,
    ];
  };
  let last = null;
  const stroke = (event) => {
    const points = event.getCoalescedEvents?.() ?? [];
    Object.assign(context, { strokeStyle: "#fff", lineWidth: PEN * canvas.width, lineCap: "round", lineJoin: "round" });
    context.beginPath();
    context.moveTo(...last);
    for (const point of points.length ? points : [event]) context.lineTo(...(last = at(point)));
    context.stroke();
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary || event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    last = at(event);
    stroke(event);
    changed(false);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last || !event.isPrimary) return;
    stroke(event);
    changed(false);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => {
      if (!last || !event.isPrimary) return;
      last = null;
      changed(true);
    });
  }
  clear();
  const picture = () => {
    const { width, height } = canvas;
    return { width, height, rgba: context.getImageData(0, 0, width, height).data };
  };
  const show = (image) => {
    clear();
    context.imageSmoothingEnabled = false;
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
  };
  return { clear, show, picture };
}

/**
 * A drawing as MNIST prepares digits (LeCun, Cortes and Burges): scaled to fit a square of 20 pixels, then placed in
 * one of 28 with its centre of mass in the middle.
 */
export function asInMnist(picture) {
  const { width, height, rgba } = picture;
  const plane = Uint8Array.from({ length: width * height }, (_, at) => rgba[4 * at]);
  let [top, bottom, left, right] = [height, 0, width, 0];
  plane.forEach((value, at) => {
    if (value < 128) return;
    const [y, x] = [Math.floor(at / width), at % width];
    [top, bottom, left, right] = [Math.min(top, y), Math.max(bottom, y + 1), Math.min(left, x), Math.max(right, x + 1)];
  });
  if (bottom <= top) return picture;
  const scale = DIGIT / Math.max(bottom - top, right - left);
  const [rows, columns] = [bottom - top, right - left].map((length) => Math.max(Math.round(length * scale), 1));
  const digit = scaled(plane, { width, height }, [top, bottom], [left, right], rows, columns);
  let [mass, massY, massX] = [0, 0, 0];
  digit.forEach((value, at) => {
    mass += value;
    massY += value * (Math.floor(at / columns) + 0.5);
    massX += value * ((at % columns) + 0.5);
  });
  const [y0, x0] = [massY, massX].map((moment) => Math.round(IMAGE / 2 - moment / Math.max(mass, 1)));
  const placed = new Uint8Array(4 * IMAGE * IMAGE);
  digit.forEach((value, at) => {
    const [y, x] = [y0 + Math.floor(at / columns), x0 + (at % columns)];
    if (y >= 0 && y < IMAGE && x >= 0 && x < IMAGE) placed.fill(value, 4 * (y * IMAGE + x), 4 * (y * IMAGE + x) + 4);
  });
  return { width: IMAGE, height: IMAGE, rgba: placed };
}
