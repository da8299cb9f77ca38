// The fleet page: rows keyed by device, replaced only where something changed.

import { energy, latency, model, power, presence, rate, spark, totalItem } from "./cells.js";
import { el, figure, update } from "./dom.js";
import { count } from "./format.js";
import { follow } from "./live.js";

const TRACE_SPAN_MS = 300_000;
const TRACE_REDRAW_MS = 5_000;
const LABELS = ["Device", "Model", "Power", "Last 5 min", "Energy per inference", "Latency p50 p95 p99", "Rate"];
const table = document.getElementById("fleet");
const body = table.querySelector("tbody");
const rows = new Map();
const nodes = new Map();

follow("/stream", (frame) => {
  if (frame.extent === "whole") rows.clear();
  for (const row of frame.rows) rows.set(row.card.device_id, row);
  for (const id of frame.gone) rows.delete(id);
  draw(frame);
});

function draw(frame) {
  const ids = [...rows.keys()].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  for (const [id, node] of nodes) {
    if (!rows.has(id)) {
      node.remove();
      nodes.delete(id);
    }
  }
  ids.forEach((id, i) => {
    const node = nodes.get(id) ?? newRow(id);
    if (body.children[i] !== node) body.insertBefore(node, body.children[i] ?? null);
    fillRow(node, rows.get(id), frame.at_unix_ms);
  });
  table.hidden = ids.length === 0;
  document.getElementById("empty").hidden = ids.length !== 0;
  update(document.getElementById("totals"), frame.totals, totals);
  const { online, devices } = frame.totals;
  document.title = devices ? `${online}/${devices} on line · green-edge` : "Fleet · green-edge";
}

function newRow(id) {
  const cells = LABELS.map((label, i) => el(i ? "td" : "th", {
    role: i ? "cell" : "rowheader", scope: i ? undefined : "row", "data-label": label }));
  const node = el("tr", { role: "row", id: `device-${id}` }, cells);
  nodes.set(id, node);
  return node;
}

function fillRow(node, { card, trace }, now) {
  node.dataset.online = String(card.online);
  const [device, kind, watts, lately, joules, times, pace] = node.children;
  update(device, { card: named(card), tick: agesTick(card, now) }, () => [
    el("a", { class: "name", href: `/device/${encodeURIComponent(card.device_id)}` }, card.device_id),
    presence(card, now),
    card.board ? el("span", { class: "second" }, card.board) : null,
    card.problems.length ? el("ul", { class: "problems" },
      card.problems.map((text) => el("li", {}, text))) : null,
  ]);
  update(kind, [card.model, card.model_version, card.update, card.reason], () => model(card));
  update(watts, [card.energy, card.no_energy], () => power(card));
  update(lately, [trace, Math.floor(now / TRACE_REDRAW_MS)], () => spark(trace, now, TRACE_SPAN_MS));
  update(joules, [card.energy, card.no_energy], () => energy(card));
  update(times, [card.p50_us, card.p95_us, card.p99_us], () => latency(card));
  update(pace, [card.rate_hz, card.errors], () => rate(card));
}

// The age in a row need not count seconds once it is over a minute.
function agesTick(card, now) {
  if (card.since_unix_ms === undefined) return 0;
  const seconds = Math.floor((now - card.since_unix_ms) / 1000);
  return seconds < 60 ? seconds : Math.floor(seconds / 60) * 60;
}

const named = ({ device_id, online, since_unix_ms, board, problems }) =>
  ({ device_id, online, since_unix_ms, board, problems });

function totals(sum) {
  const items = [
    totalItem("on line", el("span", { class: "number" }, count(sum.online)),
      el("span", { class: "unit" }, ` of ${count(sum.devices)}`)),
    totalItem("inferences", figure("rate", sum.rate_hz)),
    ...sum.power.map((part) => totalItem(
      part.kind === part.boundary ? `power · ${part.kind}` : `power · ${part.boundary}, ${part.kind}`,
      figure("power", { value: part.power_uw }, { modelled: part.kind === "modelled" }),
      el("span", { class: "of" }, ` ${count(part.devices)} device${part.devices === 1 ? "" : "s"}`))),
  ];
  if (sum.problems) {
    items.push(totalItem("with problems", el("span", { class: "number bad" }, count(sum.problems))));
  }
  return items;
}
