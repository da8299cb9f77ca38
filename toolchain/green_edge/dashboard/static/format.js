// Numbers for people: three significant digits (two where nothing was measured), the unit apart.
// Pure functions; what is not known is shown as an en dash by dom.js, never as 0.

const SCALES = {
  power: [[1e6, "W"], [1e3, "mW"], [0, "µW"]],
  energy: [[1e6, "J"], [1e3, "mJ"], [0, "µJ"]],
  duration: [[1e6, "s"], [1e3, "ms"], [0, "µs"]],
  rate: [[0, "/s"]],
};

export function digits(value, significant = 3) {
  if (value === 0) return "0";
  const rounded = Number(value.toPrecision(significant));
  const whole = Math.floor(Math.log10(Math.abs(rounded))) + 1;
  const decimals = Math.max(0, significant - whole);
  const fixed = rounded.toFixed(Math.min(decimals, 6));
  return fixed.replace(/\B(?=(\d{3})+(?!\d))(?<!\.\d*)/g, "\u202f");
}

// Unit for a value of a quantity whose base unit is micro (power, energy, duration) or /s (rate).
// The value is rounded before the unit is chosen, so that 999.96 mJ reads 1.00 J.
export function parts(quantity, value, significant = 3) {
  const rounded = value === 0 ? 0 : Number(value.toPrecision(significant));
  const scale = SCALES[quantity].find(([from]) => Math.abs(rounded) >= from) ?? SCALES[quantity].at(-1);
  const [from, unit] = scale;
  return { number: digits(rounded / (from || 1), significant), unit };
}

// A factor and unit that suit a whole axis whose greatest value is `most`.
export function axisUnit(quantity, most) {
  const [from, unit] = SCALES[quantity].find(([least]) => most >= least) ?? SCALES[quantity].at(-1);
  return { divisor: from || 1, unit };
}

export function percent(ratio) {
  return `${digits(ratio * 100, 2)}\u202f%`;
}

export function count(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

const AGES = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "min"], [1_000, "s"]];

export function age(ms) {
  const [span, unit] = AGES.find(([least]) => ms >= least) ?? [1_000, "s"];
  return `${Math.max(0, Math.floor(ms / span))}\u202f${unit}`;
}

const two = (value) => String(value).padStart(2, "0");

// Wall time of the reader's clock; the date stands before it when it is not today's.
export function moment(unixMs, nowUnixMs) {
  const at = new Date(unixMs);
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  const sameDay = at.toDateString() === new Date(nowUnixMs).toDateString();
  return sameDay ? clock : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock}`;
}

export function bytes(value) {
  const [from, unit] = [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]
    .find(([least]) => value >= least) ?? [1, "B"];
  return `${digits(value / from)}\u202f${unit}`;
}
