// Small pieces of the page. Whatever comes from the network is written with textContent, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element with a class and a text. */
export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** Make an SVG element with attributes. */
export function svg(tag, attributes = {}) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** A text from the network, or the fallback; never longer than `max`. */
export function text(value, max, fallback = "") {
  if (typeof value !== "string" || value === "") return fallback;
  return value.length > max ? `${value.slice(0, max - 1)}…` : value;
}

/** Write only what changed: setting the same text again costs layout. */
export function write(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

/** "just now", "12 s ago", "3 min ago". */
export function ago(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 2) return "just now";
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
  return seconds < 86400000 ? `${Math.round(seconds / 86400)} days ago` : "long ago";
}
