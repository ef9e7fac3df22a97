// Menus are <details>: they open without us. Here they close, and the link is copied.

function closeAll(but: Element | null = null): void {
  for (const menu of document.querySelectorAll<HTMLDetailsElement>("details.menu[open]")) {
    if (menu !== but) menu.open = false;
  }
}

document.addEventListener("click", (event) => {
  const target = event.target as Element;
  const menu = target.closest("details.menu");
  closeAll(target.closest("summary") !== null || target.closest("form") !== null ? menu : null);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const open = document.querySelector<HTMLDetailsElement>("details.menu[open]");
  closeAll();
  open?.querySelector("summary")?.focus();
});

document.addEventListener("htmx:before:request", () => closeAll());

async function copy(button: HTMLElement): Promise<void> {
  const words = button.textContent;
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Copy it from the address bar";
  }
  window.setTimeout(() => { button.textContent = words; }, 1600);
}

document.addEventListener("click", (event) => {
  const button = (event.target as Element).closest<HTMLElement>("[data-copy-link]");
  if (button !== null && !button.dataset["copied"]) void copy(button);
});
