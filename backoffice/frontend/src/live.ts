// Reads the page again when figures have moved, and every two seconds, and puts in place what changed. Without it the
// pages work as well.
import htmx from "htmx.org";

const EVERY_MS = 2000;
const REST = 4; // After an answer that took long, wait this many times as long: an open page is no load.

const content = (): HTMLElement | null => document.getElementById("content");

function isSelecting(region: Element): boolean {
  const selection = document.getSelection();
  return selection !== null && !selection.isCollapsed && region.contains(selection.anchorNode);
}

const shown = new WeakMap<Element, string>(); // As the server sent it.

// Whether everything fresh could be put in place; where somebody selects text it stays until they are done.
function replace(fresh: Document): boolean {
  let complete = true;
  for (const region of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(region.id);
    if (next === null || next.outerHTML === shown.get(region)) continue;
    if (isSelecting(region)) {
      complete = false;
      continue;
    }
    const text = next.outerHTML;
    void htmx.swap({ text, target: region, swap: "outerMorph", sourceElement: document.body });
    shown.set(region, text);
  }
  return complete;
}

async function refresh(): Promise<void> {
  const asked = location.href;
  const headers = { Accept: "text/html", "X-Figures-Version": content()?.dataset["version"] ?? "" };
  const response = await fetch(asked, { cache: "no-store", headers });
  if (response.status === 401) location.reload(); // The session has ended.
  if (!response.ok) throw new Error(String(response.status));
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  if (location.href !== asked) return; // Somebody went on meanwhile.
  const version = fresh.getElementById("content")?.dataset["version"];
  const here = content();
  if (replace(fresh) && version !== undefined && here !== null) here.dataset["version"] = version;
}

function connected(is: boolean): void {
  document.documentElement.toggleAttribute("data-lost", !is);
  const place = document.getElementById("connection");
  if (place === null) return;
  const text = is ? "" : "Connection lost: what you see is the last the dashboard said. It goes on by itself.";
  if (place.textContent !== text) place.textContent = text;
}

let timer = 0;
let asking = false;
let told = false; // Whether something was counted since we last asked.
let restUntil = 0;

function askIn(ms: number): void {
  clearTimeout(timer);
  timer = window.setTimeout(run, ms);
}

async function run(): Promise<void> {
  const began = performance.now();
  [asking, told] = [true, false];
  if (!document.hidden && document.querySelector("[data-live]") !== null) {
    try {
      await refresh();
      connected(true);
    } catch {
      connected(false);
    }
  }
  const rest = REST * (performance.now() - began);
  [asking, restUntil] = [false, performance.now() + rest];
  askIn(told ? rest : Math.max(EVERY_MS, rest));
}

function moved(): void {
  told = true;
  if (!asking) askIn(Math.max(0, restUntil - performance.now()));
}

// The server tells when figures have moved. A hidden page listens to nothing, and neither does one that shows nothing
// live: a browser has few connections to give. A refusal (too many pages listen) ends a stream for good; the browser
// comes back from anything else by itself.
let stream: EventSource | null = null;

function listen(): void {
  const wanted = !document.hidden && document.querySelector("[data-live]") !== null;
  if (wanted === (stream !== null)) return;
  stream?.close();
  stream = wanted ? new EventSource("/live") : null;
  stream?.addEventListener("figures", moved);
}

askIn(EVERY_MS);
listen();
document.addEventListener("htmx:after:swap", listen);
document.addEventListener("visibilitychange", () => {
  listen();
  if (!document.hidden) moved();
});
