"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const { events, made, strips } = data;
const KINDS = ["missing", "duplicate", "frozen", "corrupt", "blank", "cut"];
const LANE = 24, CHART = 104, AXIS = 24, ROW = 34, EXTRA = 6;
const DOUBTFUL = 20; // the least sure tenth, but no more than these, until somebody moves the slider
const $ = (id) => document.getElementById(id);
const number = (n) => n.toLocaleString("en");
const many = (n, noun) => `${number(n)} ${noun}${n === 1 ? "" : "s"}`;
const sureness = (c) => c.toFixed(3);
const least = (list) => list.reduce((a, b) => Math.min(a, b), Infinity);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function clock(seconds, digits = 3) {
  const ticks = Math.round(Math.abs(seconds) * 10 ** digits), whole = Math.floor(ticks / 10 ** digits);
  const two = (n) => String(n).padStart(2, "0");
  const part = digits ? "." + String(ticks % 10 ** digits).padStart(digits, "0") : "";
  return `${seconds < 0 ? "−" : ""}${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}${part}`;
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/* A distance in time: -40 ms. */
function away(seconds) {
  return `${seconds < 0 ? "−" : "+"}${number(Math.round(Math.abs(seconds) * 1000))}\u00a0ms`;
}

/* How often each value is there, the most frequent first. */
function tally(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

/* Reasons that differ only in their numbers as one, the most frequent first: [text, how often]. */
function reasons(counted) {
  const groups = new Map();
  for (const [text, count] of counted) {
    const kind = text.replace(/\d+(\.\d+)?/g, "…"), known = groups.get(kind);
    groups.set(kind, known ? [known[0] === text ? text : kind, known[1] + count] : [text, count]);
  }
  return [...groups.values()].sort((a, b) => b[1] - a[1]);
}

/* ---- the first lines ---- */

const leftOut = events.left.filter(Boolean).length;
const places = events.made.filter(Boolean).length;

function verdict() {
  if (made.time.length) {
    const where = places ? ` in ${many(places, "place")}` : "";
    return `${many(made.time.length, "frame")} made${where}${leftOut ? `, ${many(leftOut, "gap")} left as found` : ""}`;
  }
  return leftOut ? `Nothing made, ${many(leftOut, "gap")} left as found` : "Nothing to make";
}

function head() {
  document.title = `${data.input}: vgan report`;
  $("input").textContent = data.input;
  $("output").textContent = data.output;
  $("verdict").textContent = verdict();
  $("version").textContent = `Written by vgan ${data.vgan}. This page loads nothing.`;
  const line = (strong, rest) => $("summary").append(make("li", {}, make("strong", { textContent: strong }), rest));
  for (const [why, count] of reasons(tally(events.left.filter(Boolean)))) line(`${many(count, "gap")} not repaired: `, why);
  for (const [why, count] of reasons(data.fallbacks)) line(`${many(count, "stand-in")}: `, why);
  if (data.copied) line("Every stream was copied", ", not one frame encoded anew.");
  else line(many(data.frames_out - made.time.length, "frame"), " left as they came.");
  if (made.time.length) {
    const lowest = made.sure.indexOf(least(made.sure)), ordered = [...made.sure].sort((a, b) => a - b);
    line("Least sure", ` ${sureness(made.sure[lowest])} at ${clock(made.time[lowest])}, ` +
      `median ${sureness(ordered[ordered.length >> 1])}.`);
  }
}

function facts() {
  const add = (name, ...lines) => {
    const list = make("ul", {}, ...lines.filter(Boolean).map((textContent) => make("li", { textContent })));
    if (list.children.length) $("facts").append(make("dt", { textContent: name }), make("dd", {}, list));
  };
  const words = (object) => Object.entries(object).filter(([, value]) => value && typeof value !== "object")
    .map(([key, value]) => `${key} ${value}`).join(", ");
  const lost = data.notes.filter((note) => note.startsWith("not copied: "));
  add("Frames", `${number(data.frames_in)} in, ${number(data.frames_out)} out`);
  add("Copied", ...(data.copied ? ["everything, packet by packet"] : data.streams));
  add("Not copied", ...lost.map((note) => note.slice("not copied: ".length)));
  add("Made by", ...tally(made.method).map(([method, count]) => `${method}: ${many(count, "frame")}`));
  add("Model", words(data.model));
  add("Ran on", words(data.provider));
  add("Seconds", Object.entries(data.seconds).map(([stage, s]) => `${stage} ${s.toFixed(2)}`).join(", "),
    made.time.length && data.seconds.make ? `${(made.time.length / data.seconds.make).toFixed(1)} frames made a second` : "");
  add("Notes", ...data.notes.filter((note) => !lost.includes(note)));
}

/* ---- the timeline ---- */

function lane(name, title, has) {
  return { name, title, members: events.kind.map((_, i) => i).filter(has) };
}

const margin = Math.max((data.end - data.start) * 0.01, 0.02);
const whole = [data.start - margin, data.end + margin];
let view = [...whole], marked = null, dragged = null;
const lanes = [...KINDS.map((kind) => lane(kind, kind, (i) => events.kind[i] === kind)),
  lane("left", "not repaired", (i) => events.left[i] !== "")].filter(({ members }) => members.length);
const canvas = $("chart");
const chartTop = lanes.length * LANE + 8, height = chartTop + (made.time.length ? CHART : 0) + AXIS;
canvas.style.height = `${height}px`;

function legend() {
  for (const lane of lanes) {
    const item = make("li", {}, make("i"), lane.title, make("b", { textContent: number(lane.members.length) }));
    item.style.cssText = `height: ${LANE}px; --mark: var(--${lane.name})`;
    $("lanes").append(item);
  }
  if (made.time.length) {
    const item = make("li", { className: "chart" }, "confidence", make("b", { textContent: number(made.time.length) }));
    item.style.cssText = `height: ${CHART}px; margin-top: 8px`;
    $("lanes").append(item);
  }
  const seen = lanes.map((lane) => `${number(lane.members.length)} ${lane.title}`);
  canvas.setAttribute("aria-label", `Timeline from ${clock(data.start, 0)} to ${clock(data.end, 0)}: ` +
    [...seen, many(made.time.length, "made frame")].join(", ") + ". The lists below have them all.");
}

const column = (time) => (time - view[0]) / (view[1] - view[0]) * canvas.clientWidth;
const timeAt = (x) => view[0] + x / canvas.clientWidth * (view[1] - view[0]);

function draw() {
  const width = canvas.clientWidth, scale = devicePixelRatio || 1;
  if (!width) return;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  lanes.forEach((lane, n) => drawLane(pen, width, n * LANE, lane));
  if (made.time.length) drawConfidence(pen, width);
  drawAxis(pen, width);
  overlay();
}

/* What moves while somebody looks around: drawn over the chart, which stays as it is. */
function overlay() {
  $("mark").hidden = marked === null;
  if (marked !== null) $("mark").style.left = `${column(marked)}px`;
  $("selection").hidden = !dragged;
  if (!dragged) return;
  $("selection").style.left = `${Math.min(...dragged)}px`;
  $("selection").style.width = `${Math.abs(dragged[1] - dragged[0])}px`;
}

/* One kind of event: how many lie in each column of pixels, the more the darker. */
function drawLane(pen, width, top, lane) {
  const counts = new Uint32Array(width);
  for (const i of lane.members) {
    const first = Math.round(column(events.time[i])) - 1;
    const from = Math.max(0, first), to = Math.min(width, Math.max(Math.round(column(events.end[i])) + 1, first + 3));
    for (let x = from; x < to; x++) counts[x]++;
  }
  pen.fillStyle = css("cell");
  pen.fillRect(0, top + 5, width, LANE - 10);
  pen.fillStyle = css(lane.name);
  const most = Math.log1p(counts.reduce((a, b) => Math.max(a, b), 0));
  counts.forEach((count, x) => {
    if (!count) return;
    pen.globalAlpha = Math.min(1, 0.25 + 0.75 * Math.log1p(count) / most);
    pen.fillRect(x, top + 5, 1, LANE - 10);
  });
  pen.globalAlpha = 1;
}

/* Each column's least and most sure frame; what is doubtful in its own colour. */
function drawConfidence(pen, width) {
  const low = new Float32Array(width).fill(2), high = new Float32Array(width).fill(-1);
  const y = (sure) => chartTop + 6 + (CHART - 12) * (1 - sure);
  let within = 0;
  made.time.forEach((time, i) => {
    const x = Math.round(column(time));
    if (x < 0 || x >= width) return;
    within++;
    low[x] = Math.min(low[x], made.sure[i]);
    high[x] = Math.max(high[x], made.sure[i]);
  });
  pen.strokeStyle = css("line");
  pen.lineWidth = 1;
  pen.fillStyle = css("quiet");
  pen.font = "11px system-ui, sans-serif";
  for (const level of [0, 0.5, 1]) {
    pen.beginPath();
    pen.moveTo(0, Math.round(y(level)) + 0.5);
    pen.lineTo(width, Math.round(y(level)) + 0.5);
    pen.stroke();
  }
  const sure = css("sure"), doubtful = css("doubt"), dots = within * 6 < width;
  for (let x = 0; x < width; x++) {
    if (high[x] < 0) continue;
    if (dots) {
      for (const value of new Set([low[x], high[x]])) {
        pen.fillStyle = value < doubt ? doubtful : sure;
        pen.beginPath();
        pen.arc(x + 0.5, y(value), 3.5, 0, 2 * Math.PI);
        pen.fill();
      }
      continue;
    }
    const bar = (from, to, colour) => {
      pen.fillStyle = colour;
      pen.fillRect(x, y(to) - 1, 1, Math.max(2, y(from) - y(to) + 2));
    };
    if (high[x] >= doubt) bar(Math.max(low[x], doubt), high[x], sure);
    if (low[x] < doubt) bar(low[x], Math.min(high[x], doubt), doubtful);
  }
  pen.setLineDash([4, 4]);
  pen.strokeStyle = doubtful;
  pen.beginPath();
  pen.moveTo(0, y(doubt));
  pen.lineTo(width, y(doubt));
  pen.stroke();
  pen.setLineDash([]);
}

function drawAxis(pen, width) {
  const span = view[1] - view[0];
  const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200]
    .find((s) => s / span * width > 96) ?? Math.ceil(span / 5 / 3600) * 3600;
  const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
  pen.fillStyle = css("quiet");
  pen.font = "12px system-ui, sans-serif";
  for (let n = Math.ceil(view[0] / step); n * step <= view[1]; n++) {
    const text = clock(n * step, digits), x = column(n * step), half = pen.measureText(text).width / 2;
    pen.fillRect(Math.round(x), height - AXIS, 1, 5);
    pen.fillText(text, Math.min(Math.max(0, x - half), width - 2 * half), height - 5);
  }
}

function show(from, to) {
  const span = Math.min(Math.max(to - from, 0.2), whole[1] - whole[0]);
  const start = Math.min(Math.max((from + to - span) / 2, whole[0]), whole[1] - span);
  view = [start, start + span];
  draw();
}

function zoom(factor) {
  const centre = marked !== null && marked >= view[0] && marked <= view[1] ? marked : (view[0] + view[1]) / 2;
  const half = (view[1] - view[0]) * factor / 2;
  show(centre - half, centre + half);
}

/* In words: what lies under the pointer. */
function under(x) {
  const [from, to] = [timeAt(x - 3), timeAt(x + 3)];
  const here = events.kind.filter((_, i) => events.time[i] <= to && events.end[i] >= from);
  const sure = made.sure.filter((_, i) => made.time[i] >= from && made.time[i] <= to);
  const parts = tally(here).map(([kind, count]) => `${number(count)} ${kind}`);
  if (sure.length) parts.push(`${number(sure.length)} made, least sure ${sureness(least(sure))}`);
  $("under").textContent = [clock(timeAt(x)), ...parts].join(" · ");
}

function pointers() {
  const at = (event) => event.clientX - canvas.getBoundingClientRect().left;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    dragged = [at(event), at(event)];
  });
  canvas.addEventListener("pointermove", (event) => {
    under(at(event));
    if (dragged) {
      dragged[1] = at(event);
      overlay();
    }
  });
  canvas.addEventListener("pointerup", () => {
    const [from, to] = dragged ?? [0, 0];
    dragged = null;
    overlay();
    if (Math.abs(to - from) > 5) show(timeAt(Math.min(from, to)), timeAt(Math.max(from, to)));
    else visit(timeAt(to));
  });
  canvas.addEventListener("pointercancel", () => { dragged = null; overlay(); });
  canvas.addEventListener("dblclick", () => show(...whole));
  $("closer").onclick = () => zoom(1 / 2);
  $("wider").onclick = () => zoom(2);
  $("whole").onclick = () => show(...whole);
}

function mark(time) {
  marked = time;
  if (time < view[0] || time > view[1]) show(time - (view[1] - view[0]) / 2, time + (view[1] - view[0]) / 2);
  else overlay();
}

/* ---- made frames ---- */

let doubt = 0, here = -1;
const stripTimes = strips.map((strip) => made.time[strip.made]);
const isDoubtful = (n) => made.sure[strips[n].made] < doubt;

function panel(name, caption, ...sources) {
  const images = sources.map((source, n) => make("img", {
    alt: n ? "" : caption, decoding: "async", src: `data:image/jpeg;base64,${data.pictures[source]}`,
  }));
  return make("figure", { className: name }, make("div", {}, ...images), make("figcaption", { textContent: caption }));
}

function strip(n) {
  const { made: i, picture, before, was, after, from, fallback } = strips[n];
  const bar = make("span", { className: "sure" });
  bar.style.setProperty("--part", made.sure[i]);
  const text = make("div", {},
    make("h3", { textContent: clock(made.time[i]) }),
    bar,
    make("p", { textContent: `confidence ${sureness(made.sure[i])}` }),
    make("p", { textContent: `${made.why[i]}, by ${made.method[i]}` }),
    make("p", { textContent: `frame ${number(made.index[i])}` }));
  if (from.length) text.append(make("p", { textContent: `from ${from.map((t) => away(t - made.time[i])).join(" and ")}` }));
  if (fallback) text.append(make("p", { className: "left", textContent: fallback }));
  const panels = make("div", { className: "panels" });
  if (before !== undefined) panels.append(panel("before", "before", before));
  if (was !== undefined) panels.append(panel("was", "what was there", was));
  panels.append(panel("made", "made", picture));
  if (after !== undefined) panels.append(panel("after", "after", after));
  const [other, word] = was !== undefined ? [was, "what was there"] : before !== undefined ? [before, "before"] : [after, "after"];
  if (other !== undefined) panels.append(panel("difference", `difference from ${word}, ×\u00a03`, picture, other));
  return make("li", { tabIndex: -1 }, text, panels);
}

function frames() {
  $("frames").hidden = !made.time.length;
  if (!made.time.length) return;
  const ordered = [...made.sure].sort((a, b) => a - b);
  doubt = Math.min(1, Math.ceil((ordered[Math.min(Math.floor(ordered.length / 10), DOUBTFUL)] + 0.0005) * 200) / 200);
  $("doubt").value = doubt;
  $("strips").append(...strips.map((_, n) => strip(n)));
  const first = $("strips").querySelector(".made img");
  if (first) first.onload = () => document.documentElement.style.setProperty("--shape", first.naturalWidth / first.naturalHeight);
  judge();
  $("doubt").addEventListener("input", () => { doubt = Number($("doubt").value); judge(); draw(); });
  $("next").onclick = () => step(1, true);
  $("previous").onclick = () => step(-1, true);
}

function judge() {
  const doubtful = strips.filter((_, n) => {
    $("strips").children[n].classList.toggle("doubtful", isDoubtful(n));
    return isDoubtful(n);
  }).length;
  $("doubt-value").textContent = sureness(doubt);
  const which = strips.length < made.time.length ? `The least sure ${number(strips.length)} of ${number(made.time.length)}`
    : many(strips.length, "frame");
  $("shown").textContent = strips.length ? `${which}, in order of time; ${doubtful ? number(doubtful) : "none"} doubtful.`
    : "No pictures were taken.";
}

function go(n) {
  $("strips").children[here]?.classList.remove("here");
  here = n;
  const item = $("strips").children[n], i = strips[n].made;
  item.classList.add("here");
  item.focus({ preventScroll: true });
  item.scrollIntoView({ block: "center" });
  mark(made.time[i]);
  $("said").textContent = `Made frame at ${clock(made.time[i])}, confidence ${sureness(made.sure[i])}, ${made.why[i]}`;
}

/* To the next strip, or the next doubtful one; after the last comes the first. */
function step(by, doubtful) {
  const count = strips.length, start = here < 0 ? (by > 0 ? -1 : 0) : here;
  for (let k = 1; k <= count; k++) {
    const n = ((start + by * k) % count + count) % count;
    if (!doubtful || isDoubtful(n)) return go(n);
  }
  $("said").textContent = "None is doubtful";
}

/* To the strip and the event nearest in time. */
function visit(time) {
  const nearest = (times) => times.reduce((best, t, i) => Math.abs(t - time) < Math.abs(times[best] - time) ? i : best, 0);
  if (strips.length) go(nearest(stripTimes));
  if (chosen.length) point(nearest(chosen.map((i) => events.time[i])));
  if (!strips.length) mark(time);
}

/* ---- the table of events: only the rows in sight exist ---- */

let chosen = [], pointed = -1;
const rows = new Map();

function outcome(i) {
  if (events.left[i]) return `not repaired: ${events.left[i]}`;
  if (events.made[i]) return `${number(events.made[i])} made, least sure ${sureness(events.sure[i])}`;
  return "";
}

function row(place) {
  const i = chosen[place];
  const cell = (text, className = "") => {
    const made = make("span", { className, textContent: text, title: text });
    made.setAttribute("role", "cell");
    return made;
  };
  const time = cell("");
  time.append(make("button", { textContent: clock(events.time[i]), onclick: () => { point(place); jump(i); } }));
  const kind = cell(events.kind[i], "kind");
  kind.style.setProperty("--mark", `var(--${events.kind[i]})`);
  const made = make("div", { className: "row" }, time, kind, cell(events.count[i] ? number(events.count[i]) : ""),
    cell(events.score[i].toFixed(2)), cell(events.reason[i]), cell(outcome(i), events.left[i] ? "left" : ""));
  made.setAttribute("role", "row");
  made.setAttribute("aria-rowindex", place + 2);
  made.style.top = `${place * ROW}px`;
  return made;
}

function fillTable() {
  const box = $("scroll"), body = $("rows");
  const first = Math.max(0, Math.floor(box.scrollTop / ROW) - EXTRA);
  const last = Math.min(chosen.length, Math.ceil((box.scrollTop + box.clientHeight) / ROW) + EXTRA);
  for (const [place, element] of rows) {
    if (place < first || place >= last) { element.remove(); rows.delete(place); }
  }
  for (let place = first, at = body.firstChild; place < last; place++) {
    if (!rows.has(place)) { rows.set(place, row(place)); body.insertBefore(rows.get(place), at); }
    rows.get(place).classList.toggle("here", place === pointed);
    at = rows.get(place).nextSibling;
  }
}

function point(place) {
  pointed = place;
  const box = $("scroll");
  box.scrollTop = place * ROW - (box.clientHeight - ROW) / 2;
  fillTable();
}

/* To the first strip within an event, if there is one. */
function jump(i) {
  const n = stripTimes.findIndex((time) => time >= events.time[i] - 1e-3 && time <= events.end[i] + 1e-3);
  if (n >= 0) go(n);
  else mark(events.time[i]);
}

function choose(members) {
  chosen = members;
  pointed = -1;
  rows.clear();
  $("rows").replaceChildren();
  $("rows").style.height = `${chosen.length * ROW}px`;
  $("table").setAttribute("aria-rowcount", chosen.length + 1);
  $("scroll").scrollTop = 0;
  $("scroll").style.height = `${Math.min(chosen.length, 13) * ROW}px`;
  fillTable();
}

function table() {
  for (const filter of [lane("all", "all", () => true), ...lanes]) {
    const button = make("button", { textContent: filter.title });
    button.onclick = () => {
      for (const other of $("filters").children) other.setAttribute("aria-pressed", other === button);
      choose(filter.members);
    };
    $("filters").append(button);
  }
  $("table").hidden = !events.kind.length;
  $("filters").hidden = lanes.length < 2;
  if (!events.kind.length) $("table").after(make("p", { className: "quiet", textContent: "No fault was looked for, or none was there." }));
  $("filters").firstChild.click();
  $("scroll").addEventListener("scroll", fillTable, { passive: true });
}

/* ---- all together ---- */

const KEYS = {
  n: () => step(1, true), p: () => step(-1, true), ArrowRight: () => step(1, false), ArrowLeft: () => step(-1, false),
  "+": () => zoom(1 / 2), "=": () => zoom(1 / 2), "-": () => zoom(2), 0: () => show(...whole),
};
addEventListener("keydown", (event) => {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (!KEYS[key] || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input")) return;
  if (!strips.length && !"+=-0".includes(key)) return;
  event.preventDefault();
  KEYS[key]();
});
head();
facts();
legend();
frames();
table();
pointers();
new ResizeObserver(() => { draw(); fillTable(); }).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
