// Light, dark, or as the system has it. A cookie keeps it, so that the server's next page has it from the start.

function choose(theme: string): void {
  const root = document.documentElement;
  if (theme === "system") root.removeAttribute("data-theme");
  else root.dataset["theme"] = theme;
  document.cookie = `theme=${theme}; path=/; max-age=31536000; samesite=strict`;
  for (const one of document.querySelectorAll<HTMLElement>("[data-theme-choice]")) {
    one.setAttribute("aria-pressed", String(one.dataset["themeChoice"] === theme));
  }
  document.dispatchEvent(new Event("countinghouse:theme"));
}

document.addEventListener("click", (event) => {
  const button = (event.target as Element).closest<HTMLElement>("[data-theme-choice]");
  if (button !== null) choose(button.dataset["themeChoice"] ?? "system");
});
