"use strict";
// The page is complete without this script: it adds tabs, sorting, filters, and attention to explore.

const find = (id) => document.getElementById(id);
const make = (tag, properties, ...children) => {
  const found = Object.assign(document.createElement(tag), properties);
  found.append(...children);
  return found;
};

// Tabs: one panel at a time, chosen by click, by arrow keys, or by the address's fragment.

const panels = [...document.querySelectorAll(".panel")];

function open(name, focus) {
  for (const panel of panels) panel.hidden = panel.id !== name;
  for (const tab of find("tabs").children) {
    const chosen = tab.dataset.panel === name;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    if (chosen && focus) tab.focus();
  }
}

function showTabs() {
  const tabs = find("tabs");
  for (const panel of panels) {
    const title = panel.querySelector("h2").textContent;
    const tab = make("button", { type: "button", id: `tab-${panel.id}` }, title);
    tab.dataset.panel = panel.id;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", panel.id);
    panel.setAttribute("role", "tabpanel");
    tab.addEventListener("click", () => open(panel.id));
    tabs.append(tab);
  }
  tabs.addEventListener("keydown", (event) => {
    const moves = { ArrowRight: 1, ArrowLeft: -1 };
    const place = panels.findIndex((panel) => !panel.hidden);
    let next = place + (moves[event.key] ?? 0);
    if (event.key === "Home") next = 0;
    if (event.key === "End") next = panels.length - 1;
    if (next === place) return;
    event.preventDefault();
    open(panels[(next + panels.length) % panels.length].id, true);
  });
  tabs.hidden = panels.length < 2;
  const asked = decodeURIComponent(location.hash.slice(1));
  open(panels.some((panel) => panel.id === asked) ? asked : panels[0]?.id);
}

// Tables: a click on a heading sorts; long tables have a filter.

const valueOf = (row, column) => {
  const cell = row.cells[column];
  return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
};

function order(a, b) {
  if (typeof a === "number" && typeof b === "number") return (Number.isNaN(a) ? -Infinity : a) - (Number.isNaN(b) ? -Infinity : b);
  if (typeof a !== typeof b) return typeof a === "number" ? 1 : -1;
  return a.localeCompare(b);
}

function sort(table, column) {
  const heading = table.tHead.rows[0].cells[column];
  const down = heading.getAttribute("aria-sort") !== "descending";
  for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => (down ? -1 : 1) * order(valueOf(a, column), valueOf(b, column)));
  table.tBodies[0].append(...rows);
}

function addFilter(table) {
  const rows = [...table.tBodies[0].rows];
  const count = make("output", {});
  const input = make("input", { type: "search", placeholder: "Filter rows" });
  input.setAttribute("aria-label", `Filter: ${table.caption?.textContent ?? "rows"}`);
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    count.textContent = `${shown} of ${rows.length}`;
  };
  input.addEventListener("input", apply);
  apply();
  table.parentElement.before(make("div", { className: "filter" }, input, count));
}

function addSorting(table) {
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = make("button", { type: "button" }, heading.textContent);
    button.addEventListener("click", () => sort(table, column));
    heading.replaceChildren(button);
  });
  if (table.tBodies[0].rows.length > 4) addFilter(table);
}

// Attention and saliency: a map of one row, by layer and head or averaged; a word shows its links.

const everyHeat = JSON.parse(find("heats-data").textContent);

function weightsOf(heat) {
  const bytes = Uint8Array.from(atob(heat.weights), (letter) => letter.charCodeAt(0));
  return new Uint16Array(bytes.buffer);
}

// The mean over the chosen layers and heads; "all" is every one.
function mean(heat, layer, head) {
  const [layers, heads, down, across] = heat.shape;
  const values = weightsOf(heat);
  const own = (asked, count) => (asked === "all" ? [...Array(count).keys()] : [Number(asked)]);
  const found = new Float64Array(down * across);
  const chosen = own(layer, layers).flatMap((l) => own(head, heads).map((h) => l * heads + h));
  for (const map of chosen)
    for (let place = 0; place < found.length; place++) found[place] += values[map * found.length + place];
  return found.map((value) => value / chosen.length / 65535);
}

const percent = (value) => `${(100 * value).toFixed(1)}%`;

function drawMap(box, heat, layer, head) {
  const [, , down, across] = heat.shape;
  const values = mean(heat, layer, head);
  const table = make("table", { className: "map" });
  const names = heat.source.map((token) => make("th", { scope: "col" }, make("span", { dir: "auto" }, token)));
  table.append(make("thead", {}, make("tr", {}, make("td", {}), ...names)));
  const body = make("tbody", {});
  for (let row = 0; row < down; row++) {
    const links = [...values.slice(row * across, (row + 1) * across)];
    const show = () => light(box, table, row, heat, links);
    const word = make("button", { type: "button", dir: "auto" }, heat.output[row]);
    word.addEventListener("focus", show);
    const line = make("tr", {}, make("th", { scope: "row" }, word));
    links.forEach((weight, column) => {
      const cell = make("td", { title: `${heat.output[row]} \u2190 ${heat.source[column]}: ${percent(weight)}` });
      cell.dataset.weight = weight.toFixed(5);
      cell.style.background = `color-mix(in srgb, var(--mark) ${Math.round(100 * weight)}%, transparent)`;
      line.append(cell);
    });
    line.addEventListener("mouseenter", show);
    body.append(line);
  }
  table.append(body);
  box.querySelector(".map-place").replaceChildren(table);
}

function light(box, table, row, heat, links) {
  for (const cell of table.querySelectorAll(".lit, .near")) cell.classList.remove("lit", "near");
  const best = links.map((weight, column) => [weight, column]).sort((a, b) => b[0] - a[0]).slice(0, 5);
  table.tBodies[0].rows[row].cells[0].firstChild.classList.add("lit");
  for (const [weight, column] of best.filter(([weight]) => weight >= 0.05)) {
    table.tHead.rows[0].cells[column + 1].classList.add("lit");
    table.tBodies[0].rows[row].cells[column + 1].classList.add("near");
  }
  const said = best.map(([weight, column]) => `${heat.source[column]} ${percent(weight)}`).join(", ");
  box.querySelector(".links").textContent = `${heat.output[row]} \u2190 ${said}`;
}

const choice = (label, options) => {
  const select = make("select", {}, ...options.map(([value, text]) => make("option", { value }, text)));
  return [make("label", {}, `${label} `, select), select];
};

function showHeats(box) {
  const heats = everyHeat[box.dataset.heats];
  const rows = heats.map((heat, number) => [number, `${heat.row} (${heat.why})`]);
  const [rowLabel, row] = choice("Row", rows);
  const [layerLabel, layer] = choice("Layer", []);
  const [headLabel, head] = choice("Head", []);
  const numbered = (count, averaged) => [["all", averaged ? "mean (averaged for size)" : "mean"], ...[...Array(count > 1 ? count : 0).keys()].map((n) => [n, n + 1])];
  const refill = (select, options) => select.replaceChildren(...options.map(([value, text]) => make("option", { value }, String(text))));
  const draw = () => {
    drawMap(box, heats[row.value], layer.value, head.value);
    box.querySelector(".links").textContent = "Point at a line, or move to an output token with Tab, to see its links.";
    box.querySelector(".alignment").textContent = [
      heats[row.value].cut ? "Long texts are cut." : "",
      heats[row.value].alignment ? `Alignment of words: ${heats[row.value].alignment}` : "",
    ].join(" ");
  };
  const start = () => {
    const heat = heats[row.value];
    layerLabel.hidden = heat.shape[0] < 2;
    headLabel.hidden = heat.shape[1] < 2;
    refill(layer, numbered(heat.shape[0], heat.averaged));
    refill(head, numbered(heat.shape[1], heat.averaged));
    draw();
  };
  const links = make("p", { className: "links" });
  links.setAttribute("role", "status");
  box.append(
    make("div", { className: "controls" }, rowLabel, layerLabel, headLabel),
    links,
    make("div", { className: "map-place scroll" }),
    make("p", { className: "alignment" }),
  );
  row.addEventListener("change", start);
  layer.addEventListener("change", draw);
  head.addEventListener("change", draw);
  start();
}

document.documentElement.classList.add("scripted");
document.querySelectorAll(".panel table").forEach(addSorting);
document.querySelectorAll("[data-heats]").forEach(showHeats);
showTabs();
