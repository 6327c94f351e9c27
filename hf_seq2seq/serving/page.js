"use strict";

const byId = (id) => document.getElementById(id);
const state = { models: [], schema: {}, given: {}, chat: [], asking: null, batch: null, key: "" };
const BATCH = 16;

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function headers() {
  const found = { "Content-Type": "application/json" };
  if (state.key) found.Authorization = `Bearer ${state.key}`;
  return found;
}

async function send(path, fields, signal) {
  let answer;
  try {
    const more = fields ? { method: "POST", body: JSON.stringify(fields) } : {};
    answer = await fetch(path, { headers: headers(), signal, ...more });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is it still running?");
  }
  if (answer.ok) return answer;
  byId("key-form").hidden = answer.status !== 401;
  const told = await answer.json().catch(() => ({}));
  throw new Error(sentence(told.error?.message ?? `The server answered ${answer.status}.`));
}

const ask = async (path, fields, signal) => (await send(path, fields, signal)).json();

function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

function tell(error) {
  byId("message").textContent = error && error.name !== "AbortError" ? error.message : "";
}

const model = () => state.models.find((each) => each.name === byId("model").value);

/* Settings: one control per search option, with the model's default. */

function control(name, about, value) {
  const id = `set-${name}`;
  const label = make("label", { htmlFor: id }, name.replaceAll("_", " "));
  let input;
  if (about.enum) {
    input = make("select", { id }, make("option", { value: "", textContent: "by default" }));
    for (const choice of about.enum) input.append(make("option", { value: choice, textContent: choice }));
  } else if (about.type === "boolean") {
    input = make("input", { id, type: "checkbox", checked: Boolean(value) });
  } else {
    const number = about.type === "integer" || about.type === "number";
    input = make("input", { id, type: number ? "number" : "text" });
    if (number) input.step = about.type === "integer" ? "1" : "any";
    if (about.minimum !== undefined) input.min = about.minimum;
    if (about.maximum !== undefined) input.max = about.maximum;
    input.placeholder = value === null || value === undefined || value === "" ? "" : String(value);
  }
  const help = make("small", { id: `${id}-help`, textContent: about.description });
  input.setAttribute("aria-describedby", help.id);
  input.addEventListener("change", () => {
    read(name, about, input, value);
    input.classList.toggle("changed", name in state.given);
    showChanged();
  });
  label.append(input, help);
  return label;
}

function read(name, about, input, value) {
  delete state.given[name];
  if (about.type === "boolean") {
    if (input.checked !== Boolean(value)) state.given[name] = input.checked;
  } else if (input.value !== "") {
    const number = about.type === "integer" || about.type === "number";
    state.given[name] = number ? Number(input.value) : about.type === "array" ? input.value.split(",") : input.value;
  }
}

function showChanged() {
  const names = Object.keys(state.given);
  byId("changed").textContent = names.length ? `${names.length} changed: ${names.join(", ")}` : "";
}

function showControls() {
  state.given = {};
  showChanged();
  const defaults = model().defaults ?? {};
  const found = Object.keys(defaults).map((name) => control(name, state.schema[name], defaults[name]));
  byId("controls").replaceChildren(...found);
}

function choose() {
  const { kind, examples } = model();
  state.chat = [];
  byId("answers").replaceChildren();
  byId("settings").hidden = kind === "classify";
  byId("clear").hidden = kind !== "chat";
  byId("text-label").textContent = kind === "chat" ? "Message" : "Text";
  const others = state.models.filter((each) => each.kind === kind && each.name !== model().name);
  byId("beside-label").hidden = !others.length || kind === "chat";
  const names = [make("option", { value: "", textContent: "no other" })];
  byId("beside").replaceChildren(...names, ...others.map(({ name }) => make("option", { value: name, textContent: name })));
  byId("examples-label").hidden = !examples?.length;
  const texts = [make("option", { value: "", textContent: "choose one" })];
  byId("examples").replaceChildren(...texts, ...(examples ?? []).map((text) => make("option", { value: text, textContent: text.slice(0, 80) })));
  showControls();
}

/* Answers. */

function fieldsFor(name, text) {
  if (model().kind === "classify") return { model: name, text };
  const source = model().kind === "chat" ? { messages: [...state.chat, { role: "user", content: text }] } : { text };
  return { model: name, ...source, ...state.given };
}

async function generate(name, text, place, signal) {
  const fields = fieldsFor(name, text);
  const about = state.models.find((each) => each.name === name);
  const output = make("div", { className: "output", dir: "auto" });
  place.append(output);
  let whole = null;
  const several = (fields.num_return_sequences ?? 1) > 1;
  if (several) {
    whole = await ask("generate", { ...fields, details: about.details }, signal);
  } else {
    for await (const event of events("generate", { ...fields, stream: true, details: about.details }, signal)) {
      if (event.error) throw new Error(sentence(event.error.message));
      if (event.part) output.textContent += event.part;
      if (event.done) whole = event;
    }
  }
  output.remove();
  for (const said of whole.results[0].outputs) showOutput(place, said, text);
  for (const remark of whole.remarks) place.append(make("p", { className: "soft", textContent: sentence(remark) }));
  const best = whole.results[0].outputs[0].text;
  if (about.details.includes("alignment") && about.kind === "generate" && text.trim() && best.trim()) {
    place.append(attentionOf(name, text, best));
  }
  return best;
}

async function* events(path, fields, signal) {
  const answer = await send(path, fields, signal);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let left = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (left + value).split("\n\n");
    left = parts.pop();
    for (const part of parts) yield JSON.parse(part.slice("data: ".length));
  }
}

function showOutput(place, said, text) {
  place.append(make("div", { className: "output", dir: "auto", textContent: said.text || "(empty)" }));
  if (said.score !== undefined && said.score !== null) {
    place.append(make("p", { className: "score", textContent: `score ${said.score.toFixed(3)}` }));
  }
  if (!said.log_probs?.length) return;
  const words = make("div", { className: "words", dir: "auto" });
  said.tokens.forEach((token, number) => {
    const sure = Math.exp(said.log_probs[number]);
    const shown = make("span", { textContent: visible(token), title: `${(100 * sure).toFixed(1)} % sure`, tabIndex: 0 });
    shown.style.borderBottomColor = `hsl(${120 * sure} 65% 45%)`;
    shown.setAttribute("aria-label", `${visible(token)}, ${(100 * sure).toFixed(0)} percent sure`);
    words.append(shown, " ");
  });
  const view = make("details", {}, make("summary", { textContent: "How sure it was of each token" }), words);
  place.append(view);
}

/* Byte-level tokenizers spell each byte as a printable character: 33 to 126, 161 to 172 and 174 to 255 as themselves,
   the others in order from 256 on. */
const BYTES = new Map();
for (let byte = 0, next = 256; byte < 256; byte += 1) {
  const plain = (byte > 32 && byte < 127) || (byte > 160 && byte < 173) || byte > 173;
  BYTES.set(String.fromCharCode(plain ? byte : next), byte);
  if (!plain) next += 1;
}

function visible(token) {
  const bytes = model().byte_level ? [...token].map((sign) => BYTES.get(sign)) : [undefined];
  const text = bytes.includes(undefined) ? token : new TextDecoder().decode(new Uint8Array(bytes));
  return text.replace(/^[ \u2581]/, "\u2423");
}

function attentionOf(name, text, target) {
  const view = make("details", {}, make("summary", { textContent: "Attention on the source" }));
  view.addEventListener("toggle", async () => {
    if (!view.open || view.dataset.read) return;
    view.dataset.read = "yes";
    try {
      view.append(heatMap(await ask("attention", { model: name, text, target })));
    } catch (error) {
      tell(error);
    }
  });
  return view;
}

function heatMap({ source_tokens: source, target_tokens: target, weights }) {
  const link = (row, column) => {
    view.querySelectorAll(".linked").forEach((node) => node.classList.remove("linked"));
    if (row === null) return;
    view.querySelectorAll(`[data-row="${row}"][data-best]`).forEach((node) => node.classList.add("linked"));
    if (column !== undefined) view.querySelector(`[data-row="${row}"][data-column="${column}"]`).classList.add("linked");
  };
  const head = make("tr", {}, make("td"), ...source.map((token) => make("th", { scope: "col", textContent: visible(token) })));
  const rows = target.map((token, row) => {
    const best = weights[row].indexOf(Math.max(...weights[row]));
    const cells = weights[row].map((weight, column) => {
      const words = `${visible(token)} on ${visible(source[column])}: ${weight.toFixed(2)}`;
      const cell = make("td", { title: words });
      cell.dataset.row = row;
      cell.dataset.column = column;
      if (column === best) cell.dataset.best = "";
      cell.style.background = `color-mix(in srgb, var(--mark) ${Math.round(100 * weight)}%, var(--panel))`;
      cell.addEventListener("mouseenter", () => link(row, column));
      return cell;
    });
    const name = make("th", { scope: "row", textContent: visible(token), tabIndex: 0 });
    name.title = `mostly on ${visible(source[best])}`;
    name.addEventListener("focus", () => link(row));
    name.addEventListener("mouseenter", () => link(row));
    return make("tr", {}, name, ...cells);
  });
  const caption = "Output down, source across; weights are averaged over layers and heads, and are no explanation.";
  const table = make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
  const view = make("div", { className: "map", tabIndex: 0 }, table);
  view.addEventListener("mouseleave", () => link(null));
  return make("div", {}, make("p", { className: "soft", textContent: caption }), view);
}

async function classify(name, text, place, signal) {
  const answer = await ask("classify", { model: name, text }, signal);
  const [{ label, scores }] = answer.results;
  place.append(make("div", { className: "output", textContent: [label].flat().join(", ") || "(no label)" }));
  const bars = make("div", { className: "bars" });
  for (const [each, score] of Object.entries(scores).sort((one, other) => other[1] - one[1])) {
    const id = `bar-${place.dataset.number}-${bars.childElementCount}`;
    const meter = make("meter", { id, min: 0, max: 1, value: score });
    bars.append(make("label", { htmlFor: id, textContent: each }), meter, make("span", { textContent: score.toFixed(3) }));
  }
  place.append(bars);
}

async function answerAll(text) {
  tell();
  const names = [model().name, byId("beside").value].filter(Boolean);
  const chat = model().kind === "chat";
  state.asking = new AbortController();
  busy(true);
  if (!chat) byId("answers").replaceChildren();
  const began = performance.now();
  try {
    await Promise.all(names.map(async (name, number) => {
      const place = chat ? chatPlace() : make("section", {}, make("h2", { textContent: name }));
      place.dataset.number = number;
      if (!chat) byId("answers").append(place);
      if (chat) place.append(make("div", { className: "output user", dir: "auto", textContent: text }));
      if (model().kind === "classify") return classify(name, text, place, state.asking.signal);
      const best = await generate(name, text, place, state.asking.signal);
      if (chat) {
        state.chat.push({ role: "user", content: text }, { role: "assistant", content: best });
        byId("text").value = "";
      }
    }));
    byId("status").textContent = `Answered in ${((performance.now() - began) / 1000).toFixed(1)} seconds.`;
  } catch (error) {
    tell(error);
    byId("status").textContent = error.name === "AbortError" ? "Stopped." : "";
  }
  busy(false);
}

function chatPlace() {
  const found = byId("answers").firstElementChild;
  if (found) return found;
  const made = make("section", {}, make("h2", { textContent: model().name }));
  byId("answers").append(made);
  return made;
}

function busy(is) {
  byId("go").disabled = is;
  byId("stop").hidden = !is;
  if (is) byId("status").textContent = "Asking…";
}

/* Copies of the request. */

function requestOf() {
  const classifies = model().kind === "classify";
  return [classifies ? "classify" : "generate", fieldsFor(model().name, byId("text").value)];
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    byId("answers").prepend(make("pre", { textContent: text, tabIndex: 0 }));
    button.textContent = "Shown below";
  }
  setTimeout(() => { button.textContent = button.dataset.name; }, 1500);
}

function asCurl() {
  const [path, fields] = requestOf();
  const body = JSON.stringify(fields).replaceAll("'", "'\\''");
  const key = state.key ? " \\\n  -H \"Authorization: Bearer $HF_SEQ2SEQ_API_KEY\"" : "";
  return `curl ${location.origin}/${path} \\\n  -H 'Content-Type: application/json'${key} \\\n  -d '${body}'`;
}

function asPython() {
  const [path, fields] = requestOf();
  const key = state.key ? ', headers={"Authorization": f"Bearer {os.environ[\'HF_SEQ2SEQ_API_KEY\']}"}' : "";
  const body = JSON.stringify(fields, null, 4).replaceAll(/: (true|false|null)(,?)$/gm, (_, word, comma) => `: ${{ true: "True", false: "False", null: "None" }[word]}${comma}`);
  return `${key ? "import os\n\n" : ""}import requests\n\nfields = ${body}\nanswer = requests.post("${location.origin}/${path}", json=fields${key})\nprint(answer.json())\n`;
}

/* Files: row by row, in batches. */

function csvRows(text) {
  const rows = [];
  let row = [], cell = "", quoted = false;
  for (let place = 0; place < text.length; place += 1) {
    const sign = text[place];
    if (quoted) {
      if (sign !== '"') cell += sign;
      else if (text[place + 1] === '"') { cell += '"'; place += 1; } else quoted = false;
    } else if (sign === '"' && !cell) quoted = true;
    else if (sign === ",") { row.push(cell); cell = ""; }
    else if (sign === "\n") { row.push(cell.replace(/\r$/, "")); rows.push(row); row = []; cell = ""; }
    else cell += sign;
  }
  if (cell || row.length) rows.push([...row, cell.replace(/\r$/, "")]);
  return rows;
}

const COLUMNS = ["source", "text", "sentence", "document", "article", "input", "question"];

function columnOf(names, place) {
  const found = COLUMNS.find((name) => names.includes(name)) ?? (names.length === 1 ? names[0] : undefined);
  if (found === undefined) throw new Error(`${place} has the columns ${names.join(", ")}; name the one to read "text".`);
  return found;
}

function textsOf(name, content) {
  const lines = content.replace(/\n$/, "").split(/\r?\n/);
  if (name.endsWith(".jsonl")) {
    const rows = lines.filter((line) => line.trim()).map((line, number) => {
      try { return JSON.parse(line); } catch { throw new Error(`${name}, line ${number + 1} is not JSON.`); }
    });
    if (!rows.length) throw new Error(`${name} is empty.`);
    const column = columnOf(Object.keys(rows[0]), name);
    return rows.map((row) => String(row[column] ?? ""));
  }
  if (name.endsWith(".csv")) {
    const [names, ...rows] = csvRows(content);
    if (!rows.length) throw new Error(`${name} has no rows below its header.`);
    const number = names.indexOf(columnOf(names, name));
    return rows.map((row) => row[number] ?? "");
  }
  if (!content.trim()) throw new Error(`${name} is empty.`);
  return lines;
}

async function runBatch(file) {
  tell();
  if (!/\.(txt|csv|jsonl)$/.test(file.name)) throw new Error(`${file.name} is no txt, csv or jsonl file.`);
  if (model().kind === "chat") throw new Error("A file needs a model that reads texts; this one answers conversations.");
  const texts = textsOf(file.name, await file.text());
  const found = [];
  state.batch = new AbortController();
  byId("batch").hidden = false;
  byId("batch-stop").hidden = false;
  byId("batch-download").hidden = true;
  const classifies = model().kind === "classify";
  try {
    for (let start = 0; start < texts.length; start += BATCH) {
      const part = texts.slice(start, start + BATCH);
      const fields = { model: model().name, text: part, ...(classifies ? {} : state.given) };
      const { results } = await ask(classifies ? "classify" : "generate", fields, state.batch.signal);
      results.forEach((result, row) => {
        const said = classifies ? { label: result.label, score: result.score } : { prediction: result.outputs[0].text };
        found.push(JSON.stringify({ source: part[row], ...said }));
      });
      byId("batch-progress").value = found.length / texts.length;
      byId("batch-status").textContent = `${found.length} of ${texts.length} rows of ${file.name}`;
    }
  } catch (error) {
    tell(error);
    byId("batch-status").textContent += error.name === "AbortError" ? "; stopped" : "; ended by an error";
  }
  byId("batch-stop").hidden = true;
  const link = byId("batch-download");
  link.href = URL.createObjectURL(new Blob([found.map((line) => `${line}\n`).join("")], { type: "application/jsonl" }));
  link.download = file.name.replace(/\.[a-z]+$/, "") + ".answers.jsonl";
  link.textContent = `Download ${link.download}`;
  link.hidden = !found.length;
}

/* Start. */

async function begin() {
  try {
    state.models = (await ask("models")).models;
    const { paths } = await ask("openapi.json");
    state.schema = paths["/generate"].post.requestBody.content["application/json"].schema.properties;
  } catch (error) {
    tell(error);
    return;
  }
  byId("key-form").hidden = true;
  byId("model").replaceChildren(...state.models.map(({ name }) => make("option", { value: name, textContent: name })));
  choose();
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  state.key = byId("key").value;
  tell();
  begin();
});
byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!state.asking || byId("stop").hidden) answerAll(byId("text").value);
});
byId("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("ask").requestSubmit();
});
byId("stop").addEventListener("click", () => state.asking.abort());
byId("clear").addEventListener("click", () => { state.chat = []; byId("answers").replaceChildren(); byId("text").focus(); });
byId("model").addEventListener("change", choose);
byId("examples").addEventListener("change", (event) => { if (event.target.value) byId("text").value = event.target.value; });
byId("reset").addEventListener("click", showControls);
for (const [id, write] of [["curl", asCurl], ["python", asPython]]) {
  byId(id).dataset.name = byId(id).textContent;
  byId(id).addEventListener("click", () => copy(write(), byId(id)));
}
byId("file").addEventListener("change", (event) => { if (event.target.files[0]) runBatch(event.target.files[0]).catch(tell); });
byId("batch-stop").addEventListener("click", () => state.batch.abort());
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("over"); });
addEventListener("dragleave", () => document.body.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  if (event.dataTransfer.files[0]) runBatch(event.dataTransfer.files[0]).catch(tell);
});
begin();
