// p-values from the scores of held-out normal images; see src/calibration.rs.

const TIE_RATIO = Math.fround(1.01),
  TIE_STEP = Math.fround(0.005),
  LARGEST = (2 - 2 ** -23) * 2 ** 127;

/** The highest score that counts as equal to a calibration score, in single precision as everywhere. */
export function tieBound(score) {
  return Math.min(Math.max(Math.fround(score * TIE_RATIO), Math.fround(score + TIE_STEP)), LARGEST);
}

/** A rate with two digits that count, rounded up: whoever types it back asks for no less. */
export function roundedUp(rate) {
  const places = Math.min(Math.max(1 - Math.floor(Math.log10(rate)), 0), 17);
  const nearest = rate.toFixed(places);
  return Number(nearest) < rate ? (rate + 10 ** -places).toFixed(places) : nearest;
}

export class Calibration {
  /** Takes finite scores, in any order. */
  constructor(scores) {
    this.scores = Float32Array.from(scores).sort();
    this.bounds = this.scores.map(tieBound);
  }

  /**
   * The share of normal images that score at least as high: (1 + calibration scores at least as high) / (n + 1). Those
   * that count as equal are among them.
   */
  pValue(score) {
    let [low, high] = [0, this.scores.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.bounds[middle] < score) low = middle + 1;
      else high = middle;
    }
    return (1 + this.scores.length - low) / (this.scores.length + 1);
  }

  /** The smallest false-alarm rate that so many scores can promise. */
  leastAlpha() {
    return 1 / (this.scores.length + 1);
  }
}
