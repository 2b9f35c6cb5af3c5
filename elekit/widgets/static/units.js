// Losses in words: in prices of a typical edit, or as they are where that price is not known.

const NOISE = 5e-7; // smaller losses are rounding errors

/**
 * Two significant digits and all digits before the point, as `elekit.evaluation.formatting.significant`.
 * @param {number} value
 */
function significant(value) {
  const size = Math.abs(value);
  if (size < NOISE) return "0";
  const digits = 1 - Math.floor(Math.log10(Number(size.toPrecision(2))));
  return value.toFixed(Math.max(0, digits));
}

/**
 * @param {number} loss
 * @param {number} unit price of a typical edit; 0 = not known
 */
const inUnits = (loss, unit) => significant(unit && Math.abs(loss) > NOISE ? loss / unit : loss);

/**
 * @param {number} loss
 * @param {number} unit
 */
const lossWords = (loss, unit) => (unit ? `${inUnits(loss, unit)} edits` : `loss ${significant(loss)}`);

/** @param {number} loss */
const rawLoss = (loss) => `loss ${loss.toPrecision(4)}`;

/**
 * @param {number} value
 * @param {number} unit
 */
const signedUnits = (value, unit) => {
  const words = inUnits(Math.abs(value), unit);
  return (words === "0" ? "" : value > 0 ? "+" : "−") + words;
};

export { inUnits, lossWords, rawLoss, signedUnits, significant };
