// Where a score lies among those of normal pictures.

const BINS = 50,
  WIDTH = 400,
  HEIGHT = 64,
  FLOOR = 60;

/** Draws the calibration scores as a histogram, the score as a line, and the threshold of a false-alarm rate if any. */
export function drawScale(figure, { scores, bounds }, score, rate) {
  const most = Math.max(scores.at(-1), score) * 1.05 || 1;
  const x = (value) => (Math.min(value / most, 1) * WIDTH).toFixed(2);
  const bins = new Array(BINS).fill(0);
  for (const value of scores) bins[Math.min(Math.floor((value / most) * BINS), BINS - 1)] += 1;
  const highest = Math.max(...bins);
  const bars = bins.map(
    (count, bin) =>
      `M${(bin * WIDTH) / BINS} ${FLOOR}v${((-count / highest) * (FLOOR - 4)).toFixed(2)}h${WIDTH / BINS - 1}V${FLOOR}z`,
  );
  // The p-value is at most the rate above the bound of this calibration score.
  const place = rate === null ? -1 : scores.length - Math.floor(rate * (scores.length + 1) + 1e-9);
  const lines = [
    ["bars", bars.join("")],
    ["axis", `M0 ${FLOOR}H${WIDTH}`],
    ...(place >= 0 && place < scores.length ? [["threshold", `M${x(bounds[place])} 0V${HEIGHT}`]] : []),
    ["marker", `M${x(score)} 0V${HEIGHT}`],
  ];
  figure.querySelector("svg").replaceChildren(
    ...lines.map(([name, d]) => {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("class", name);
      path.setAttribute("d", d);
      return path;
    }),
  );
  const below = scores.filter((value) => value < score).length;
  figure.querySelector("figcaption").textContent =
    `Scores of ${scores.length} normal pictures (bars), this one's (line), the threshold (dashed). ` +
    `${below} of them score lower.`;
}
