// Elements from text that may come from anywhere: everything is a text node, nothing is parsed.

import { parts } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const DASH = "\u2013";

export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat(2).filter((child) => child !== undefined && child !== null));
  return node;
}

// A value that is not there, with the reason for a pointer and for a screen reader.
export function unknown(why) {
  return el("span", { class: "unknown", title: why, tabindex: "0" },
    el("span", { "aria-hidden": "true" }, DASH),
    el("span", { class: "unseen" }, `not known: ${why}`));
}

// A figure `{value?, why?}` as number and small unit; modelled ones carry a tilde and two digits.
export function figure(quantity, reading, { modelled = false, title } = {}) {
  if (reading === undefined || reading.value === undefined) {
    return unknown(reading?.why ?? "no figure yet");
  }
  const { number, unit } = parts(quantity, reading.value, modelled ? 2 : 3);
  return el("span", { class: "figure", title },
    modelled ? el("span", { class: "about", title: "modelled, not measured" }, "~") : null,
    el("span", { class: "number" }, number),
    el("span", { class: "unit" }, `\u202f${unit}`));
}

export function replace(node, ...children) {
  node.replaceChildren(...children.flat(2).filter((child) => child !== undefined && child !== null));
}

// Replaces `node`'s children unless what it shows is already built from the same data, so that
// focus, selection and tooltips survive a frame that changes nothing there.
export function update(node, data, build) {
  const key = JSON.stringify(data);
  if (node.dataset.shown === key) return false;
  node.dataset.shown = key;
  replace(node, build(data));
  return true;
}
