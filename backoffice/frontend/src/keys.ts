// Keys press what carries their name in `data-key`, so a page has exactly the keys of what is on it.

const PAUSE_MS = 1200;
let first = ""; // The first of two keys, as in `g o`.
let forget = 0;

function isWriting(target: EventTarget | null): boolean {
  const one = target as HTMLElement | null;
  return one !== null && (one.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(one.tagName));
}

function open(id: string): void {
  const dialog = document.getElementById(id);
  if (!(dialog instanceof HTMLDialogElement) || dialog.open) return;
  dialog.showModal();
  dialog.dispatchEvent(new Event("countinghouse:open"));
}

function search(): void {
  const field = document.getElementById("search");
  if (field instanceof HTMLInputElement) field.select();
  else open("palette");
}

function press(keys: string): boolean {
  const found = [...document.querySelectorAll<HTMLElement>("[data-key]")].find((one) => one.dataset["key"] === keys);
  found?.click();
  return found !== undefined;
}

function typed(event: KeyboardEvent): void {
  const keys = first === "" ? event.key : `${first} ${event.key}`;
  first = "";
  if (keys === "g") {
    first = "g";
    window.clearTimeout(forget);
    forget = window.setTimeout(() => { first = ""; }, PAUSE_MS);
  } else if (keys === "/") {
    event.preventDefault();
    search();
  } else if (press(keys)) event.preventDefault();
}

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    open("palette");
  } else if (!event.ctrlKey && !event.metaKey && !event.altKey && !isWriting(event.target)
    && document.querySelector("dialog[open]") === null) typed(event);
});

document.addEventListener("click", (event) => {
  const target = event.target as Element;
  const opener = target.closest<HTMLElement>("[data-open]");
  if (opener !== null) open(opener.dataset["open"] ?? "");
  if (target instanceof HTMLDialogElement) target.close(); // The ground around it.
});
