// The page: what is dropped, drawn and chosen goes to the model, what comes back is shown.

import { roundedUp } from "./calibration.js";
import { asInMnist, drawing } from "./drawing.js";
import { BATCH, openGpu, Scorer } from "./fused_score.js";
import { parameters, readModel } from "./model.js";
import { readPicture } from "./picture.js";
import { networkInput, networkOutput, pixels } from "./preprocessing.js";
import { drawScale } from "./scale.js";
import { FileError } from "./weights.js";

const element = (id) => document.getElementById(id);
const tableBody = document.querySelector("#table tbody");

/** The model that ships with the page; `pkdgan serve-web --model` puts another in its place. */
const SHIPPED = "model.safetensors";

let gpu, model, scorer;
/** What the result shows: `{ seen, score, reconstruction }`, with the `file`, or the `picture` and `milliseconds`. */
let shown = null;
/** A row for each picture dropped: `{ file, seen, score, reconstruction, element }`. */
let rows = [];

/** Work on the device goes one after the other. */
let last = Promise.resolve();
const inTurn = (work) => (last = last.then(work).catch(report));

function report(error) {
  if (!(error instanceof FileError)) console.error(error);
  const item = document.createElement("li");
  item.textContent = error.message;
  element("problems").firstElementChild.append(item);
  element("problems").hidden = false;
}

function forgetProblems() {
  element("problems").firstElementChild.replaceChildren();
  element("problems").hidden = true;
}

function unsupported(reason) {
  element("unsupported-reason").textContent = reason;
  element("unsupported").hidden = false;
  element("work").hidden = true;
}

async function start() {
  if (!navigator.gpu) {
    return unsupported(
      window.isSecureContext
        ? "It has no interface to the graphics processor."
        : "It offers WebGPU only to pages that come by https or from this machine.",
    );
  }
  gpu = await openGpu();
  if (!gpu) return unsupported("It knows WebGPU, but found no adapter to run it on.");
  gpu.device.lost.then(({ message }) =>
    unsupported(`The graphics device was lost (${message || "no reason given"}). Load the page again.`),
  );
  element("adapter").textContent = `Adapter: ${gpu.name}`;
  element("work").hidden = false;
  addSamples();
  inTurn(async () => {
    const response = await fetch(SHIPPED);
    if (!response.ok) throw new FileError(SHIPPED, `${response.status} ${response.statusText}; choose a model`);
    await use(SHIPPED, await response.blob());
  });
}

/** Puts a model in the place of the one there is, and scores with it what is shown. */
async function use(name, blob) {
  const next = await readModel(name, blob);
  const opened = await Scorer.open(gpu, next);
  scorer?.close();
  [model, scorer] = [next, opened];
  const {
    architecture: { channels, side, latents, statistics },
    preprocessing: { height, width, fit },
    normal,
    calibration,
  } = model;
  const trained =
    normal.dataset === "images" ? "what its training pictures show" : `class ${normal.class} of ${normal.dataset}`;
  element("model-text").textContent =
    `${name}: normal is ${trained}; ${parameters(model).toLocaleString("en")} parameters; ` +
    `pictures of ${width} x ${height} ${channels === 1 ? "grey" : "coloured"} pixels ` +
    `(others: ${fit}) in ${side} x ${side}; ${latents} latents; norms ${statistics}; ` +
    (calibration
      ? `calibrated with ${calibration.scores.length} normal pictures.`
      : "not calibrated, so that scores have no p-value and no verdict.");
  element("centred-label").hidden = normal.dataset !== "mnist" || width !== 28 || height !== 28;
  for (const id of ["seen", "made", "difference"]) Object.assign(element(id), { width, height });
  if (shown) await scorePicture(shown.picture ?? (await readPicture(gpu.device, shown.file)), true, shown.file);
  showVerdicts();
  const files = rows.map(({ file }) => file);
  if (files.length) await scoreFiles(files);
}

/** Scores a picture: what is drawn, or that of a file. */
async function scorePicture(picture, announced, file) {
  if (!scorer) return;
  const seen = pixels(model.preprocessing, picture);
  const {
    scores: [score],
    reconstructions: [reconstruction],
    milliseconds,
  } = await scorer.score([networkInput(model.preprocessing, seen)]);
  shown = { picture, file, seen, score, reconstruction, milliseconds };
  showResult(announced);
}

/** Scores picture files in batches, and lists them. */
async function scoreFiles(files) {
  if (!scorer) throw new FileError(files[0].name, "there is no model to score it with; choose one");
  rows = [];
  tableBody.replaceChildren();
  element("table").hidden = false;
  element("by-score").ariaSort = "none";
  let [milliseconds, failed] = [0, 0];
  for (let first = 0; first < files.length; first += BATCH) {
    const batch = [];
    for (const file of files.slice(first, first + BATCH)) {
      try {
        batch.push({ file, seen: pixels(model.preprocessing, await readPicture(gpu.device, file)) });
      } catch (error) {
        failed += 1;
        report(error);
      }
    }
    const result = await scorer.score(batch.map(({ seen }) => networkInput(model.preprocessing, seen)));
    milliseconds += result.milliseconds;
    batch.forEach((row, index) => {
      Object.assign(row, { score: result.scores[index], reconstruction: result.reconstructions[index] });
      row.element = listed(row);
      tableBody.append(row.element);
    });
    rows.push(...batch);
    element("progress").textContent = `Scored ${rows.length} of ${files.length}.`;
  }
  showVerdicts();
  const anomalous = rows.filter(({ score }) => verdict(score) === "anomalous").length;
  element("progress").textContent =
    `Scored ${rows.length} of ${files.length} pictures${failed ? `, ${failed} could not be read` : ""}; ` +
    `${anomalous} anomalous; ${(milliseconds / Math.max(rows.length, 1)).toFixed(2)} ms a picture.`;
  if (rows.length === 1) showRow(rows[0]);
}

function listed(row) {
  const line = document.createElement("tr");
  const canvas = document.createElement("canvas");
  canvas.ariaHidden = "true";
  Object.assign(canvas, { width: model.preprocessing.width, height: model.preprocessing.height });
  paint(canvas, row.seen);
  const name = document.createElement("button");
  Object.assign(name, { type: "button", textContent: row.file.name, title: "Show above" });
  name.addEventListener("click", () => showRow(row));
  const cells = [canvas, name, figure(row.score, row.score.toFixed(4)), "", ""].map((content) => {
    const cell = document.createElement("td");
    cell.append(content);
    return cell;
  });
  line.append(...cells);
  return line;
}

function showRow({ seen, score, reconstruction, file }) {
  shown = { file, seen, score, reconstruction };
  showResult(true);
  element("result").scrollIntoView({ block: "nearest" });
}

function figure(value, text) {
  const data = document.createElement("data");
  Object.assign(data, { value: String(value), textContent: text });
  return data;
}

/** `normal`, `anomalous`, or null where there is nothing to go by. */
function verdict(score) {
  const rate = element("alpha").valueAsNumber;
  if (!model?.calibration || !(rate > 0 && rate < 1) || rate < model.calibration.leastAlpha()) return null;
  return model.calibration.pValue(score) <= rate ? "anomalous" : "normal";
}

function showResult(announced) {
  const { seen, score, reconstruction, milliseconds, file } = shown;
  const made = networkOutput(model.preprocessing, reconstruction);
  paint(element("seen"), seen);
  paint(element("made"), made);
  paint(
    element("difference"),
    seen.map((value, at) => Math.abs(value - made[at])),
  );
  element("score").replaceChildren(figure(score, score.toFixed(4)));
  element("time").textContent = milliseconds === undefined ? "–" : `${milliseconds.toFixed(1)} ms`;
  showVerdicts();
  if (announced) {
    const pValue = model.calibration ? `, p-value ${model.calibration.pValue(score).toFixed(4)}` : "";
    element("announcement").textContent =
      `${file ? `${file.name}: ` : ""}score ${score.toFixed(4)}${pValue}. ${element("verdict").textContent}`;
  }
}

const WORDS = { normal: "✓ Normal: it belongs", anomalous: "✗ Anomalous: it does not belong", none: "No verdict" };

/** Verdicts and p-values of what is shown and listed, after the rate or the scores changed. */
function showVerdicts() {
  const { calibration } = model ?? {};
  const rate = element("alpha").valueAsNumber;
  const least = calibration?.leastAlpha();
  element("alpha-hint").textContent = !calibration
    ? "The model is not calibrated: no verdicts."
    : !(rate > 0 && rate < 1)
      ? "Choose a rate above 0 and below 1, such as 0.01."
      : rate < least
        ? `With ${calibration.scores.length} scores nothing can be called anomalous below ${roundedUp(least)}.`
        : `Anomalous is a p-value of at most ${rate}: of normal pictures no more than that share is expected there.`;
  const pValue = (score) =>
    calibration ? figure(calibration.pValue(score), calibration.pValue(score).toFixed(4)) : "–";
  for (const { score, element: line } of rows) {
    const found = verdict(score);
    line.cells[3].replaceChildren(pValue(score));
    line.cells[4].textContent = found ?? "–";
    line.cells[4].dataset.verdict = found ?? "none";
  }
  if (shown) {
    const found = verdict(shown.score) ?? "none";
    element("verdict").textContent = WORDS[found];
    element("verdict").dataset.verdict = found;
    element("p-value").replaceChildren(pValue(shown.score));
  }
  element("scale").hidden = !calibration || !shown;
  if (calibration && shown)
    drawScale(element("scale"), calibration, shown.score, rate >= least && rate < 1 ? rate : null);
}

/** Paints planes of pixels. */
function paint(canvas, planes) {
  const area = canvas.width * canvas.height;
  const image = new ImageData(canvas.width, canvas.height);
  for (let at = 0; at < area; at++) {
    for (let channel = 0; channel < 3; channel++)
      image.data[4 * at + channel] = planes[(channel * area + at) % planes.length];
    image.data[4 * at + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// Drawing: the newest state is scored, however many strokes came while the device was busy.
let waiting = null;
const area = drawing(element("drawing"), drawn);

function drawn(finished) {
  for (const radio of document.querySelectorAll("#samples :checked")) radio.checked = false;
  const queued = waiting !== null;
  waiting = finished || waiting === true;
  if (queued) return;
  inTurn(async () => {
    const announced = waiting;
    waiting = null;
    const picture = area.picture();
    const centred = element("centred").checked && !element("centred-label").hidden;
    await scorePicture(centred ? asInMnist(picture) : picture, announced);
  });
}

element("clear").addEventListener("click", () => {
  area.clear();
  drawn(true);
});
element("centred").addEventListener("change", () => drawn(true));

function addSamples() {
  for (let digit = 0; digit < 10; digit++) {
    const [label, radio, image] = ["label", "input", "img"].map((name) => document.createElement(name));
    Object.assign(radio, { type: "radio", name: "sample", value: digit, ariaLabel: `Digit ${digit}` });
    Object.assign(image, { src: `samples/${digit}.png`, alt: "", width: 28, height: 28 });
    radio.addEventListener("change", () =>
      inTurn(async () => {
        const blob = await (await fetch(image.src)).blob();
        const picture = await readPicture(gpu.device, new File([blob], `${digit}.png`));
        area.show(image);
        await scorePicture(picture, true);
      }),
    );
    label.append(radio, image);
    element("samples").append(label);
  }
}

element("alpha").addEventListener("input", showVerdicts);

document.querySelector("#by-score button").addEventListener("click", () => {
  element("by-score").ariaSort = "descending";
  tableBody.append(...rows.toSorted((a, b) => b.score - a.score).map(({ element }) => element));
});

/** Files from wherever: a model is used, pictures are scored. */
function take(files) {
  forgetProblems();
  const models = files.filter(({ name }) => name.endsWith(".safetensors"));
  const pictures = files.filter(({ name }) => !name.endsWith(".safetensors"));
  if (models.length) inTurn(() => use(models.at(-1).name, models.at(-1)));
  if (pictures.length) inTurn(() => scoreFiles(pictures));
}

for (const id of ["model-file", "picture-files"]) {
  element(id).addEventListener("change", ({ target }) => {
    take([...target.files]);
    // The same file may be chosen again.
    target.value = "";
  });
}

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  if (gpu) take([...event.dataTransfer.files]);
});

start().catch(report);
