// All of this is comfort: without it the page shows the same.
"use strict";
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const dialog = document.querySelector("dialog");

// A cell's value: a number with its unit's letter, else its text; a dash comes last.
const SIZES = { k: 1e3, M: 1e6, G: 1e9 };
function value(cell) {
  const text = cell.textContent.trim();
  const found = text.replace("−", "-").match(/^([+-]?[\d.]+(?:e[+-]?\d+)?)\s?([kMG](?![a-z]))?/);
  return found ? Number(found[1]) * (SIZES[found[2]] ?? 1) : text === "–" ? Infinity : text;
}
function compare(a, b) {
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
}
function sort(heading) {
  const down = heading.getAttribute("aria-sort") === "ascending";
  const column = [...heading.parentNode.children].indexOf(heading);
  const table = heading.closest("table");
  all("thead th", table).forEach((other) => other.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter((row) => !row.matches(".arm"));
    const order = rows.map((row) => [value(row.cells[column]), row]);
    order.sort(([a], [b]) => (down ? compare(b, a) : compare(a, b)));
    body.append(...order.map(([, row]) => row));
  }
}
for (const heading of all("table.sortable thead th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...heading.childNodes);
  button.addEventListener("click", () => sort(heading));
  heading.append(button);
}

// A number's runs, in a window over the page; the link itself leads to them as well.
function origin(ids) {
  const rows = document.querySelector("table.runs");
  const copy = document.createElement("table");
  copy.className = rows.className;
  copy.append(rows.tHead.cloneNode(true));
  for (const id of new Set(ids)) {
    const target = document.getElementById(id);
    const whole = target.matches("tbody");
    const body = target.closest("tbody").cloneNode(whole);
    if (!whole) body.append(target.parentNode.rows[0].cloneNode(true), target.cloneNode(true));
    copy.append(body);
  }
  all("[id]", copy).forEach((element) => element.removeAttribute("id"));
  all("thead th", copy).forEach((heading) => heading.replaceChildren(heading.textContent));
  return copy;
}
document.addEventListener("click", (event) => {
  const link = event.target.closest("a.from");
  const inside = event.target.closest("dialog a[href^='#']");
  if (inside) dialog.close();
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const ids = [link.hash.slice(1), ...(link.dataset.and ?? "").split(" ").filter(Boolean)];
  dialog.querySelector(".body").replaceChildren(origin(ids));
  dialog.showModal();
});
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());

// Folds: opened by a link into them, all or none by a button, and all on paper.
function reveal() {
  let element = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const target = element;
  for (; element; element = element.parentElement) if (element.matches("details")) element.open = true;
  target?.querySelectorAll(":scope > details").forEach((fold) => (fold.open = true));
  target?.scrollIntoView();
}
addEventListener("hashchange", reveal);
if (location.hash) reveal();
const setAll = (open) => all("details").forEach((fold) => (fold.open = open));
let before = [];
addEventListener("beforeprint", () => {
  before = all("details:not([open])");
  setAll(true);
});
addEventListener("afterprint", () => before.forEach((fold) => (fold.open = false)));

const DO = {
  scheme() {
    const root = document.documentElement;
    const dark = root.dataset.scheme ? root.dataset.scheme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.scheme = dark ? "light" : "dark";
  },
  fold: () => setAll(false),
  unfold: () => setAll(true),
  print: () => print(),
  close: () => dialog.close(),
};
for (const button of all("[data-do]")) button.addEventListener("click", DO[button.dataset.do]);
document.querySelector(".tools").hidden = false;
