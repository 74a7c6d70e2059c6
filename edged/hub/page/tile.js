// One camera's tile: its picture, and honest words where there is none.

import { element, svg, text, write } from "./dom.js";

const STALLED_AFTER_MS = 4000;
// What is scrolled past is not worth asking for anew.
const HIDDEN_AFTER_MS = 2000;
// A second picture that was in trouble is not asked for again before that; the main one is.
const SUB_AGAIN_AFTER_MS = 60000;
const TROUBLE = new Set(["lost", "failed"]);
const NOTHING_SAID = { state: "", reason: "" };

export class Tile {
  root = element("article", "camera");
  peerId = "";
  streamId = "";
  gateway = "";
  leftAt = 0;
  hiddenAt = Infinity;
  wish = "main";
  quality = "main";
  connectionState = "";
  framesDecoded = 0;
  width = 0;
  height = 0;
  #video = element("video");
  #title = element("b");
  #reason = element("span");
  #name = element("strong");
  #gatewayName = element("small", "gateway");
  #facts = element("small");
  #badge = element("span", "pill");
  #note = element("span", "note");
  #announced = new Map();
  #isLarge = false;
  #subTroubleAt = -Infinity;
  #ended = "";
  #givenReason = "";
  #framesBefore = 0;
  #framesPerSecond = 0;
  #newFrameAt = 0;
  #liveAt = -Infinity;
  #onFirstFrame;

  constructor(camera, onFirstFrame, onClick) {
    this.camera = camera;
    this.#onFirstFrame = onFirstFrame;
    Object.assign(this.#video, { muted: true, autoplay: true, playsInline: true, disablePictureInPicture: false });
    this.#video.addEventListener("click", () => onClick(this));
    const wide = element("button", "wide");
    const corners = svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" });
    corners.append(svg("path", { d: "M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4" }));
    wide.append(corners);
    wide.title = "Full screen";
    wide.setAttribute("aria-label", "Full screen");
    wide.addEventListener("click", () => fullScreen(this.root, this.#video));
    const picture = element("div", "picture");
    const cover = element("div", "cover");
    const about = element("div", "about");
    cover.append(this.#title, this.#reason);
    picture.append(this.#video, cover, this.#note);
    about.append(this.#name, this.#gatewayName, this.#facts, this.#badge, wide);
    this.root.append(picture, about);
    write(this.#name, camera);
    this.show(performance.now());
  }

  enter(peerId) {
    this.peerId = peerId;
    this.leftAt = 0;
    this.connectionState = "";
    this.wish = this.quality = "main";
    this.#announced.clear();
    this.#ended = this.#givenReason = "";
  }

  get isLarge() {
    return this.#isLarge;
  }

  set isLarge(isLarge) {
    this.#isLarge = isLarge;
    this.root.classList.toggle("large", isLarge);
  }

  /** What this tile needs: nothing while it is out of sight, the second picture where it is one of several. */
  wishFor(now, pageShown, isOneOfSeveral) {
    if (document.fullscreenElement === this.root) return "main";
    if (!pageShown || document.fullscreenElement || now - this.hiddenAt >= HIDDEN_AFTER_MS) return "none";
    const isSubGood = now - this.#subTroubleAt > SUB_AGAIN_AFTER_MS;
    return isOneOfSeveral && !this.#isLarge && isSubGood ? "sub" : "main";
  }

  leave(reason) {
    this.detach(reason);
    this.leftAt = performance.now();
  }

  /** Fires again with a new object after every reconnection; the picture then comes from the new one. */
  attach(stream, name) {
    this.streamId = stream.id;
    this.#ended = "";
    this.#newFrameAt = performance.now();
    this.#video.srcObject = stream;
    // Autoplay of a muted video may be refused while the tab is in the background; it starts when it is shown.
    this.#video.play().catch(() => {});
    if (this.#video.requestVideoFrameCallback) this.#video.requestVideoFrameCallback(() => this.#firstFrame());
    else this.#video.addEventListener("loadeddata", () => this.#firstFrame(), { once: true });
    write(this.#name, name);
    this.show(performance.now());
  }

  streamEnded() {
    this.detach(this.wish === "none" || this.quality === "none" ? "" : "the stream has ended");
  }

  detach(reason) {
    this.#ended = reason;
    this.streamId = "";
    this.#video.srcObject = null;
    this.show(performance.now());
  }

  announce(message) {
    const quality = message.quality === "sub" ? "sub" : "main";
    if (quality === "sub" && TROUBLE.has(message.state)) this.#subTroubleAt = performance.now();
    if (message.state === "live" && this.#announced.get(quality)?.state !== "live") this.#liveAt = performance.now();
    this.#announced.set(quality, { state: message.state, reason: text(message.reason, 300) });
    this.show(performance.now());
  }

  /** What the gateway sends from now on; with a reason where that is not what was asked for. */
  given({ quality, reason }) {
    this.quality = quality;
    this.#givenReason = reason;
    this.show(performance.now());
  }

  /** Why this is the second picture though the main one is wished: "your link is slow". */
  get note() {
    return this.quality === "sub" && this.wish === "main" ? this.#givenReason : "";
  }

  get stream() {
    return this.#video.srcObject;
  }

  measured(framesDecoded, framesPerSecond, width, height) {
    // A new connection counts from zero again.
    if (framesDecoded !== this.#framesBefore) {
      this.framesDecoded += Math.max(0, framesDecoded - (framesDecoded < this.#framesBefore ? 0 : this.#framesBefore));
      this.#framesBefore = framesDecoded;
      this.#newFrameAt = performance.now();
    }
    // Nothing is decoded for a hidden tab, which says nothing about the camera.
    if (document.hidden) this.#newFrameAt = performance.now();
    this.#framesPerSecond = framesPerSecond;
    this.width = width || this.width;
    this.height = height || this.height;
  }

  show(now) {
    const { state, reason } = this.#shown(now);
    this.root.dataset.state = state;
    write(this.#badge, state);
    write(this.#title, state);
    write(this.#reason, reason);
    write(this.#gatewayName, this.gateway);
    const size = this.width ? `${this.width}×${this.height}` : "";
    const rate = this.#framesPerSecond ? ` · ${Math.round(this.#framesPerSecond)} fps` : "";
    write(this.#facts, state === "live" ? size + rate : "");
    write(this.#note, state === "live" && this.note ? `second picture: ${this.note}` : "");
  }

  summary() {
    const { state, reason } = this.#shown(performance.now());
    const { camera: name, gateway, quality, note, width, height, framesDecoded } = this;
    return { name, gateway, state, reason, quality, note, width, height, framesDecoded };
  }

  /** What the tile may claim. A picture that stands still is never called live. */
  #shown(now) {
    const { state, reason } = this.#announced.get(this.quality) ?? this.#announced.get("main") ?? NOTHING_SAID;
    if (this.#ended) return { state: "lost", reason: this.#ended };
    const still = now - this.#newFrameAt;
    const isMoving = this.streamId && this.#video.videoWidth && still <= STALLED_AFTER_MS;
    // While the second picture is in trouble, the main one may be what is seen.
    if (TROUBLE.has(state) && !(isMoving && this.quality === "sub")) return { state, reason };
    if (!this.streamId && this.quality === "none") return { state: "idle", reason: "out of sight" };
    if (!this.streamId) return { state: state === "idle" ? "idle" : "connecting", reason: reason || "waiting for the stream" };
    // Pictures need no hub: they go on coming while the way to it is broken.
    if (isMoving) return { state: "live", reason: "" };
    if (this.connectionState === "reconnecting") return { state: "connecting", reason: "the connection broke, making a new one" };
    if (!this.#video.videoWidth) return { state: "connecting", reason: reason || "waiting for the first picture" };
    const isBackSoon = state === "connecting" || now - this.#liveAt <= STALLED_AFTER_MS;
    if (isBackSoon) return { state: "connecting", reason: reason || "waiting for the next picture" };
    return { state: "lost", reason: `no new picture for ${Math.round(still / 1000)} s` };
  }

  #firstFrame() {
    this.#newFrameAt = performance.now();
    this.width = this.#video.videoWidth;
    this.height = this.#video.videoHeight;
    this.#onFirstFrame(this.#newFrameAt);
    this.show(this.#newFrameAt);
  }
}

/** Phones that show nothing but videos in full screen have a method of their own for it. */
export function fullScreen(tile, video = tile.querySelector("video")) {
  if (document.fullscreenElement) document.exitFullscreen();
  else if (tile.requestFullscreen) tile.requestFullscreen().catch(() => {});
  else video.webkitEnterFullscreen?.();
}
