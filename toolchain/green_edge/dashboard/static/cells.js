// The figures of one device, built the same way for a row of the fleet and for its own page.

import { el, figure, svg, unknown } from "./dom.js";
import { age, count, digits, moment, parts, percent } from "./format.js";

export const isModelled = (cell) => cell.kind === "modelled";

export function presence(card, now) {
  const word = card.online ? "on line" : "off line";
  const since = card.since_unix_ms;
  const text = since === undefined ? word : `${word} since ${moment(since, now)}`;
  const span = since === undefined ? "" : ` · ${age(now - since)}`;
  const title = card.last_seen_unix_ms ? `last heard of at ${moment(card.last_seen_unix_ms, now)}` : undefined;
  return el("span", { class: "presence", "data-online": String(card.online), title },
    el("i", { "aria-hidden": "true" }), text, el("span", { class: "quiet" }, span));
}

export function model(card) {
  const lines = [card.model
    ? el("span", {}, card.model, " ", el("span", { class: "version" }, `v${card.model_version}`))
    : unknown("no model is active on the device")];
  if (card.update && card.update !== "active" && card.update !== "idle") {
    lines.push(el("span", { class: "note", "data-bad": String(["refused", "failed"].includes(card.update)) },
      card.reason ? `${card.update}: ${card.reason}` : card.update));
  }
  return lines;
}

// Flags that qualify a figure without spoiling it; all others are a fault of the metering.
const CAVEATS = new Set(["assumed-board", "net-partial"]);

export function pedigree(cell) {
  const sure = cell.u_ratio === undefined ? "" : ` ±${percent(cell.u_ratio)}`;
  const what = cell.kind === cell.boundary ? cell.kind : `${cell.boundary} · ${cell.kind}`;
  return el("span", { class: "pedigree", "data-kind": cell.kind, title: cell.meter }, what, sure,
    cell.flags.map((flag) => [" ", el("span", { "data-bad": String(!CAVEATS.has(flag)) }, `· ${flag}`)]));
}

const perMeter = (card, build) => card.energy.length
  ? card.energy.map((cell) => el("div", { class: "meter" }, build(cell)))
  : unknown(card.no_energy ?? "no figure yet");

export function power(card) {
  return perMeter(card, (cell) => [
    figure("power", cell.power_uw, { modelled: isModelled(cell) }), pedigree(cell)]);
}

export function energy(card) {
  return perMeter(card, (cell) => {
    const sure = cell.u_ratio === undefined || cell.gross_uj.value === undefined
      ? null : el("span", { class: "sure" }, `\u202f±${percent(cell.u_ratio)}`);
    return [
      el("span", { class: "lead" }, figure("energy", cell.gross_uj, { modelled: isModelled(cell) }), sure),
      el("span", { class: "second" }, "net ", figure("energy", cell.net_uj, { modelled: isModelled(cell) })),
    ];
  });
}

// Three quantiles in one unit, that of the greatest, so that they compare at a glance.
export function latency(card) {
  const known = [card.p50_us, card.p95_us, card.p99_us];
  if (known.some((reading) => reading.value === undefined)) return unknown(known[0].why ?? known[2].why);
  const { unit } = parts("duration", known[2].value);
  const divisor = { s: 1e6, ms: 1e3, "µs": 1 }[unit];
  const names = ["p50", "p95", "p99"];
  return el("span", { class: "quantiles" },
    known.map((reading, i) => el("span", { class: "figure", title: names[i] },
      el("span", { class: "unseen" }, `${names[i]} `),
      el("span", { class: "number" }, digits(reading.value / divisor)))),
    el("span", { class: "unit" }, unit));
}

export function rate(card) {
  const errors = card.errors.value;
  const note = errors === undefined ? null : el("span",
    { class: "second", "data-bad": String(errors > 0) },
    errors === 0 ? "no errors" : `${count(errors)} error${errors === 1 ? "" : "s"}`);
  return [figure("rate", card.rate_hz), note];
}

const WIDTH = 150;
const HEIGHT = 36;
const GAP_MS = 30_000;

// Power of the last minutes as a small line above zero; a pause is a gap, not a slope.
export function spark(trace, now, spanMs) {
  if (trace === undefined) return unknown("no power in the last five minutes");
  const most = Math.max(...trace.power_mw, 1);
  const runs = [];
  let before = -Infinity;
  trace.after_ms.forEach((after, i) => {
    const at = trace.start_unix_ms + after;
    const x = WIDTH * (1 - (now - at) / spanMs);
    if (x < 0) return;
    if (at - before > GAP_MS) runs.push([]);
    runs.at(-1).push([x, HEIGHT - 1 - (HEIGHT - 4) * (trace.power_mw[i] / most)]);
    before = at;
  });
  const line = (run) => run.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
  const area = (run) => `M${run[0][0].toFixed(1)} ${HEIGHT}L${line(run)}L${run.at(-1)[0].toFixed(1)} ${HEIGHT}Z`;
  const box = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none" };
  return svg("svg", { class: "spark", ...box, "aria-hidden": "true" },
    svg("path", { class: "area", d: runs.map(area).join("") }),
    svg("path", { class: "line", d: runs.map((run) => `M${line(run)}`).join("") }),
    svg("path", { class: "floor", d: `M0 ${HEIGHT - 0.5}H${WIDTH}` }));
}

export function totalItem(label, ...content) {
  return el("div", {}, el("dt", {}, label), el("dd", {}, ...content));
}
