// The grid of cameras: which tiles there are, and what each of them needs.

import { text } from "./dom.js";
import { fullScreen, Tile } from "./tile.js";
import { Wishes } from "./wishes.js";

const MAX_TILES = 100;
const KEPT_AFTER_LEAVING_MS = 60000;
// Another tab for a moment costs nothing to come back from.
const PAGE_HIDDEN_AFTER_MS = 5000;
// Tiles that are this near to the window are shown before they are scrolled to.
const NEAR = "100% 0px";
const STATES = new Set(["idle", "connecting", "live", "lost", "failed"]);

/** All tiles, by the peer they come from and the camera's name. */
export class CameraGrid {
  #grid;
  #tiles = new Map();
  #remotes = new Map();
  #measuring = null;
  #wishes = new Wishes();
  #pageHiddenAt = Infinity;
  #inView;
  #onFirstFrame;

  constructor(grid, onFirstFrame) {
    this.#grid = grid;
    this.#onFirstFrame = onFirstFrame;
    this.#inView = new IntersectionObserver((entries) => this.#moved(entries), { rootMargin: NEAR });
    const page = () => {
      this.#pageHiddenAt = document.hidden ? performance.now() : Infinity;
      this.ask();
    };
    document.addEventListener("visibilitychange", page);
    document.addEventListener("fullscreenchange", () => this.ask());
    page();
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
      for (const tile of this.#of(remote.id)) if (tile.streamId === stream.id) tile.streamEnded();
    });
    remote.on("state-change", ({ to }) => {
      for (const tile of this.#of(remote.id)) tile.connectionState = to;
    });
  }

  removeRemote(remote, reason) {
    this.#remotes.delete(remote.id);
    this.#wishes.forget(remote.id);
    for (const tile of this.#of(remote.id)) tile.leave(reason);
  }

  /** Take an `edged/camera` message: the word of a gateway in this channel about one of its cameras. */
  announce(peerId, message) {
    const name = text(message.camera, 64);
    const usable = name && STATES.has(message.state) && this.#remotes.has(peerId);
    if (usable) this.#tile(peerId, name)?.announce(message);
  }

  /** Take an `edged/gateway` message: from now on it is asked for what this page shows, and for nothing else. */
  meet(peerId) {
    const remote = this.#remotes.get(peerId);
    if (!remote) return;
    this.#wishes.met(remote);
    this.ask();
  }

  /** Take an `edged/watching` message: what a gateway sends from now on. */
  answered(peerId, message) {
    const tiles = this.#of(peerId);
    this.#wishes.answered(
      peerId,
      message,
      tiles.map((tile) => tile.camera),
    );
    for (const tile of tiles) tile.given(this.#wishes.given(peerId, tile.camera));
  }

  /** Ask every gateway for what is shown of its cameras: small pictures in a grid, the full one of a tile alone. */
  ask() {
    const now = performance.now();
    const pageShown = now - this.#pageHiddenAt < PAGE_HIDDEN_AFTER_MS || !document.hidden;
    const shown = [...this.#tiles.values()].filter((tile) => !tile.leftAt);
    for (const peerId of this.#remotes.keys()) {
      const wishes = new Map();
      for (const tile of shown) {
        if (tile.peerId !== peerId) continue;
        tile.wish = tile.wishFor(now, pageShown, shown.length > 1);
        wishes.set(tile.camera, tile.wish);
      }
      this.#wishes.ask(peerId, wishes);
    }
  }

  /** Show how things are now; what the connections say about their pictures is there the next time. */
  refresh() {
    this.#measuring ??= this.#measure().finally(() => {
      this.#measuring = null;
    });
    const now = performance.now();
    this.ask();
    for (const [key, tile] of this.#tiles) {
      tile.show(now);
      if (tile.leftAt && now - tile.leftAt > KEPT_AFTER_LEAVING_MS) this.#drop(key, tile);
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
    return tile !== undefined && this.#drop(key, tile);
  }

  #drop(key, tile) {
    this.#inView.unobserve(tile.root);
    tile.root.remove();
    return this.#tiles.delete(key);
  }

  #moved(entries) {
    const now = performance.now();
    const tiles = new Map([...this.#tiles.values()].map((tile) => [tile.root, tile]));
    for (const { target, isIntersecting } of entries) {
      const tile = tiles.get(target);
      if (tile) tile.hiddenAt = isIntersecting ? Infinity : Math.min(tile.hiddenAt, now);
    }
    this.ask();
  }

  /** One tile at most is large. Alone in the grid, a tile has all the width there is, and goes to the full screen. */
  #enlarge(tile) {
    if (this.#tiles.size === 1) {
      fullScreen(tile.root);
      return;
    }
    for (const one of this.#tiles.values()) one.isLarge = one === tile && !one.isLarge;
    tile.root.scrollIntoView({ block: "nearest" });
    this.ask();
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
        tile = new Tile(camera, this.#onFirstFrame, (one) => this.#enlarge(one));
        this.#grid.append(tile.root);
        this.#inView.observe(tile.root);
      }
      tile.enter(peerId);
      this.#tiles.set(key, tile);
      this.ask();
    }
    tile.gateway = gateway || tile.gateway;
    return tile;
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
