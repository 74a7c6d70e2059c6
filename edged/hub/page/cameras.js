// Camera tiles: the picture of each stream, and honest words where there is none.

import { element, text, write } from "./dom.js";

const MAX_TILES = 100;
const STALLED_AFTER_MS = 4000;
const KEPT_AFTER_LEAVING_MS = 60000;
const STATES = new Set(["idle", "connecting", "live", "lost", "failed"]);

/** All tiles, by the peer they come from and the camera's name. */
export class CameraGrid {
  #grid;
  #tiles = new Map();
  #remotes = new Map();
  #measuring = null;
  #onFirstFrame;

  constructor(grid, onFirstFrame) {
    this.#grid = grid;
    this.#onFirstFrame = onFirstFrame;
  }

  get size() {
    return this.#tiles.size;
  }

  /** Watch a peer of the channel; it may or may not have cameras. */
  addRemote(remote) {
    this.#remotes.set(remote.id, remote);
    remote.on("stream-added", ({ stream, metadata }) => {
      const hasPicture = () => this.#attach(remote.id, stream, metadata);
      if (stream.getVideoTracks().length) hasPicture();
      else stream.addEventListener("addtrack", ({ track }) => track.kind === "video" && hasPicture());
    });
    remote.on("stream-removed", ({ stream }) => {
      for (const tile of this.#of(remote.id)) if (tile.streamId === stream.id) tile.detach("the stream has ended");
    });
    remote.on("state-change", ({ to }) => {
      for (const tile of this.#of(remote.id)) tile.connectionState = to;
    });
  }

  removeRemote(remote, reason) {
    this.#remotes.delete(remote.id);
    for (const tile of this.#of(remote.id)) tile.leave(reason);
  }

  /** Take an `edged/camera` message: the word of a gateway in this channel about one of its cameras. */
  announce(peerId, message) {
    const name = text(message.camera, 64);
    const usable = name && STATES.has(message.state) && this.#remotes.has(peerId);
    if (usable) this.#tile(peerId, name)?.announce(message);
  }

  /** Show how things are now; what the connections say about their pictures is there the next time. */
  refresh() {
    this.#measuring ??= this.#measure().finally(() => {
      this.#measuring = null;
    });
    const now = performance.now();
    for (const [key, tile] of this.#tiles) {
      tile.show(now);
      if (tile.leftAt && now - tile.leftAt > KEPT_AFTER_LEAVING_MS) {
        tile.root.remove();
        this.#tiles.delete(key);
      }
    }
  }

  list() {
    return [...this.#tiles.values()].map((tile) => tile.summary());
  }

  #of(peerId) {
    return [...this.#tiles.values()].filter((tile) => tile.peerId === peerId);
  }

  async #measure() {
    for (const remote of this.#remotes.values()) {
      const tiles = this.#of(remote.id).filter((tile) => tile.streamId);
      if (tiles.length && remote.pc?.getStats) await measure(remote.pc, tiles);
    }
  }

  #attach(peerId, stream, metadata) {
    const camera = text(metadata?.camera, 64) || text(metadata?.name, 64) || text(stream.id, 64, "stream");
    const tile = this.#tile(peerId, camera, { gateway: text(metadata?.gateway, 64), hasPicture: true });
    tile?.attach(stream, text(metadata?.name, 64, camera));
  }

  /** Give up the tile of a camera that has left, or, for a picture, one that has none. */
  #makeRoom(hasPicture) {
    const [key, tile] = [...this.#tiles].find(([, one]) => one.leftAt || (hasPicture && !one.streamId)) ?? [];
    tile?.root.remove();
    return this.#tiles.delete(key);
  }

  /** The tile of a camera. One whose gateway came back under a new peer id keeps its place in the grid. */
  #tile(peerId, camera, { gateway = "", hasPicture = false } = {}) {
    const key = JSON.stringify([peerId, camera]);
    let tile = this.#tiles.get(key);
    if (!tile) {
      for (const [oldKey, old] of this.#tiles) {
        const same = old.camera === camera && (!gateway || !old.gateway || old.gateway === gateway);
        if (old.leftAt && same) {
          this.#tiles.delete(oldKey);
          tile = old;
          break;
        }
      }
      if (!tile && this.#tiles.size >= MAX_TILES && !this.#makeRoom(hasPicture)) return null;
      if (!tile) {
        tile = new Tile(camera, this.#onFirstFrame);
        this.#grid.append(tile.root);
      }
      tile.enter(peerId);
      this.#tiles.set(key, tile);
    }
    tile.gateway = gateway || tile.gateway;
    return tile;
  }
}

class Tile {
  root = element("article", "camera");
  peerId = "";
  streamId = "";
  gateway = "";
  leftAt = 0;
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
  #announced = { state: "", reason: "" };
  #ended = "";
  #framesBefore = 0;
  #framesPerSecond = 0;
  #newFrameAt = 0;
  #onFirstFrame;

  constructor(camera, onFirstFrame) {
    this.camera = camera;
    this.#onFirstFrame = onFirstFrame;
    Object.assign(this.#video, { muted: true, autoplay: true, playsInline: true, disablePictureInPicture: false });
    this.#video.addEventListener("click", () => fullScreen(this.#video));
    const picture = element("div", "picture");
    const cover = element("div", "cover");
    const about = element("div", "about");
    cover.append(this.#title, this.#reason);
    picture.append(this.#video, cover);
    about.append(this.#name, this.#gatewayName, this.#facts, this.#badge);
    this.root.append(picture, about);
    write(this.#name, camera);
    this.show(performance.now());
  }

  enter(peerId) {
    this.peerId = peerId;
    this.leftAt = 0;
    this.connectionState = "";
    this.#announced = { state: "", reason: "" };
    this.#ended = "";
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

  detach(reason) {
    this.#ended = reason;
    this.streamId = "";
    this.#video.srcObject = null;
    this.show(performance.now());
  }

  announce(message) {
    this.#announced = { state: message.state, reason: text(message.reason, 300) };
    this.show(performance.now());
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
  }

  summary() {
    const { state, reason } = this.#shown(performance.now());
    const { camera: name, gateway, width, height, framesDecoded } = this;
    return { name, gateway, state, reason, width, height, framesDecoded };
  }

  /** What the tile may claim. A picture that stands still is never called live. */
  #shown(now) {
    const { state, reason } = this.#announced;
    if (this.#ended) return { state: "lost", reason: this.#ended };
    if (state === "lost" || state === "failed") return { state, reason };
    if (!this.streamId) return { state: state === "idle" ? "idle" : "connecting", reason: reason || "waiting for the stream" };
    const still = now - this.#newFrameAt;
    // Pictures need no hub: they go on coming while the way to it is broken.
    if (this.#video.videoWidth && still <= STALLED_AFTER_MS) return { state: "live", reason: "" };
    if (this.connectionState === "reconnecting") return { state: "connecting", reason: "the connection broke, making a new one" };
    if (!this.#video.videoWidth) return { state: "connecting", reason: reason || "waiting for the first picture" };
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

async function measure(connection, tiles) {
  let report;
  try {
    report = await connection.getStats();
  } catch {
    return; // The connection was closed meanwhile; its peer says so itself.
  }
  const received = [...report.values()].filter((entry) => entry.type === "inbound-rtp" && entry.kind === "video");
  for (const tile of tiles) {
    const tracks = new Set(tile.stream?.getVideoTracks().map((track) => track.id));
    const entry = received.find((one) => tracks.has(one.trackIdentifier));
    if (entry) tile.measured(entry.framesDecoded ?? 0, entry.framesPerSecond ?? 0, entry.frameWidth, entry.frameHeight);
  }
}

function fullScreen(video) {
  if (document.fullscreenElement) document.exitFullscreen();
  else video.requestFullscreen?.().catch(() => {});
}
