// Elements from data. Text only ever becomes text nodes, so nothing that anyone typed can be markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * `el("button.small", {type: "button", on: {click}}, "Save")`. An attribute that is null, undefined
 * or false is left out; true is an empty one. Children may be nodes, texts, lists of both, or null.
 */
export function el(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  set(node, attributes);
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

export function set(node, attributes) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (value === null || value === undefined || value === false) {
      node.removeAttribute(key);
    } else {
      node.setAttribute(key, value === true ? "" : value);
    }
  }
}

/** A line drawing on a 16 by 16 grid; `d` is the path. */
export function icon(d) {
  const svg = document.createElementNS(SVG, "svg");
  set(svg, { viewBox: "0 0 16 16", "aria-hidden": "true", class: "icon" });
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", d);
  svg.append(path);
  return svg;
}

export const ICONS = {
  eye: "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8zM8 6a2 2 0 1 0 0 4 2 2 0 0 0 0-4z",
  close: "M4 4l8 8M12 4l-8 8",
  back: "M10 3L5 8l5 5",
  send: "M2.5 3l11 5-11 5 1.5-5zM4 8h5",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
};

let serial = 0;

/** An id that is not on the page yet. */
export function freshId(prefix) {
  serial += 1;
  return `${prefix}-${serial}`;
}
