// The page in Debian's Chromium, by its own WebGPU on SwiftShader: what a person does, and what `pkdgan score` says of
// the same pictures. PKDGAN names the binary, SCREENSHOTS a folder for pictures of the page.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

import { mnistImages, modelFile, png, safetensors, serveFolder } from "./files.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PKDGAN = process.env.PKDGAN ?? join(ROOT, "target/release/pkdgan");
const SCREENSHOTS = process.env.SCREENSHOTS;
const CHROMIUM = {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
  ],
};
const MODEL = join(ROOT, "web/model.safetensors");
const IMAGES = 100;

let server, address, browser, folder;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "pkdgan-web-"));
  server = spawn(PKDGAN, ["serve-web", "--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
  const failed = new Promise((_, reject) =>
    server.once("error", reject).once("exit", (code) => reject(new Error(`serve-web ended with ${code}`))),
  );
  const line = new Promise((resolve) => server.stdout.once("data", (data) => resolve(String(data).trim())));
  address = await Promise.race([line, failed]);
  failed.catch(() => {});
  browser = await chromium.launch(CHROMIUM);
});

after(async () => {
  await browser?.close();
  server?.kill("SIGINT");
  rmSync(folder, { recursive: true, force: true });
});

/** A page that is ready, in a window of its own. Nothing may be asked of another host, and nothing may go wrong. */
async function opened({ url = address, options = {}, ready = true, prepare = async () => {} } = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options });
  const page = await context.newPage();
  const [asked, faults] = [[], []];
  page.on("request", (request) => asked.push(request.url()));
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  await prepare(page);
  await page.goto(url);
  if (ready) await page.getByText("normal is class").waitFor({ timeout: 120_000 });
  const close = async () => {
    const origin = new URL(url).origin;
    assert.deepEqual(
      asked.filter((asked) => !asked.startsWith(origin) && !asked.startsWith("data:")),
      [],
      "requests elsewhere",
    );
    assert.deepEqual(faults, []);
    await context.close();
  };
  return { page, close };
}

async function screenshot(page, name) {
  if (!SCREENSHOTS) return;
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
}

/** What the result says once it is there. */
async function result(page, announced) {
  await page.locator("#announcement").filter({ hasText: announced }).waitFor({ state: "attached", timeout: 60_000 });
  const number = (selector) => page.locator(`${selector} data`).getAttribute("value").then(Number);
  return {
    score: await number("#score"),
    pValue: await number("#p-value"),
    verdict: await page.locator("#verdict").getAttribute("data-verdict"),
  };
}

/** Does something, and waits for another announcement. */
async function changed(page, action) {
  const before = await page.textContent("#announcement");
  await action();
  await page.waitForFunction((before) => document.querySelector("#announcement").textContent !== before, before);
}

/** What the command line says of pictures. */
function score(paths, model = MODEL) {
  const output = execFileSync(PKDGAN, ["score", model, ...paths, "--format", "jsonl", "--quiet"], { encoding: "utf8" });
  return output
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

function close(found, wanted, name) {
  assert.ok(
    Math.abs(found - wanted) <= 1e-3 * Math.abs(wanted),
    `${name}: ${found} in the browser, ${wanted} on the command line`,
  );
}

async function rows(page, count) {
  await page.locator("#progress").filter({ hasText: "ms a picture" }).waitFor({ timeout: 120_000 });
  const found = await page
    .locator("#table tbody tr")
    .evaluateAll((lines) =>
      lines.map(({ cells }) => ({
        name: cells[1].textContent,
        score: Number(cells[2].querySelector("data").value),
        pValue: Number(cells[3].querySelector("data").value),
        verdict: cells[4].textContent,
      })),
    );
  assert.equal(found.length, count);
  return found;
}

/** Drops files on the page, as a person drags them there. */
async function drop(page, files) {
  const transfer = await page.evaluateHandle(
    (files) => {
      const transfer = new DataTransfer();
      for (const { name, bytes } of files) transfer.items.add(new File([Uint8Array.from(bytes)], name));
      return transfer;
    },
    files.map(({ name, bytes }) => ({ name, bytes: [...bytes] })),
  );
  await page.dispatchEvent("main", "drop", { dataTransfer: transfer });
}

test("scores that paths round apart are equal, as on the command line", async () => {
  const { page, close: end } = await opened();
  const found = await page.evaluate(async () => {
    const { Calibration, roundedUp, tieBound } = await import("./calibration.js");
    // What four paths made of one image, which had calibrated 24 times.
    const calibration = new Calibration(new Array(24).fill(0.0055422755));
    return {
      pValues: [0.005542249, 0.005541983, 0.005542063, 0.006622239, 0.011].map((score) => calibration.pValue(score)),
      bounds: [0, 0.5, 2].map(tieBound),
      rates: [1 / 9, 0.01, 1 / 586].map(roundedUp),
    };
  });
  assert.deepEqual(found.pValues, [1, 1, 1, 1, 0.04]);
  assert.deepEqual(found.bounds, [0.005, 0.505, 2.02].map(Math.fround));
  assert.deepEqual(found.rates, ["0.12", "0.010", "0.0018"]);
  await end();
});

test("a hundred test images score as on the command line, with the same verdicts", async () => {
  const paths = mnistImages(join(ROOT, "data/mnist/t10k-images-idx3-ubyte.gz"), IMAGES).map((pixels, index) => {
    const path = join(folder, `${String(index).padStart(3, "0")}.png`);
    writeFileSync(path, png(28, 28, 1, pixels));
    return path;
  });
  const { page, close: end } = await opened();
  await page.locator("#picture-files").setInputFiles(paths);
  const found = await rows(page, IMAGES);
  const wanted = score(paths);
  const verdicts = new Set();
  found.forEach((row, index) => {
    close(row.score, wanted[index].score, row.name);
    close(row.pValue, wanted[index].p_value, `p-value of ${row.name}`);
    assert.equal(row.verdict, wanted[index].verdict, row.name);
    verdicts.add(row.verdict);
  });
  assert.deepEqual([...verdicts].sort(), ["anomalous", "normal"], "both verdicts are among them");
  console.log(await page.locator("#progress").textContent());

  await page.getByRole("button", { name: "Score" }).click();
  const sorted = (await rows(page, IMAGES)).map(({ score }) => score);
  assert.deepEqual(
    sorted,
    [...sorted].sort((a, b) => b - a),
  );
  await page.getByRole("button", { name: "007.png" }).click();
  assert.equal((await result(page, "007.png")).score, found[7].score);
  await page.getByLabel("False-alarm rate").fill("0.3");
  const stricter = await rows(page, IMAGES);
  assert.ok(
    stricter.filter(({ verdict }) => verdict === "anomalous").length >
      found.filter(({ verdict }) => verdict === "anomalous").length,
  );
  await page.getByLabel("False-alarm rate").fill("0.0001");
  await page.getByText("nothing can be called anomalous below").waitFor();
  await page.getByLabel("False-alarm rate").fill("0.01");
  await screenshot(page, "pictures");
  await end();
});

test("pictures of other shapes, in colour, with transparency", async () => {
  const pattern = (width, height, channels) =>
    Uint8Array.from({ length: width * height * channels }, (_, at) => (at * 7919 + (at >> 5) * 31) & 255);
  const shapes = [
    ["grey.png", 28, 28, 1],
    ["colour.png", 28, 28, 3],
    ["clear.png", 28, 28, 4],
    ["wide.png", 90, 41, 3],
    ["tall.png", 13, 57, 1],
  ];
  const paths = shapes.map(([name, width, height, channels]) => {
    writeFileSync(join(folder, name), png(width, height, channels, pattern(width, height, channels)));
    return join(folder, name);
  });
  const { page, close: end } = await opened();
  await page.locator("#picture-files").setInputFiles(paths);
  const [found, wanted] = [await rows(page, paths.length), score(paths)];
  found.forEach((row, index) => close(row.score, wanted[index].score, row.name));
  // The browser hands over the colour of what is transparent, so that the page can lay it on black as the command line does.
  const exact = await page.evaluate(
    async (bytes) => {
      const { readPicture } = await import("./picture.js");
      const { openGpu } = await import("./fused_score.js");
      const { device } = await openGpu();
      return [...(await readPicture(device, new File([Uint8Array.from(bytes)], "clear.png"))).rgba];
    },
    [...readFileSync(paths[2])],
  );
  assert.deepEqual(exact, [...pattern(28, 28, 4)]);
  await end();
});

test("a digit drawn with the mouse is scored", async () => {
  const { page, close: end } = await opened();
  const drawn = async (points) => {
    const box = await page.locator("#drawing").boundingBox();
    const at = ([x, y]) => [box.x + (x * box.width) / 100, box.y + (y * box.height) / 100];
    await page.mouse.move(...at(points[0]));
    await page.mouse.down();
    for (const point of points.slice(1)) await page.mouse.move(...at(point), { steps: 4 });
    await page.mouse.up();
  };
  const ring = (x, y, radius, height = radius) =>
    Array.from({ length: 25 }, (_, step) => {
      const angle = (step / 24) * 2 * Math.PI;
      return [x + radius * Math.sin(angle), y - height * Math.cos(angle)];
    });
  await drawn(ring(52, 32, 14));
  await drawn(ring(50, 64, 17));
  const eight = await result(page, "score");
  await screenshot(page, "drawn");
  await changed(page, () => page.getByRole("button", { name: "Clear" }).click());
  await changed(page, () =>
    drawn([
      [20, 25],
      [80, 25],
      [45, 85],
    ]),
  );
  const seven = await result(page, "score");
  assert.ok(seven.score > 1.2 * eight.score, `an eight scores ${eight.score}, a seven ${seven.score}`);
  await changed(page, () => page.getByRole("button", { name: "Clear" }).click());
  await changed(page, () => drawn(ring(50, 50, 28, 36)));
  const zero = await result(page, "score");
  assert.deepEqual(
    [eight.verdict, zero.verdict],
    ["normal", "anomalous"],
    `an eight scores ${eight.score}, a zero ${zero.score}`,
  );
  console.log(
    `drawn: eight ${eight.score.toFixed(4)}, zero ${zero.score.toFixed(4)}; ${await page.textContent("#time")}`,
  );
  await end();
});

test("everything works from the keyboard, and is announced", async () => {
  const { page, close: end } = await opened();
  const focused = () =>
    page.evaluate(
      () =>
        document.activeElement.id ||
        document.activeElement.getAttribute("aria-label") ||
        document.activeElement.textContent.trim(),
    );
  const stops = [];
  for (let stop = 0; stop < 6; stop++) {
    await page.keyboard.press("Tab");
    stops.push(await focused());
    if (stops.at(-1) === "Digit 0") {
      await page.keyboard.press("Space");
      await result(page, "score");
      for (let digit = 1; digit <= 8; digit++) await changed(page, () => page.keyboard.press("ArrowRight"));
      assert.equal(await focused(), "Digit 8");
    }
  }
  assert.deepEqual(stops, ["model-file", "clear", "centred", "Digit 0", "alpha", "picture-files"]);
  const [wanted] = score([join(ROOT, "web/samples/8.png")]);
  const found = await result(page, "score");
  close(found.score, wanted.score, "the sample 8");
  assert.equal(found.verdict, wanted.verdict);
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement.closest(".button")).outlineStyle);
  assert.equal(outline, "solid", "focus is visible");
  await end();
});

test("a dropped model takes the place of the one before", async () => {
  const bytes = readFileSync(MODEL);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + length));
  header.__metadata__.normal = JSON.stringify({ dataset: "mnist", class: 3 });
  const { page, close: end } = await opened();
  await drop(page, [{ name: "other.safetensors", bytes: safetensors(header, bytes.subarray(8 + length)) }]);
  await page.getByText("other.safetensors: normal is class 3 of mnist").waitFor();
  await end();
});

test("broken and hostile files are named, with their fault", async () => {
  const bytes = readFileSync(MODEL);
  const tensor = (shape, offsets, dtype = "F32") =>
    safetensors({ t: { dtype, shape, data_offsets: offsets } }, Buffer.alloc(8));
  const length = Number(bytes.readBigUInt64LE(0));
  const { __metadata__: metadata, ...tensors } = JSON.parse(bytes.subarray(8, 8 + length));
  const diverged = Buffer.from(bytes);
  diverged.writeFloatLE(NaN, 8 + length + tensors["encoder1.conv1.bias"].data_offsets[0]);
  const architecture = (changes) =>
    safetensors({
      __metadata__: { ...metadata, architecture: JSON.stringify({ ...JSON.parse(metadata.architecture), ...changes }) },
    });
  const cases = {
    empty: [Buffer.alloc(0), "too short"],
    cut: [bytes.subarray(0, bytes.length - 5), "calls for"],
    "long-header": [Buffer.concat([Buffer.alloc(8, 255), Buffer.alloc(8)]), "a header of 18446744073709551615 bytes"],
    "no-json": [safetensors("{"), "no JSON"],
    deep: [safetensors("[".repeat(200_000)), "no JSON"],
    list: [safetensors("[1]"), "no JSON object"],
    "huge-shape": [tensor([4294967296, 4294967296], [0, 8]), "does not fill"],
    negative: [tensor([-1], [0, 8]), "not described"],
    backwards: [tensor([1], [8, 0]), "not described"],
    hole: [tensor([1], [4, 8]), "starts at byte 4"],
    integers: [tensor([2], [0, 8], "I32"), "holds I32"],
    prototype: [safetensors('{"__proto__": {"dtype": "F32"}, "constructor": 3}'), "not described"],
    foreign: [tensor([2], [0, 8]), "no model of pkdgan"],
    vast: [architecture({ side: 1e9 }), "makes no sense"],
    gap: [architecture({ encoder: [[8, 5, 4, 0]] }), "makes no sense"],
    "not-finite": [diverged, "not finite"],
    "no-tensors": [architecture({}), "no tensor `encoder1.conv1.weight`"],
  };
  const { page, close: end } = await opened();
  for (const [name, [content, fault]] of Object.entries(cases)) {
    await drop(page, [{ name: `${name}.safetensors`, bytes: content }]);
    await page
      .locator("#problems")
      .filter({ hasText: `${name}.safetensors: ` })
      .filter({ hasText: fault })
      .waitFor({ timeout: 10_000 })
      .catch(async () => {
        assert.fail(`${name}: not "${fault}", but "${await page.textContent("#problems")}"`);
      });
  }
  await drop(page, [
    { name: "broken.png", bytes: readFileSync(join(ROOT, "web/samples/8.png")).subarray(0, 60) },
    { name: "8.png", bytes: readFileSync(join(ROOT, "web/samples/8.png")) },
  ]);
  await page.locator("#problems").filter({ hasText: "broken.png: no picture" }).waitFor();
  assert.equal((await rows(page, 1))[0].name, "8.png");
  await screenshot(page, "broken");
  await page.getByLabel("Digit 3").check();
  await result(page, "score");
  await end();
});

test("networks of other shapes score as on the command line", async () => {
  const { page, close: end } = await opened();
  const image = join(folder, "blocks.png");
  writeFileSync(
    image,
    png(
      28,
      28,
      3,
      Uint8Array.from({ length: 2352 }, (_, at) => ((at >> 3) * 7919) & 255),
    ),
  );
  // Windows that overlap, that do not, and that skip pixels; norms with fixed statistics and with each image's own.
  const shapes = {
    overlapping: {
      encoder: [
        [4, 4, 2, 1],
        [6, 4, 2, 1],
        [9, 4, 2, 1],
      ],
      latents: 10,
      statistics: "running",
    },
    "per-image": {
      encoder: [
        [5, 4, 2, 1],
        [7, 3, 1, 1],
        [8, 4, 4, 0],
      ],
      latents: 12,
      statistics: "per-image",
    },
    coloured: {
      channels: 3,
      scaled: 32,
      encoder: [
        [6, 6, 2, 2],
        [7, 2, 2, 0],
      ],
      latents: 7,
      statistics: "per-image",
    },
    skipping: {
      encoder: [
        [4, 2, 3, 0],
        [5, 5, 3, 0],
      ],
      latents: 5,
      statistics: "running",
    },
  };
  for (const [name, shape] of Object.entries(shapes)) {
    const path = join(folder, `${name}.safetensors`);
    writeFileSync(path, modelFile(shape));
    await page.locator("#model-file").setInputFiles(path);
    await page.getByText(`${name}.safetensors: normal is`).waitFor({ timeout: 60_000 });
    await page.locator("#picture-files").setInputFiles(image);
    await page.locator("#announcement").filter({ hasText: "No verdict" }).waitFor({ state: "attached" });
    const found = await page.locator("#score data").getAttribute("value").then(Number);
    close(found, score([image], path)[0].score, name);
    await page.locator("#announcement").evaluate((element) => (element.textContent = ""));
  }
  await end();
});

test("a network that does not fit is refused with its size", async () => {
  const { page, close: end } = await opened();
  // As `pkdgan train` builds teachers for 32 x 32 pixels.
  const encoder = [48, 96, 192].map((channels) => [channels, 4, 2, 1]);
  writeFileSync(join(folder, "teacher.safetensors"), modelFile({ encoder, latents: 48, statistics: "running" }));
  await page.locator("#model-file").setInputFiles(join(folder, "teacher.safetensors"));
  const problem = page.locator("#problems").filter({ hasText: "teacher.safetensors: its activations need" });
  await problem.filter({ hasText: "pkdgan score" }).waitFor();
  // Few weights, and images too large to hand over.
  const wide = { side: 2048, encoder: [[1, 64, 64, 0]], latents: 1, statistics: "running" };
  await drop(page, [{ name: "wide.safetensors", bytes: modelFile(wide) }]);
  await page.locator("#problems").filter({ hasText: "wide.safetensors: its images or weights need" }).waitFor();
  await page.getByText("model.safetensors: normal is class 8").waitFor();
  await end();
});

test("without WebGPU the page says what to do", async () => {
  for (const [name, script] of [
    ["none", () => Object.defineProperty(Navigator.prototype, "gpu", { value: undefined })],
    [
      "no-adapter",
      () => {
        GPU.prototype.requestAdapter = async () => null;
      },
    ],
  ]) {
    const { page, close: end } = await opened({ ready: false, prepare: (page) => page.addInitScript(script) });
    await page.getByRole("heading", { name: "This browser offers no WebGPU" }).waitFor();
    for (const remedy of ["chrome://flags", "Firefox", "Safari", "pkdgan score"])
      await page.getByText(remedy).first().waitFor();
    assert.equal(await page.locator("#work").isVisible(), false);
    await screenshot(page, `unsupported-${name}`);
    await end();
  }
});

test("phone and desktop, light and dark: nothing is cut off", async () => {
  for (const [name, width] of [
    ["phone", 360],
    ["desktop", 1280],
  ]) {
    for (const colorScheme of ["light", "dark"]) {
      const { page, close: end } = await opened({ options: { viewport: { width, height: 800 }, colorScheme } });
      await page.getByLabel(colorScheme === "dark" ? "Digit 8" : "Digit 2").check();
      await result(page, "score");
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, `${name} scrolls sideways`);
      assert.deepEqual(await page.evaluate(poorContrast), []);
      await screenshot(page, `${name}-${colorScheme}`);
      await end();
    }
  }
});

/** Texts whose contrast with their ground is below 4.5 : 1 (WCAG 2.2, 1.4.3). */
function poorContrast() {
  const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [red, green, blue] = channels(colour).map((value) =>
      value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4,
    );
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ground = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return element.parentElement && channels(colour)[3] === 0 ? ground(element.parentElement) : colour;
  };
  const texts = [...document.querySelectorAll("body *")].filter(
    (element) =>
      element.checkVisibility() && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()),
  );
  return texts.flatMap((element) => {
    const [a, b] = [luminance(getComputedStyle(element).color), luminance(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    return contrast < 4.5 ? [`${element.textContent.trim()}: ${contrast.toFixed(2)}`] : [];
  });
}

test("any static server at the root of the source tree does", async () => {
  const { url, close: stop } = await serveFolder(ROOT);
  const { page, close: end } = await opened({ url: `${url}/web/` });
  await page.getByLabel("Digit 5").check();
  await result(page, "score");
  await end();
  await stop();
});
