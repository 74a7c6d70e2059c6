// Drives Debian's Chromium for scripts/lib/browser.py: JSON lines in on stdin, answers and events out on stdout.
// Also serves, on 127.0.0.1, pages given as text and the real browser SDK (/sdk/), for a secure context.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const SDK = new URL("./node_modules/@metered-ca/realtime/dist/", import.meta.url);
const POLL_MS = 20;
const MAX_TEXT = 4000;

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function flags() {
  const list = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
  ];
  const outside = Object.values(networkInterfaces()).flat().some((address) => !address.internal);
  // With nothing but lo, WebRTC gathers no candidate unless both of these are given.
  if (!outside) list.push("--allow-loopback-in-peer-connection", "--disable-features=WebRtcHideLocalIpsWithMdns");
  return list;
}

const texts = new Map();
async function serve(request, response) {
  const path = new URL(request.url, "http://127.0.0.1").pathname;
  const sdkFile = /^\/sdk\/(index\.(?:mjs|umd\.js))$/.exec(path);
  const text = sdkFile ? await readFile(new URL(sdkFile[1], SDK)) : texts.get(path);
  if (text === undefined) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { "content-type": sdkFile ? "text/javascript" : "text/html; charset=utf-8" }).end(text);
}

const server = createServer(serve);
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${server.address().port}`;
// The wrapper ties Chromium's life to this process, however this process ends.
const wrapper = new URL("./chromium", import.meta.url).pathname;
const browser = await chromium.launch({ executablePath: wrapper, headless: true, args: flags() });
const pages = new Map();

function listen(page, number) {
  page.on("console", (m) => say({ event: "console", page: number, type: m.type(), text: m.text().slice(0, MAX_TEXT) }));
  page.on("pageerror", (e) => say({ event: "page_error", page: number, text: String(e.stack ?? e).slice(0, MAX_TEXT) }));
  page.on("crash", () => say({ event: "page_error", page: number, text: "the page crashed" }));
}

const run = (page, { script, arg }) => page.evaluate(`(async (arg) => { ${script}\n})(${JSON.stringify(arg ?? null)})`);

const operations = {
  async open(none, { page: number, url, html, width, height }) {
    const context = await browser.newContext({ viewport: { width, height } });
    const page = await context.newPage();
    pages.set(number, page);
    listen(page, number);
    if (html !== undefined) texts.set(`/page/${number}`, html);
    await page.goto(url ?? `${origin}/page/${number}`, { waitUntil: "load" });
  },
  evaluate: (page, request) => run(page, request),
  async wait(page, request) {
    const end = performance.now() + request.timeout_ms;
    for (;;) {
      const value = await run(page, request);
      if (value) return value;
      if (performance.now() > end) throw new Error(`not true within ${request.timeout_ms} ms: ${request.script.trim()}`);
      await pause(POLL_MS);
    }
  },
  screenshot: (page, { path, full }) => page.screenshot({ path, fullPage: full }),
  reload: (page) => page.reload({ waitUntil: "load" }),
  async shut(page, { page: number }) {
    pages.delete(number);
    await page.context().close();
  },
};

// What an operation returns must be JSON; these return Playwright's own objects.
const SILENT = new Set(["open", "screenshot", "reload", "shut"]);

async function answer(request) {
  const { id, op } = request;
  try {
    const page = pages.get(request.page);
    if (op !== "open" && page === undefined) throw new Error(`no page ${request.page}`);
    const value = await operations[op](page, request);
    say({ event: "answer", id, value: SILENT.has(op) ? null : (value ?? null) });
  } catch (error) {
    say({ event: "answer", id, error: String(error.message ?? error) });
  }
}

say({ event: "ready", origin, chromium: browser.version() });
createInterface({ input: process.stdin })
  .on("line", (line) => void answer(JSON.parse(line)))
  .on("close", async () => {
    await browser.close();
    process.exit(0);
  });
