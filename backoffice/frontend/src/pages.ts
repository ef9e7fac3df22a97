// What happens around a page that htmx puts in place of another: where it stands, and that one is on its way.

let path = location.pathname;

// A link to elsewhere begins at its top; another choice on the same page stays where somebody is looking.
document.addEventListener("htmx:after:swap", () => {
  if (location.pathname !== path) scrollTo(0, 0);
  path = location.pathname;
});

let loading = 0;
let asked = 0; // A page that is asked for takes the place of one still on its way, which ends after it began.
const root = document.documentElement;

document.addEventListener("htmx:before:request", () => {
  asked += 1;
  window.clearTimeout(loading);
  loading = window.setTimeout(() => root.toggleAttribute("data-loading", true), 150);
});

document.addEventListener("htmx:finally:request", () => {
  asked -= 1;
  if (asked > 0) return;
  window.clearTimeout(loading);
  root.toggleAttribute("data-loading", false);
});

document.addEventListener("htmx:error", () => {
  const place = document.getElementById("connection");
  if (place !== null) place.textContent = "The dashboard gave no answer. What you see is the page before; try again.";
});
