// Sensor readings: one card per gateway and topic, with the last value, a curve and its age.

import { ago, element, svg, text, write } from "./dom.js";

const MAX_CARDS = 500;
const MAX_IDS = 20000;
const MAX_NAME_CHARS = 1024;
const POINTS = 60;
const OLD_AFTER_MS = 60000;

/** Keeps what was received and draws it at most once per frame. */
export class ReadingBoard {
  #grid;
  #cards = new Map();
  #ids = new Set();
  #clocks = new Map();
  #count = 0;
  #duplicates = 0;
  #leftOut = 0;
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
      const hasTime = Number.isFinite(reading?.time_ms) || reading?.clock === "unset";
      const mayBeOld = message.backlog === true || reading?.retained === true;
      if (hasTime && isName(reading.topic) && isName(reading.id)) this.#take(gateway, reading, mayBeOld);
      else this.#leftOut += 1;
    }
    if (this.#changed.size && !this.#drawing) this.#drawing = requestAnimationFrame(() => this.#draw());
  }

  get count() {
    return this.#count;
  }

  /** Readings that are none, or of more topics than there are cards. */
  get leftOut() {
    return this.#leftOut;
  }

  get topicCount() {
    return this.#cards.size;
  }

  /** Ages move on without a message. */
  refresh() {
    for (const card of this.#cards.values()) card.showAge();
  }

  summary() {
    return {
      count: this.#count,
      duplicates: this.#duplicates,
      topics: [...this.#cards.values()].map((card) => card.topic),
      ids: [...this.#ids],
    };
  }

  #take(gateway, reading, mayBeOld) {
    if (this.#ids.has(reading.id)) {
      this.#duplicates += 1;
      return;
    }
    this.#ids.add(reading.id);
    if (this.#ids.size > MAX_IDS) this.#ids.delete(this.#ids.values().next().value);
    this.#count += 1;
    const key = JSON.stringify([gateway, reading.topic]);
    let card = this.#cards.get(key);
    if (!card) {
      if (this.#cards.size >= MAX_CARDS) {
        this.#leftOut += 1;
        return;
      }
      card = new Card(gateway, reading.topic, this.#clock(gateway));
      this.#cards.set(key, card);
      this.#insert(card);
    }
    card.take(reading, mayBeOld);
    this.#changed.add(card);
  }

  #clock(gateway) {
    const clock = this.#clocks.get(gateway) ?? { behindMs: Infinity };
    this.#clocks.set(gateway, clock);
    this.#grid.classList.toggle("several", this.#clocks.size > 1);
    return clock;
  }

  #insert(card) {
    const after = [...this.#cards.values()].filter((other) => other !== card && other.topic > card.topic);
    after.sort((a, b) => (a.topic < b.topic ? -1 : 1));
    this.#grid.insertBefore(card.root, after[0]?.root ?? null);
  }

  #draw() {
    for (const card of this.#changed) card.draw();
    this.#changed.clear();
    this.#drawing = 0;
  }
}

class Card {
  root = element("article", "reading");
  #value = element("div", "value");
  #seen = element("span");
  #line = svg("polyline");
  #area = svg("polygon");
  #spark = svg("svg", { class: "spark", viewBox: "0 0 100 30", preserveAspectRatio: "none", "aria-hidden": "true" });
  #points = [];
  #last = null;
  #timeMs = 0;
  #clock;

  constructor(gateway, topic, clock) {
    this.topic = topic;
    this.#clock = clock;
    const label = element("div", "topic");
    const cut = topic.lastIndexOf("/") + 1;
    const level = text(topic.slice(cut), 80, cut ? "" : "(empty)");
    label.append(element("span", "", text(topic.slice(0, cut), 80)), element("b", "", level));
    label.title = `${topic} (${gateway})`;
    this.#spark.append(this.#area, this.#line);
    const foot = element("div", "foot");
    foot.append(this.#seen, element("span", "gateway", gateway));
    this.root.append(label, this.#value, this.#spark, foot);
  }

  take(reading, mayBeOld) {
    const now = Date.now();
    // The clock of a gateway may be off: nothing comes from the future, and its freshest reading so far is from now.
    // One whose clock nobody has set yet sends no time: it is from now as far as we know.
    const hasTime = Number.isFinite(reading.time_ms);
    const timeMs = hasTime ? Math.min(reading.time_ms, now) : now;
    const isLate = mayBeOld && timeMs < this.#timeMs;
    if (!isLate) {
      this.#last = reading.value;
      this.#timeMs = timeMs;
    }
    if (hasTime) this.#clock.behindMs = Math.min(this.#clock.behindMs, now - timeMs);
    const number = typeof reading.value === "boolean" ? Number(reading.value) : reading.value;
    if (!Number.isFinite(number)) return;
    // What waited while live readings went before it has its place before them.
    const later = isLate ? this.#points.findIndex((point) => point.timeMs > timeMs) : -1;
    this.#points.splice(later < 0 ? this.#points.length : later, 0, { number, timeMs });
    while (this.#points.length > POINTS) this.#points.shift();
  }

  draw() {
    const shown = valueText(this.#last);
    write(this.#value, shown);
    this.#value.title = shown;
    this.#value.classList.toggle("long", shown.length > 12);
    this.#drawCurve();
    this.showAge();
  }

  showAge() {
    const age = Math.max(0, Date.now() - this.#clock.behindMs - this.#timeMs);
    write(this.#seen, ago(age));
    this.root.classList.toggle("old", age > OLD_AFTER_MS);
  }

  #drawCurve() {
    const points = this.#points.map((point) => point.number);
    this.root.classList.toggle("flat", points.length < 2);
    if (points.length < 2) return;
    const low = Math.min(...points);
    // Halved, because the span of two huge numbers is infinite.
    const span = Math.max(...points) / 2 - low / 2;
    const place = (value, index) => {
      const x = (index * 100) / (points.length - 1);
      const y = span ? 28 - ((value / 2 - low / 2) / span) * 26 : 15;
      return `${x.toFixed(2)},${y.toFixed(2)}`;
    };
    // A contact jumps, it does not glide.
    const jumps = typeof this.#last === "boolean";
    const step = (index) => (jumps && index ? `${place(points[index - 1], index)} ` : "");
    const line = points.map((value, index) => step(index) + place(value, index)).join(" ");
    this.#line.setAttribute("points", line);
    this.#area.setAttribute("points", `0,30 ${line} 100,30`);
  }
}

function isName(value) {
  return typeof value === "string" && value.length <= MAX_NAME_CHARS;
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
