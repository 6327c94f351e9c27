"use strict";
const sheet = JSON.parse(document.getElementById("sheet").textContent);
const store = `hf-seq2seq-rating-${sheet.sheet}`;
const mostPoints = 11; // a longer scale is a slider
const needed = sheet.criteria.length * sheet.rows.reduce((sum, row) => sum + row.texts.length, 0);
let ratings = {}; // by the text's id, then by criterion
let current = 0; // the row on the page
let kept = true; // whether the browser keeps the ratings
let saved = true; // whether a file holds the latest rating

const find = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const title = (word) => word[0].toUpperCase() + word.slice(1);
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

// What is kept and saved.

function contents() {
  return { sheet: sheet.sheet, rater: find("rater").value.trim(), ratings };
}

function isRating(value) {
  return Number.isInteger(value) && value >= sheet.low && value <= sheet.high;
}

/** Takes over ratings of this sheet, and nothing else; says whether they were such. */
function take(text) {
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    return false;
  }
  if (found?.sheet !== sheet.sheet || typeof found.ratings !== "object") return false;
  ratings = {};
  for (const { id } of sheet.rows.flatMap((row) => row.texts))
    for (const { name } of sheet.criteria)
      if (isRating(found.ratings?.[id]?.[name])) (ratings[id] ??= {})[name] = found.ratings[id][name];
  find("rater").value = typeof found.rater === "string" ? found.rater : "";
  return true;
}

function keep() {
  try {
    localStorage.setItem(store, JSON.stringify(contents()));
    kept = true;
  } catch {
    kept = false; // some browsers keep nothing for pages opened from files
  }
  find("kept").classList.toggle("lost", !kept);
  find("kept").textContent = kept
    ? "This browser keeps your ratings when you close the page. Save them when you have finished, and send the file to whoever asked you."
    : "This browser keeps nothing: save your ratings before you close the page. You can continue with the saved file later.";
}

function restore() {
  try {
    take(localStorage.getItem(store));
  } catch {
    kept = false;
  }
}

function rate(id, name, value) {
  (ratings[id] ??= {})[name] = value;
  saved = false;
  keep();
  showProgress();
}

// What is shown.

const openIn = (row) => sheet.criteria.length * row.texts.length
  - row.texts.reduce((sum, { id }) => sum + Object.keys(ratings[id] ?? {}).length, 0);

const firstOpen = () => sheet.rows.findIndex((row) => openIn(row) > 0);

function showProgress() {
  const open = sheet.rows.reduce((sum, row) => sum + openIn(row), 0);
  find("progress").max = needed;
  find("progress").value = needed - open;
  find("progress-text").textContent = `${needed - open} of ${plural(needed, "rating")} given`;
  sheet.rows.forEach((row, number) => {
    find("go").options[number].textContent = `${number + 1}${openIn(row) ? "" : " \u2713 rated"}`;
  });
}

function showGuidelines() {
  for (const { name, question, guidelines } of sheet.criteria)
    find("criteria").append(make("dt", {}, `${title(name)}: ${question}`), make("dd", {}, guidelines));
  find("go").append(...sheet.rows.map((_, number) => make("option", { value: number })));
}

function textBlock(text) {
  if (!text.trim()) return make("p", { className: "hint" }, "(an empty text)");
  return make("p", { className: "text", dir: "auto", lang: "" }, text);
}

function context(name, text) {
  return make("div", { className: "context" }, make("h3", {}, name), textBlock(text));
}

function pointName(points, value) {
  if (sheet.high - sheet.low + 1 === points.length) return points[value - sheet.low];
  return value === sheet.low ? points[0] : value === sheet.high ? points.at(-1) : "";
}

function radios(id, criterion, changed) {
  const labels = [];
  for (let value = sheet.low; value <= sheet.high; value++) {
    const checked = ratings[id]?.[criterion.name] === value;
    const radio = make("input", { type: "radio", name: `${id}-${criterion.name}`, value, checked });
    radio.addEventListener("change", () => changed(value));
    labels.push(make("label", {}, radio, `${value} ${pointName(criterion.points, value)}`.trim()));
  }
  return make("div", { className: "points" }, ...labels);
}

function slider(id, criterion, changed) {
  const given = ratings[id]?.[criterion.name];
  const output = make("output", {}, given ?? "not rated");
  const range = make("input", { type: "range", min: sheet.low, max: sheet.high });
  range.value = given ?? Math.round((sheet.low + sheet.high) / 2);
  range.setAttribute("aria-label", `${title(criterion.name)}, ${sheet.low} to ${sheet.high}`);
  if (given === undefined) range.setAttribute("aria-valuetext", "not rated");
  const moved = () => {
    output.textContent = range.value;
    range.removeAttribute("aria-valuetext");
    changed(Number(range.value));
  };
  range.addEventListener("input", moved);
  range.addEventListener("click", moved); // where the slider stands already
  const ends = [sheet.low, sheet.high].map((value) =>
    make("span", { className: "hint" }, `${value} ${pointName(criterion.points, value)}`));
  return make("div", { className: "slider" }, range, ends[0], output, ends[1]);
}

function question(id, letter, criterion) {
  const legend = make("legend", {}, title(criterion.name), make("span", { className: "unseen" }, ` of text ${letter}`));
  const hint = make("p", { className: "hint", id: `${id}-${criterion.name}-hint` }, criterion.question);
  const group = make("fieldset", {}, legend, hint);
  group.setAttribute("aria-describedby", hint.id);
  const changed = (value) => {
    group.classList.add("rated");
    rate(id, criterion.name, value);
  };
  group.classList.toggle("rated", ratings[id]?.[criterion.name] !== undefined);
  const isLong = sheet.high - sheet.low + 1 > mostPoints;
  group.append((isLong ? slider : radios)(id, criterion, changed));
  if (!isLong) group.addEventListener("keydown", (event) => chooseByDigit(event, group));
  return group;
}

/** A digit chooses its point, and the next question gets the focus. */
function chooseByDigit(event, group) {
  if (event.ctrlKey || event.altKey || event.metaKey || !/^[0-9]$/.test(event.key)) return;
  const value = event.key === "0" && sheet.low > 0 ? 10 : Number(event.key);
  const radio = group.querySelector(`input[value="${value}"]`);
  if (!radio) return;
  event.preventDefault();
  radio.click();
  const groups = [...document.querySelectorAll("#row fieldset")];
  const following = groups[groups.indexOf(group) + 1];
  const target = following?.querySelector(":checked") ?? following?.querySelector("input") ?? find("next");
  (target.disabled ? find("rater") : target).focus();
}

function showRow(number) {
  current = number;
  const row = sheet.rows[number];
  const heading = make("h2", { id: "row-title", tabIndex: -1 }, `Row ${number + 1} of ${sheet.rows.length}`);
  const parts = row.image ? [make("img", { src: row.image, alt: "The picture that the texts describe" })] : [];
  if (row.source !== null) parts.push(context("Source", row.source));
  parts.push(...row.references.map((text) => context("Reference", text)));
  for (const { id, text } of row.texts) {
    const letter = id.replace(/[0-9]+/, "");
    const questions = sheet.criteria.map((criterion) => question(id, letter, criterion));
    parts.push(make("article", {}, make("h3", {}, `Text ${letter}`), textBlock(text), ...questions));
  }
  find("row").replaceChildren(heading, ...parts);
  find("previous").disabled = number === 0;
  find("next").disabled = number === sheet.rows.length - 1;
  find("go").value = number;
}

function goTo(number) {
  showRow(number);
  find("row-title").focus({ preventScroll: true });
  find("row").scrollIntoView();
}

function showAll(number) {
  showProgress();
  showRow(number);
}

// What the rater does.

function complain(text) {
  find("rater-error").textContent = text;
  find("rater").setAttribute("aria-invalid", String(text !== ""));
  if (text) find("rater").focus();
}

function saveFile(event) {
  event.preventDefault();
  const { rater } = contents();
  if (!rater) return complain("Please give a name, so that your ratings can be told apart from others'.");
  complain("");
  const file = new Blob([JSON.stringify(contents(), null, 1), "\n"], { type: "application/json" });
  const name = rater.replace(/[^\p{L}\p{M}\p{N}]+/gu, "-");
  const link = make("a", { href: URL.createObjectURL(file), download: `ratings-${name}-${sheet.sheet.slice(0, 6)}.json` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  saved = true;
  const open = firstOpen();
  find("message").textContent = open < 0
    ? `Saved as ${link.download}. All ratings are given: thank you.`
    : `Saved as ${link.download}. Ratings are still open, the first in row ${open + 1}.`;
}

async function openFile() {
  const [file] = find("open").files;
  if (!file) return;
  const text = await file.text();
  find("open").value = "";
  if (Object.keys(ratings).length && !confirm("Replace the ratings on this page by those of the file?")) return;
  const taken = take(text);
  find("message").textContent = taken ? `Opened ${file.name}.` : `${file.name} contains no ratings of this sheet.`;
  if (!taken) return;
  keep();
  showAll(Math.max(firstOpen(), 0));
}

function clearAll() {
  if (!confirm("Clear all ratings and the name, for another rater?")) return;
  ratings = {};
  find("rater").value = "";
  saved = true;
  keep();
  find("message").textContent = "All ratings are cleared.";
  showAll(0);
}

find("previous").addEventListener("click", () => goTo(current - 1));
find("next").addEventListener("click", () => goTo(current + 1));
find("go").addEventListener("change", () => goTo(Number(find("go").value)));
find("rater").addEventListener("input", keep);
find("save").addEventListener("submit", saveFile);
find("open").addEventListener("change", openFile);
find("clear").addEventListener("click", clearAll);
addEventListener("storage", (event) => {
  // The same sheet in another tab: both show what was rated last.
  if (event.key === store && take(event.newValue)) showAll(current);
});
addEventListener("beforeunload", (event) => {
  if (!kept && !saved) event.preventDefault();
});

showGuidelines();
restore();
keep();
showAll(Math.max(firstOpen(), 0));
