// Sensor readings: one card per gateway and topic, with the last value, a curve and its age.

import { ago, element, svg, text, write } from "./dom.js";

const MAX_CARDS = 500;
const MAX_IDS = 20000;
const POINTS = 60;
const OLD_AFTER_MS = 60000;

/** Keeps what was received and draws it at most once per frame. */
export class ReadingBoard {
  #grid;
  #cards = new Map();
  #ids = new Set();
  #clockOffsets = new Map();
  #count = 0;
  #duplicates = 0;
  #changed = new Set();
  #drawing = 0;

  constructor(grid) {
    this.#grid = grid;
  }

  /** Take one `edged/readings` message of a peer; whatever is not a reading is left out. */
  accept(peerId, message) {
    const gateway = text(message.gateway, 64, peerId);
    if (!Array.isArray(message.readings)) return;
    for (const reading of message.readings) {
      const usable = reading && typeof reading === "object" && typeof reading.topic === "string";
      if (usable && typeof reading.id === "string" && Number.isFinite(reading.time_ms)) this.#take(gateway, reading);
    }
    if (this.#changed.size && !this.#drawing) this.#drawing = requestAnimationFrame(() => this.#draw());
  }

  get count() {
    return this.#count;
  }

  get topicCount() {
    return this.#cards.size;
  }

  /** Ages move on without a message. */
  refresh() {
    const now = Date.now();
    for (const card of this.#cards.values()) card.showAge(now - this.#offset(card.gateway));
  }

  summary() {
    return {
      count: this.#count,
      duplicates: this.#duplicates,
      topics: [...this.#cards.values()].map((card) => card.topic),
      ids: [...this.#ids],
    };
  }

  #take(gateway, reading) {
    if (this.#ids.has(reading.id)) {
      this.#duplicates += 1;
      return;
    }
    this.#ids.add(reading.id);
    if (this.#ids.size > MAX_IDS) this.#ids.delete(this.#ids.values().next().value);
    this.#count += 1;
    // The gateway's clock may be off. The freshest reading so far tells by how much.
    this.#clockOffsets.set(gateway, Math.min(this.#offset(gateway), Date.now() - reading.time_ms));
    const key = JSON.stringify([gateway, reading.topic]);
    let card = this.#cards.get(key);
    if (!card) {
      if (this.#cards.size >= MAX_CARDS) return;
      card = new Card(gateway, reading.topic);
      this.#cards.set(key, card);
      this.#insert(card);
    }
    card.take(reading);
    this.#changed.add(card);
  }

  #offset(gateway) {
    return this.#clockOffsets.get(gateway) ?? Infinity;
  }

  #insert(card) {
    const after = [...this.#cards.values()].filter((other) => other !== card && other.topic > card.topic);
    after.sort((a, b) => (a.topic < b.topic ? -1 : 1));
    this.#grid.insertBefore(card.root, after[0]?.root ?? null);
  }

  #draw() {
    for (const card of this.#changed) card.draw(Date.now() - this.#offset(card.gateway));
    this.#changed.clear();
    this.#drawing = 0;
  }
}

class Card {
  root = element("article", "reading");
  #value = element("div", "value");
  #seen = element("div", "seen");
  #line = svg("polyline");
  #area = svg("polygon");
  #spark = svg("svg", { class: "spark", viewBox: "0 0 100 30", preserveAspectRatio: "none", "aria-hidden": "true" });
  #points = [];
  #last = null;
  #timeMs = 0;

  constructor(gateway, topic) {
    this.gateway = gateway;
    this.topic = topic;
    const label = element("div", "topic");
    const cut = topic.lastIndexOf("/") + 1;
    label.append(element("span", "", text(topic.slice(0, cut), 80)), element("b", "", text(topic.slice(cut), 80)));
    label.title = `${topic} (${gateway})`;
    this.#spark.append(this.#area, this.#line);
    this.root.append(label, this.#value, this.#spark, this.#seen);
  }

  take(reading) {
    this.#last = reading.value;
    this.#timeMs = reading.time_ms;
    const number = typeof reading.value === "boolean" ? Number(reading.value) : reading.value;
    if (!Number.isFinite(number)) return;
    // A contact jumps, it does not glide.
    if (typeof reading.value === "boolean" && this.#points.length) this.#points.push(this.#points.at(-1));
    this.#points.push(number);
    while (this.#points.length > POINTS) this.#points.shift();
  }

  draw(gatewayNow) {
    const shown = valueText(this.#last);
    write(this.#value, shown);
    this.#value.title = shown;
    this.#value.classList.toggle("long", shown.length > 12);
    this.#drawCurve();
    this.showAge(gatewayNow);
  }

  showAge(gatewayNow) {
    const age = Math.max(0, gatewayNow - this.#timeMs);
    write(this.#seen, ago(age));
    this.root.classList.toggle("old", age > OLD_AFTER_MS);
  }

  #drawCurve() {
    const points = this.#points;
    if (points.length < 2) return;
    const low = Math.min(...points);
    const span = Math.max(...points) - low;
    const place = (value, index) => {
      const x = (index * 100) / (points.length - 1);
      const y = span ? 28 - ((value - low) / span) * 26 : 15;
      return `${x.toFixed(2)},${y.toFixed(2)}`;
    };
    const line = points.map(place).join(" ");
    this.#line.setAttribute("points", line);
    this.#area.setAttribute("points", `0,30 ${line} 100,30`);
  }
}

function valueText(value) {
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
  if (typeof value === "string") return text(value, 120, "(empty)");
  if (value && typeof value === "object" && !Array.isArray(value)) {
    const parts = Object.entries(value).slice(0, 8);
    return text(parts.map(([key, part]) => `${key} ${plain(part)}`).join(" · "), 120, "{}");
  }
  return plain(value);
}

function plain(value) {
  return typeof value === "string" ? text(value, 60) : text(JSON.stringify(value), 60, "–");
}
