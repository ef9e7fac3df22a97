// Ctrl-K: every link of the page's navigation and menus by its words, and products by theirs.
import htmx from "htmx.org";

interface Place {
  words: string;
  kind: string;
  go: () => void;
}

const MOST = 12;
let shown: Place[] = [];
let at = 0;

const dialog = (): HTMLDialogElement => document.getElementById("palette") as HTMLDialogElement;
const field = (): HTMLInputElement => document.getElementById("palette-text") as HTMLInputElement;
const list = (): HTMLElement => document.getElementById("palette-list") as HTMLElement;

function linked(selector: string, kind: string): Place[] {
  return [...document.querySelectorAll<HTMLAnchorElement>(selector)].map((link) => ({
    words: link.textContent?.trim() ?? "", kind, go: () => link.click(),
  }));
}

function places(text: string): Place[] {
  const menus = [...document.querySelectorAll("#picker details.menu")].flatMap((menu, index) => {
    const kind = menu.querySelector("summary .sr")?.textContent?.replace(/:\s*$/, "") ?? "";
    menu.id ||= `menu-${index}`;
    return linked(`#${menu.id} a`, kind);
  });
  const themes = [...document.querySelectorAll<HTMLElement>("[data-theme-choice]")].map((button) => ({
    words: button.textContent?.trim() ?? "", kind: "Colours", go: () => button.click(),
  }));
  const every = [...linked(".masthead nav a, .tabs a", "Page"), ...menus, ...themes];
  const wanted = text.trim().toLowerCase();
  const found = every.filter((one) => `${one.kind} ${one.words}`.toLowerCase().includes(wanted)).slice(0, MOST);
  if (wanted === "") return found;
  const query = new URLSearchParams(location.search);
  for (const name of ["metric", "id", "page", "sort", "dir"]) query.delete(name);
  query.set("q", text.trim().slice(0, 200));
  const url = `/products?${query}`;
  const go = (): void => void htmx.ajax("GET", url, { target: "body", swap: "outerMorph", push: url } as never);
  return [...found, { words: text.trim(), kind: "Products named", go }];
}

function draw(): void {
  shown = places(field().value);
  at = Math.min(at, Math.max(0, shown.length - 1));
  list().replaceChildren(...shown.map((place, index) => {
    const row = document.createElement("li");
    const kind = document.createElement("span");
    kind.className = "kind";
    kind.textContent = place.kind;
    row.append(kind, place.words);
    row.id = `palette-${index}`;
    row.role = "option";
    row.ariaSelected = String(index === at);
    row.dataset["index"] = String(index);
    return row;
  }));
  field().setAttribute("aria-activedescendant", shown.length > 0 ? `palette-${at}` : "");
  document.getElementById(`palette-${at}`)?.scrollIntoView({ block: "nearest" });
}

function go(index: number): void {
  const place = shown[index];
  if (place === undefined) return;
  dialog().close();
  place.go();
}

document.addEventListener("countinghouse:open", (event) => {
  if (event.target !== dialog()) return;
  field().value = "";
  at = 0;
  draw();
}, true);

document.addEventListener("input", (event) => {
  if (event.target !== field()) return;
  at = 0;
  draw();
});

document.addEventListener("keydown", (event) => {
  if (event.target !== field()) return;
  if (event.key === "Enter") {
    event.preventDefault();
    go(at);
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    at = (at + (event.key === "ArrowDown" ? 1 : shown.length - 1)) % Math.max(1, shown.length);
    draw();
  }
});

document.addEventListener("click", (event) => {
  const row = (event.target as Element).closest<HTMLElement>("#palette-list li");
  if (row !== null) go(Number(row.dataset["index"]));
});
