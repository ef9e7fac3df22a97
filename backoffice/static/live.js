// Reads the page again every two seconds and puts in place what changed. Without it the pages work as well.
"use strict";

const EVERY_MS = 2000;
const connection = document.getElementById("connection");

function busy(region) {
  const selection = document.getSelection();
  const selecting = selection !== null && !selection.isCollapsed && region.contains(selection.anchorNode);
  return selecting || region.contains(document.activeElement);
}

function replace(fresh) {
  for (const region of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(region.id);
    if (next === null || next.outerHTML === region.outerHTML || busy(region)) continue;
    const places = [...region.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
    region.replaceChildren(...next.childNodes);
    region.className = next.className;
    region.querySelectorAll(".scroll").forEach((one, index) => { one.scrollLeft = places[index] ?? 0; });
  }
}

async function refresh() {
  const response = await fetch(location.href, { cache: "no-store", headers: { Accept: "text/html" } });
  if (!response.ok) throw new Error(String(response.status));
  replace(new DOMParser().parseFromString(await response.text(), "text/html"));
}

async function run() {
  if (!document.hidden) {
    try {
      await refresh();
      connection.textContent = "";
    } catch {
      connection.textContent = "No answer from the dashboard: what you see is the last it said.";
    }
  }
  setTimeout(run, EVERY_MS);
}

if (document.querySelector("[data-live]") !== null) setTimeout(run, EVERY_MS);
