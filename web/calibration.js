// p-values from the scores of held-out normal images; see src/calibration.rs.

export class Calibration {
  /** Takes finite scores, in any order. */
  constructor(scores) {
    this.scores = Float32Array.from(scores).sort();
  }

  /** The share of normal images that score at least as high: (1 + calibration scores at least as high) / (n + 1). */
  pValue(score) {
    let [low, high] = [0, this.scores.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.scores[middle] < score) low = middle + 1;
      else high = middle;
    }
    return (1 + this.scores.length - low) / (this.scores.length + 1);
  }

  /** The smallest false-alarm rate that so many scores can promise. */
  leastAlpha() {
    return 1 / (this.scores.length + 1);
  }
}
