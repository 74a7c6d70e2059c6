// What this page asks of the gateways, told when it changes, and what they send: which picture of which camera, and why.

import { text } from "./dom.js";

const TYPE = "edged/watch";
const QUALITIES = new Set(["main", "sub", "none"]);
const NOTHING_SAID = { quality: "main", reason: "" };

/** Only those who introduced themselves as gateways are asked; all others send what they send. */
export class Wishes {
  #gateways = new Map();

  /** A gateway introduced itself; what it was asked before, it may not know any more. */
  met(remote) {
    this.#gateways.set(remote.id, { remote, asked: new Map(), given: new Map() });
  }

  forget(peerId) {
    this.#gateways.delete(peerId);
  }

  /** Take an `edged/watching`: what the gateway sends from now on of these cameras. Also comes without being asked for. */
  answered(peerId, message, cameras) {
    const gateway = this.#gateways.get(peerId);
    if (!gateway || !message.cameras || typeof message.cameras !== "object") return;
    for (const camera of cameras) {
      const quality = Object.hasOwn(message.cameras, camera) ? message.cameras[camera] : undefined;
      if (QUALITIES.has(quality)) gateway.given.set(camera, { quality, reason: text(message.reasons?.[camera], 200) });
    }
  }

  /** What a gateway sends of a camera, as far as it is known: the main picture, unless it says something else. */
  given(peerId, camera) {
    return this.#gateways.get(peerId)?.given.get(camera) ?? NOTHING_SAID;
  }

  /** Ask for what is wished of a gateway's cameras, if it is not what it was asked for last. */
  ask(peerId, wishes) {
    const gateway = this.#gateways.get(peerId);
    if (!gateway) return;
    const { remote, asked } = gateway;
    const news = [...wishes].filter(([camera, wish]) => (asked.get(camera) ?? "main") !== wish);
    if (!news.length) return;
    for (const [camera, wish] of news) asked.set(camera, wish);
    remote.send({ type: TYPE, cameras: Object.fromEntries(news) }).catch(() => {
      // The way to the hub is broken: asked again the next time.
      for (const [camera, wish] of news) if (asked.get(camera) === wish) asked.set(camera, "unknown");
    });
  }
}
