// The stream of frames, and an honest word about whether it still flows.

import { moment } from "./format.js";

const SILENT_AFTER_PERIODS = 4;

// Calls `onFrame(frame)` for each frame. A browser reconnects by itself; a stream that the server
// refused for good is opened again here.
export function follow(url, onFrame) {
  const state = { lastUnixMs: undefined, heard: performance.now(), periodMs: 1000, alive: false };
  let source;
  const open = () => {
    source = new EventSource(url);
    source.onmessage = (message) => {
      const frame = JSON.parse(message.data);
      Object.assign(state, { lastUnixMs: frame.at_unix_ms, heard: performance.now(), alive: true });
      state.periodMs = frame.period_ms;
      onFrame(frame);
      show(state);
    };
    source.onerror = () => {
      Object.assign(state, { alive: false });
      show(state);
    };
  };
  open();
  setInterval(() => {
    if (performance.now() - state.heard > SILENT_AFTER_PERIODS * state.periodMs) state.alive = false;
    if (source.readyState === EventSource.CLOSED) open();
    show(state);
  }, 2000);
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
}

function show(state) {
  const node = document.getElementById("link");
  const clock = state.lastUnixMs === undefined ? "" : moment(state.lastUnixMs, state.lastUnixMs);
  const text = state.alive ? clock : state.lastUnixMs === undefined
    ? "connecting…" : `connection lost, figures of ${clock}`;
  document.body.classList.toggle("stale", !state.alive && state.lastUnixMs !== undefined);
  node.dataset.state = state.alive ? "live" : "waiting";
  setText(node.querySelector("span"), text);
  // A screen reader hears of changes only, not of every second.
  setText(node.querySelector("b"), state.alive ? "live" : text);
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
