// The viewer page: joins the channel named in the address as a peer that only receives, and shows what is there.
// For tests and demonstrations, `window.edgedViewer` tells what the page sees.

import { CameraGrid } from "./cameras.js";
import { write } from "./dom.js";
import { ReadingBoard } from "./readings.js";

const RETRY_MS = [1000, 2000, 4000, 8000, 15000];
const POLL_MS = 1000;
// Close and error codes after which the same key will not do next time either.
const FINAL_CLOSE_CODES = new Map([
  [4001, "The hub does not know this key."],
  [4003, "This key does not cover the channel."],
  [4012, "This key is suspended."],
  [4020, "The hub has closed this connection."],
]);
const FINAL_ERRORS = new Map([
  ["invalid_token", "The hub does not know this key."],
  ["channel_not_authorized", "This key does not cover the channel."],
  ["action_not_permitted", "This key may not watch: it lacks the permission to subscribe."],
  ["channel_reserved", "This channel belongs to the hub itself; choose another name."],
  ["invalid_channel", "This is not a channel name."],
  ["account_suspended", "This key is suspended."],
  ["admin_disconnect", "The hub has closed this connection."],
]);

const LABELS = { form: "not connected", joining: "connecting", joined: "connected" };

const at = (id) => document.getElementById(id);
const seen = { state: "starting", firstFrameMs: null, peer: null };

const cameras = new CameraGrid(at("camera-grid"), (now) => {
  seen.firstFrameMs ??= now;
});
const readings = new ReadingBoard(at("reading-grid"));

window.edgedViewer = {
  /** "form", "joining", "joined", "reconnecting", "failed" or "closed". */
  state: () => seen.state,
  cameras: () => cameras.list(),
  readings: () => readings.summary(),
  peerId: () => seen.peer?.peerId ?? null,
  /** Milliseconds from the start of navigation to the first decoded picture, or null. */
  get firstFrameMs() {
    return seen.firstFrameMs;
  },
};

function show(state) {
  seen.state = state;
  at("status").dataset.state = state;
  write(at("status"), LABELS[state] ?? state);
}

function notice(sentence) {
  at("notice").hidden = !sentence;
  write(at("notice"), sentence);
}

function fragment() {
  const fields = new URLSearchParams(location.hash.slice(1));
  return { channel: fields.get("channel") ?? "", key: fields.get("key") ?? "" };
}

function askForChannel(sentence = "") {
  const form = at("join");
  const { channel, key } = fragment();
  form.elements.channel.value ||= channel;
  form.elements.key.value ||= key;
  form.hidden = false;
  notice(sentence);
  show(sentence ? "failed" : "form");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    location.hash = new URLSearchParams(new FormData(form)).toString();
    location.reload();
  });
}

function refresh() {
  at("cameras").hidden = cameras.size === 0;
  const { count, topicCount } = readings;
  at("readings").hidden = topicCount === 0;
  at("empty").hidden = seen.state !== "joined" || cameras.size > 0 || topicCount > 0;
  write(at("camera-count"), String(cameras.size || ""));
  write(at("reading-count"), count ? `${count.toLocaleString("en")} received` : "");
}

function accept({ senderPeerId, data }) {
  if (!data || typeof data !== "object") return;
  if (data.type === "edged/readings") readings.accept(senderPeerId, data);
  else if (data.type === "edged/camera") cameras.announce(senderPeerId, data);
  refresh();
}

function makePeer(MeteredPeer, key) {
  const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}`;
  const peer = new MeteredPeer({ apiKey: key, url, reconnect: { maxDelayMs: 10000, maxAttempts: Infinity } });
  peer.on("state-change", ({ to }) => {
    show(to === "idle" ? "joining" : to);
    refresh();
  });
  peer.on("peer-joined", ({ peer: remote }) => cameras.addRemote(remote));
  peer.on("peer-left", ({ peer: remote }) => cameras.removeRemote(remote));
  peer.on("data", accept);
  peer.on("error", ({ err }) => notice(FINAL_ERRORS.get(err?.name) ?? `The connection failed: ${err?.message ?? err}`));
  return peer;
}

/** The SDK tries the first connection once; a page opened before the hub is up has to go on trying. */
async function join(peer, channel) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await peer.join(channel);
      notice("");
      return;
    } catch (err) {
      const final = FINAL_CLOSE_CODES.get(err?.closeCode) ?? FINAL_ERRORS.get(err?.name);
      if (final || err?.name === "MeteredPeerSendError") throw new Error(final ?? FINAL_ERRORS.get("channel_reserved"));
      notice(`The hub does not answer (${err?.message ?? err}). Trying again.`);
      await new Promise((resume) => setTimeout(resume, RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)]));
    }
  }
}

async function start() {
  const { channel, key } = fragment();
  window.addEventListener("hashchange", () => location.reload());
  if (!channel || !key) {
    askForChannel();
    return;
  }
  at("channel").hidden = false;
  write(at("channel"), channel);
  document.title = `${channel} · edged`;
  let sdk;
  try {
    sdk = await import("./vendor/metered-realtime.mjs");
  } catch {
    show("failed");
    notice("The browser SDK is not installed on this hub: run scripts/setup, or start the hub with --browser-sdk FILE.");
    return;
  }
  show("joining");
  seen.peer = makePeer(sdk.MeteredPeer, key);
  setInterval(() => {
    readings.refresh();
    refresh();
  }, POLL_MS);
  poll();
  try {
    await join(seen.peer, channel);
  } catch (err) {
    askForChannel(err.message);
  }
}

async function poll() {
  await cameras.poll();
  setTimeout(poll, POLL_MS);
}

start();
