// The chart of a page: fetched when there is one to draw, drawn again when its table or the colours have changed.

const seen = new WeakSet<Element>();

async function draw(place: HTMLElement): Promise<void> {
  const { drawChart } = await import("./chart");
  drawChart(place);
}

function drawAll(): void {
  for (const place of document.querySelectorAll<HTMLElement>(".chart")) {
    void draw(place);
    const table = document.getElementById(place.dataset["table"] ?? "");
    if (table === null || seen.has(table)) continue;
    seen.add(table);
    new MutationObserver(() => void draw(place)).observe(table, { subtree: true, childList: true, characterData: true });
  }
}

document.addEventListener("htmx:after:swap", drawAll);
document.addEventListener("countinghouse:theme", drawAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
addEventListener("resize", drawAll);
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", drawAll);
else drawAll();
