// The viewer page: joins the channel named in the address as a peer that only receives, and shows what is there.
// For tests and demonstrations, `window.edgedViewer` tells what the page sees.

import { CameraGrid } from "./cameras.js";
import { write } from "./dom.js";
import { ReadingBoard } from "./readings.js";

const RETRY_MS = [1000, 2000, 4000, 8000, 15000];
const POLL_MS = 1000;
// Errors after which the same channel and key will not do next time either, by the name of the protocol.
const FINAL_ERRORS = new Map([
  ["invalid_token", "The hub does not know this key; give one that it was started with."],
  ["channel_not_authorized", "This key does not cover the channel."],
  ["action_not_permitted", "This key may not watch: it lacks the permission to subscribe."],
  ["channel_reserved", "This channel belongs to the hub itself; choose another name."],
  ["invalid_channel", "This is not a channel name: it may have 256 bytes, and no control characters."],
  ["account_suspended", "This key is suspended."],
  ["admin_disconnect", "The hub has closed this connection."],
]);
const CLOSE_CODES = new Map([
  [4001, "invalid_token"],
  [4003, "channel_not_authorized"],
  [4012, "account_suspended"],
  [4020, "admin_disconnect"],
]);
// What the SDK itself refuses before it asks the hub.
const SDK_ERRORS = new Map([
  ["MeteredPeerSendError", "channel_reserved"],
  ["TypeError", "invalid_channel"],
]);
const NO_SDK = "The browser SDK is not installed on this hub: run scripts/setup, or start the hub with --browser-sdk FILE.";
const NO_TLS =
  "From another machine the browser SDK connects only with TLS: start the hub with --tls-cert and --tls-key, and open this page with https.";

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
  form.onsubmit = (event) => {
    event.preventDefault();
    location.hash = new URLSearchParams(new FormData(form)).toString();
    location.reload();
  };
}

/** The sentence for an error that another try cannot mend; undefined for any other. */
function finalSentence(err) {
  return FINAL_ERRORS.get(CLOSE_CODES.get(err?.closeCode) ?? SDK_ERRORS.get(err?.name) ?? err?.name);
}

function refresh() {
  at("cameras").hidden = cameras.size === 0;
  const { count, leftOut, topicCount } = readings;
  at("readings").hidden = topicCount === 0;
  at("empty").hidden = seen.state !== "joined" || cameras.size > 0 || topicCount > 0;
  write(at("camera-count"), String(cameras.size || ""));
  const more = leftOut ? `, ${leftOut.toLocaleString("en")} not shown` : "";
  write(at("reading-count"), count ? `${count.toLocaleString("en")} received${more}` : "");
}

function accept({ senderPeerId, data }) {
  if (!data || typeof data !== "object") return;
  if (data.type === "edged/readings") readings.accept(senderPeerId, data);
  else if (data.type === "edged/camera") cameras.announce(senderPeerId, data);
  else if (data.type === "edged/gateway") cameras.meet(senderPeerId);
  else if (data.type === "edged/watching") cameras.answered(senderPeerId, data);
  refresh();
}

function makePeer(MeteredPeer, key) {
  const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}`;
  const peer = new MeteredPeer({ apiKey: key, url, reconnect: { maxDelayMs: 10000, maxAttempts: Infinity } });
  let trouble = "";
  peer.on("state-change", ({ to }) => {
    show(to === "idle" ? "joining" : to);
    if (to === "joined") notice((trouble = ""));
    if (to === "closed") askForChannel(trouble || "The connection has ended.");
    refresh();
  });
  peer.on("peer-joined", ({ peer: remote }) => cameras.addRemote(remote));
  peer.on("peer-left", ({ peer: remote }) => {
    cameras.removeRemote(remote, trouble ? "this page has left the channel" : "the gateway has left the channel");
  });
  peer.on("data", accept);
  peer.on("error", ({ err }) => {
    trouble = finalSentence(err) ?? `The connection failed: ${err?.message ?? err}`;
    notice(trouble);
  });
  return peer;
}

/** The SDK tries the first connection once; a page opened before the hub is up has to go on trying. */
async function join(peer, channel) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await peer.join(channel);
      return;
    } catch (err) {
      const final = finalSentence(err);
      if (final) throw new Error(final);
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
    fail(NO_SDK);
    return;
  }
  show("joining");
  try {
    seen.peer = makePeer(sdk.MeteredPeer, key);
  } catch {
    fail(NO_TLS);
    return;
  }
  setInterval(() => {
    cameras.refresh();
    readings.refresh();
    refresh();
  }, POLL_MS);
  try {
    await join(seen.peer, channel);
  } catch (err) {
    askForChannel(err.message);
  }
}

function fail(sentence) {
  show("failed");
  notice(sentence);
}

start();
