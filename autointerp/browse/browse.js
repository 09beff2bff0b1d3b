// Keys, copying, and what hangs on pointing. Every page can be read and every form sent without it.
"use strict";

const KEYS = {
  n: () => follow("a[rel=next]"),
  p: () => follow("a[rel=prev]"),
  r: () => follow("a[data-key=r]"),
  o: () => follow("nav a[href='/']"),
  j: () => step(1),
  k: () => step(-1),
  "/": () => document.querySelector("input[type=search], textarea")?.focus(),
  "?": () => document.getElementById("keys")?.toggleAttribute("hidden"),
};

function follow(selector) {
  document.querySelector(selector)?.click();
}

// The next or the previous row's link.
function step(by) {
  const links = [...document.querySelectorAll("[data-rows] tr td:first-child a, [data-rows] > li > a")];
  if (!links.length) return;
  const at = links.indexOf(document.activeElement);
  const next = links[at < 0 ? (by > 0 ? 0 : links.length - 1) : at + by];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  const field = event.target.closest("input, textarea, select");
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) field?.form?.requestSubmit();
  if (event.key === "Escape") {
    document.getElementById("keys")?.setAttribute("hidden", "");
    field?.blur();
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (field && field.type !== "checkbox") return;
  const act = KEYS[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = "copied";
  setTimeout(() => (button.textContent = "copy"), 1200);
});

// Boxes to tick stay as they were left, from page to page.
for (const box of document.querySelectorAll("input[type=checkbox][data-kept]")) {
  box.checked = localStorage.getItem(box.id) === "on";
  box.addEventListener("change", () => localStorage.setItem(box.id, box.checked ? "on" : ""));
}
for (const hidden of document.querySelectorAll("[data-scripted]")) hidden.hidden = false;
