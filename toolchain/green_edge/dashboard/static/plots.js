// Curves over time: power, energy per inference, latency; one line a meter, never joined.

import { el, replace } from "./dom.js";
import { axisUnit, moment, parts } from "./format.js";

const HEIGHT = 150;
const AXIS_WIDTH = 52;
const TICK_HALF_WIDTH = 22;
// Steps without a window after which the line breaks.
const PAUSE_STEPS = 3;
const PAUSE_MS = 15_000;
const SYNC = "green-edge";

// Sources of the points, in order of first sight: `hwmon:ina226` by `mean` is one, by `point` another.
export function sources(points) {
  const known = new Map();
  for (const { meter, kind, boundary } of points) {
    if (meter !== undefined) known.set(`${meter}|${kind}`, { meter, kind, boundary });
  }
  return [...known.values()];
}

// Columns for one value a point, with an empty row where the device paused; time in seconds.
export function columns(points, pauseMs, ...picks) {
  const rows = [];
  let before;
  for (const point of points) {
    if (before !== undefined && point.t_unix_ms - before > pauseMs) {
      rows.push([(before + 1) / 1000, ...picks.map(() => null)]);
    }
    rows.push([point.t_unix_ms / 1000, ...picks.map((pick) => pick(point) ?? null)]);
    before = point.t_unix_ms;
  }
  return [0, ...picks.map((_, i) => i + 1)].map((i) => rows.map((row) => row[i]));
}

const ofSource = (source, key) => (point) =>
  point.meter === source.meter && point.kind === source.kind ? point[key] : undefined;

function curves(points) {
  const meters = sources(points);
  const metered = (key) => meters.map((source) => ({
    label: source.kind === source.boundary ? source.kind : `${source.boundary}, ${source.kind}`,
    title: source.meter, modelled: source.kind === "modelled", pick: ofSource(source, key),
  }));
  return [
    { name: "Power", quantity: "power", lines: metered("power_uw") },
    { name: "Energy per inference, gross", quantity: "energy", lines: metered("energy_uj_per_inference") },
    { name: "Latency", quantity: "duration", lines: [
      { label: "p50", pick: (point) => point.p50_us },
      { label: "p95", pick: (point) => point.p95_us },
    ] },
  ];
}

export class Plots {
  constructor(root) {
    this.root = root;
    this.shown = [];
    this.history = undefined;
    new ResizeObserver(() => this.resize()).observe(root);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.shown = [];
      if (this.history) this.draw(this.history);
    });
  }

  draw(history) {
    this.history = history;
    const pauseMs = Math.max(PAUSE_MS, PAUSE_STEPS * history.step_ms);
    const list = curves(history.points);
    list.forEach((curve, i) => {
      const data = columns(history.points, pauseMs, ...curve.lines.map((line) => line.pick));
      const layout = JSON.stringify([curve.name, ...curve.lines.map((line) => [line.label, line.title])]);
      if (this.shown[i]?.layout !== layout) this.make(i, curve, layout);
      this.shown[i].set(data, history, curve);
    });
  }

  make(i, curve, layout) {
    const figureNode = el("figure", { class: "plot", id: `plot-${curve.quantity}` });
    const old = this.root.children[i];
    if (old) old.replaceWith(figureNode);
    else this.root.append(figureNode);
    this.shown[i] = new Shown(figureNode, curve, layout, this.root.clientWidth);
  }

  resize() {
    for (const shown of this.shown) shown.plot.setSize({ width: this.root.clientWidth, height: HEIGHT });
  }
}

class Shown {
  constructor(node, curve, layout, width) {
    this.layout = layout;
    this.curve = curve;
    this.range = [0, 1];
    this.unit = axisUnit(curve.quantity, 1);
    this.values = curve.lines.map(() => el("output", { "aria-live": "off" }));
    this.scale = el("span", { class: "unit" });
    this.caption = el("figcaption", {}, el("span", { class: "strong" }, curve.name, " ", this.scale),
      curve.lines.map((line, i) => el("span", { class: "key", title: line.title, "data-line": i },
        el("i", { "aria-hidden": "true", "data-modelled": String(Boolean(line.modelled)) }),
        line.label, " ", this.values[i])));
    this.blank = el("p", { class: "blank" }, "No window in this range tells it.");
    node.append(this.caption, this.blank);
    this.plot = new uPlot(this.options(width), [[], ...curve.lines.map(() => [])], node);
  }

  options(width) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = {
      stroke: colour("--quiet"), font: "12px system-ui, sans-serif",
      grid: { stroke: colour("--hair"), width: 1 }, ticks: { show: false },
    };
    return {
      width, height: HEIGHT, legend: { show: false },
      padding: [10, 8, 0, 0],
      cursor: { sync: { key: SYNC }, y: false, drag: { x: false, y: false }, points: { size: 7 } },
      hooks: { setCursor: [(plot) => this.tell(plot.cursor.idx)] },
      scales: {
        x: { time: true, range: () => this.range },
        y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.15 : 1] },
      },
      axes: [
        { ...axis, size: 28, gap: 6, space: (plot) => (plot.width < 600 ? 52 : 96),
          values: (plot, ticks) => clocks(ticks, plot) },
        { ...axis, size: AXIS_WIDTH, space: 28,
          values: (_plot, ticks) => alike(ticks, this.unit.divisor) },
      ],
      series: [{}, ...this.curve.lines.map((line, i) => ({
        stroke: colour(i === 0 ? "--green" : "--quiet"),
        fill: i === 0 && this.curve.quantity === "power" ? colour("--wash") : undefined,
        width: 1.75, dash: line.modelled ? [5, 4] : undefined,
        points: { show: (plot) => plot.data[0].length < 3 },
      }))],
    };
  }

  set(data, history, curve) {
    this.curve = curve;
    this.range = [history.since_unix_ms / 1000, history.until_unix_ms / 1000];
    const values = data.slice(1).flat().filter((value) => value !== null);
    this.unit = axisUnit(curve.quantity, Math.max(0, ...values));
    this.scale.textContent = values.length ? this.unit.unit : "";
    this.blank.hidden = values.length > 0;
    this.plot.root.hidden = values.length === 0;
    this.plot.setData(data);
    this.tell(this.plot.cursor.idx);
  }

  // The value under the pointer, else the newest.
  tell(index) {
    const { data } = this.plot ?? {};
    if (!data) return;
    this.curve.lines.forEach((line, i) => {
      const column = data[i + 1] ?? [];
      const value = index === null || index === undefined ? column.findLast((v) => v !== null) : column[index];
      const shown = value === null || value === undefined ? "–" : text(this.curve.quantity, value, line.modelled);
      if (this.values[i].textContent !== shown) this.values[i].textContent = shown;
    });
  }
}

function text(quantity, value, modelled) {
  const { number, unit } = parts(quantity, value, modelled ? 2 : 3);
  return `${modelled ? "~" : ""}${number}\u202f${unit}`;
}

// Labels of a value axis with as many decimals as the finest of them needs.
function alike(ticks, divisor) {
  const values = ticks.map((value) => Number((value / divisor).toPrecision(4)));
  const decimals = Math.max(...values.map((value) => (String(value).split(".")[1] ?? "").length));
  return values.map((value) => (value === 0 ? "0" : value.toFixed(decimals)));
}

// Labels of the time axis; none where half of it would be cut off at the right edge.
function clocks(ticks, plot) {
  const last = plot.bbox.width / uPlot.pxRatio - TICK_HALF_WIDTH;
  const fine = ticks.some((seconds) => seconds % 60 !== 0);
  return ticks.map((seconds) => (plot.valToPos(seconds, "x") > last ? ""
    : new Date(seconds * 1000).toTimeString().slice(0, fine ? 8 : 5)));
}

const COLUMNS = [
  ["Power", "power", "power_uw", true], ["Energy per inference, gross", "energy", "energy_uj_per_inference", true],
  ["p50", "duration", "p50_us", false], ["p95", "duration", "p95_us", false],
];
const TABLE_ROWS = 60;

export function numbersTable(history) {
  const newest = history.points.slice(-TABLE_ROWS).reverse();
  const table = el("table", { class: "plain numbers" },
    el("caption", { class: "unseen" }, "The newest points of the curves, newest first"),
    el("thead", {}, el("tr", {}, ["When", ...COLUMNS.map(([head]) => head), "Inferences", "Meter"]
      .map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, newest.map((point) => el("tr", {},
      el("th", { scope: "row" }, moment(point.t_unix_ms, history.until_unix_ms)),
      COLUMNS.map(([, quantity, key, metered]) => el("td", {}, point[key] === undefined
        ? "–" : text(quantity, point[key], metered && point.kind === "modelled"))),
      el("td", {}, String(point.inferences)),
      el("td", {}, point.meter ? `${point.meter}, ${point.kind}` : "–")))));
  const wrap = el("div");
  replace(wrap, table);
  return wrap;
}
