// Reads the page again when figures have moved, and every two seconds, and puts in place what changed. Without it the
// pages work as well.
"use strict";

const EVERY_MS = 2000;
const REST = 4; // After an answer that took long, wait this many times as long: an open page is no load.
const connection = document.getElementById("connection");
const content = document.getElementById("content");

function busy(region) {
  const selection = document.getSelection();
  const selecting = selection !== null && !selection.isCollapsed && region.contains(selection.anchorNode);
  return selecting || region.contains(document.activeElement);
}

// Whether everything fresh could be put in place; what somebody is using stays as it is until they are done.
function replace(fresh) {
  let complete = true;
  for (const region of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(region.id);
    if (next === null || next.outerHTML === region.outerHTML) continue;
    if (busy(region)) {
      complete = false;
      continue;
    }
    const places = [...region.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
    region.replaceChildren(...next.childNodes);
    region.className = next.className;
    region.querySelectorAll(".scroll").forEach((one, index) => { one.scrollLeft = places[index] ?? 0; });
  }
  return complete;
}

async function refresh() {
  const headers = { Accept: "text/html", "X-Figures-Version": content.dataset.version };
  const response = await fetch(location.href, { cache: "no-store", headers });
  if (response.status === 401) location.reload(); // The session has ended.
  if (!response.ok) throw new Error(String(response.status));
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  const version = fresh.getElementById("content")?.dataset.version;
  if (replace(fresh) && version !== undefined) content.dataset.version = version;
}

let timer = 0;
let asking = false;
let told = false; // Whether something was counted since we last asked.
let restUntil = 0;

function askIn(ms) {
  clearTimeout(timer);
  timer = setTimeout(run, ms);
}

async function run() {
  const began = performance.now();
  [asking, told] = [true, false];
  if (!document.hidden) {
    try {
      await refresh();
      connection.textContent = "";
    } catch {
      connection.textContent = "No answer from the dashboard: what you see is the last it said.";
    }
  }
  const rest = REST * (performance.now() - began);
  [asking, restUntil] = [false, performance.now() + rest];
  askIn(told ? rest : Math.max(EVERY_MS, rest));
}

function moved() {
  told = true;
  if (!asking) askIn(Math.max(0, restUntil - performance.now()));
}

// The server tells when figures have moved. A hidden page listens to nothing: a browser has few connections to give.
let stream = null;

function listen() {
  stream?.close();
  stream = null;
  if (document.hidden) return;
  stream = new EventSource("/live");
  stream.addEventListener("figures", moved);
}

if (document.querySelector("[data-live]") !== null) {
  askIn(EVERY_MS);
  listen();
  document.addEventListener("visibilitychange", listen);
}
