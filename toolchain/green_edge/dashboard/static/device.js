// The page of one device: figures and tables from its stream, curves from its history.

import { energy, latency, model, power, presence, rate, totalItem } from "./cells.js";
import { el, replace, unknown, update } from "./dom.js";
import { count, moment, percent } from "./format.js";
import { follow } from "./live.js";
import { numbersTable, Plots } from "./plots.js";

const id = decodeURIComponent(location.pathname.split("/").pop());
const byId = (name) => document.getElementById(name);
const plots = new Plots(byId("plots"));
const wanted = { spanMs: 300_000, busy: false, drawnFor: undefined, drawnAt: 0, stepMs: 0 };

document.title = `${id} · green-edge`;
byId("name").textContent = id;

follow(`/stream/${encodeURIComponent(id)}`, (frame) => {
  draw(frame);
  // A new curve when telemetry came, but no oftener than its steps; and as time moves on, anyway.
  const now = frame.at_unix_ms;
  const moved = now - wanted.drawnAt >= Math.max(wanted.stepMs, 1000);
  const news = frame.card.last_seen_unix_ms !== wanted.drawnFor || now - wanted.drawnAt >= 10_000;
  if (moved && news) history(now, frame.card.last_seen_unix_ms);
});

for (const button of byId("ranges").querySelectorAll("button")) {
  button.addEventListener("click", () => {
    wanted.spanMs = Number(button.dataset.spanMs);
    for (const other of byId("ranges").querySelectorAll("button")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    byId("plots").setAttribute("aria-busy", "true");
    history(wanted.hostNow ?? Date.now(), wanted.drawnFor);
  });
}

byId("numbers").addEventListener("toggle", () => showNumbers());

async function history(now, seen) {
  const spanMs = wanted.spanMs;
  if (wanted.busy) return;
  wanted.busy = true;
  try {
    const reply = await fetch(`/api/device/${encodeURIComponent(id)}?since=${now - spanMs}`);
    if (!reply.ok) return;
    const { history: curve } = await reply.json();
    Object.assign(wanted, { drawnFor: seen, drawnAt: now, stepMs: curve.step_ms, curve });
    plots.draw(curve);
    if (spanMs === wanted.spanMs) byId("plots").setAttribute("aria-busy", "false");
    showNumbers();
  } catch (error) {
    // The host is away; the stream says so on the page and the next frame asks again.
    if (!(error instanceof TypeError)) throw error;
  } finally {
    wanted.busy = false;
  }
  if (spanMs !== wanted.spanMs) history(now, seen);
}

function showNumbers() {
  const details = byId("numbers");
  if (details.open && wanted.curve) {
    replace(details.querySelector(".scroll"), numbersTable(wanted.curve));
  }
}

function draw(frame) {
  const { card } = frame;
  const now = frame.at_unix_ms;
  wanted.hostNow = now;
  document.body.dataset.online = String(card.online);
  replace(byId("presence"), presence(card, now));
  update(byId("board"), [card.board, card.site, frame.runtime, frame.agent_version, frame.groups], () => [
    [card.board, frame.runtime, frame.agent_version && `agent ${frame.agent_version}`,
      `site ${card.site}`, frame.groups.length && `groups ${frame.groups.join(", ")}`]
      .filter(Boolean).join(" · ")]);
  update(byId("problems"), card.problems, (problems) => problems.map((text) => el("li", {}, text)));
  update(byId("now"), figuresOf(card), () => [
    totalItem("power", power(card)),
    totalItem("energy per inference", energy(card)),
    totalItem("latency p50 p95 p99", latency(card)),
    totalItem("inferences", rate(card)),
    totalItem("model", model(card)),
  ]);
  update(byId("slots"), [frame.slots, frame.desired_sha256, frame.reported_sha256], () => slots(frame));
  update(byId("meters"), frame.meters, meters);
  update(byId("events"), frame.events, (events) => eventList(events, now));
}

const figuresOf = ({ last_seen_unix_ms, since_unix_ms, ...figures }) => figures;

function grid(caption, heads, lines) {
  return el("div", { class: "scroll" }, el("table", { class: "plain" },
    el("caption", { class: "unseen" }, caption),
    el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, lines.map((cells) => el("tr", {}, cells.map((cell) => el("td", {}, cell)))))));
}

const digest = (sha256) => sha256
  ? el("code", { title: sha256 }, sha256.slice(0, 12)) : unknown("the slot holds no bundle");

function slots(frame) {
  if (!frame.slots.length) return el("p", { class: "quiet" }, "The device has not told of its slots.");
  const lines = frame.slots.map((slot) => [
    slot.slot.toUpperCase(),
    el("span", { class: "state", "data-state": slot.state }, slot.state),
    slot.model ? `${slot.model} v${slot.model_version}` : unknown("the slot holds no model"),
    digest(slot.sha256),
  ]);
  const behind = frame.desired_sha256 && frame.desired_sha256 !== frame.reported_sha256;
  return [grid("Model slots", ["Slot", "State", "Model", "Bundle"], lines),
    behind ? el("p", { class: "note" }, "wanted: ", digest(frame.desired_sha256), ", not active yet") : null];
}

function meters(list) {
  if (!list.length) return el("p", { class: "quiet" }, "The device has not told of any power meter.");
  return grid("Power meters", ["Meter", "Covers", "Kind", "±"], list.map((meter) => [
    el("span", { class: meter.refusal ? "quiet" : "strong" }, meter.name),
    meter.refusal ? el("span", { class: "quiet" }, `not used: ${meter.refusal}`)
      : el("span", {}, meter.covers),
    meter.kind === meter.boundary ? meter.kind : `${meter.boundary}, ${meter.kind}`,
    meter.refusal ? unknown("the meter is not in use") : percent(meter.u_ratio),
  ]));
}

function eventList(events, now) {
  if (!events.length) return el("p", { class: "quiet" }, "No event has arrived.");
  return grid("Events, newest first", ["When", "What", "Message"], events.map((event) => [
    el("time", { datetime: new Date(event.received_unix_ms).toISOString(),
      title: `on the device's clock: ${moment(event.at_unix_ms, now)}` }, moment(event.received_unix_ms, now)),
    el("span", { class: "event", "data-kind": event.kind }, event.kind),
    [event.message, facts(event.facts)],
  ]));
}

function facts(table) {
  const pairs = Object.entries(table).map(([key, value]) =>
    `${key} ${typeof value === "number" ? count(value) : value}`);
  return pairs.length ? el("span", { class: "second" }, pairs.join(" · ")) : null;
}
