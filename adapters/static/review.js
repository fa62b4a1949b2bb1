// The review page: marks of a recording, moved, added and deleted by keyboard. The server holds the truth.

import { LEFT, Pane, RIGHT, clock, followTheme, label, otherTheme, rule, theme, ticks, trace, triangle } from "./plot.js";

const $ = (id) => document.getElementById(id);
const RETRY_MS = 700, PIECES = 60, NEAR_PX = 9, STEP_S = 0.02;

followTheme();
const panes = Object.fromEntries(["ecg", "curve", "whole"].map((id) => [id, new Pane($(id))]));
const view = { record: null, marks: [], codes: new Map(), doubts: [], done: new Set(), current: -1, cursor: 0, span: 6, saved: true, pieces: new Map(), asked: new Set(), dirty: true, notice: "" };
window.streamqrs = view; // for tests, and for the curious

let socket = null;
function connect() {
  socket = new WebSocket(`ws://${location.host}/socket`);
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => (data instanceof ArrayBuffer ? piece(data) : told(JSON.parse(data)));
  socket.onclose = () => { say("no connection, trying again"); view.connected = false; setTimeout(connect, RETRY_MS); };
}
const order = (body) => { if (view.connected) socket.send(JSON.stringify(body)); };
view.order = order;

function told(body) {
  if (body.review) {
    const first = !view.record;
    view.record = body.review;
    view.connected = true;
    view.marks = body.review.marks.map(([at]) => at);
    view.codes = new Map(body.review.marks);
    view.doubts = body.review.doubts;
    view.done = new Set(body.review.done);
    view.asked.clear();
    view.saved = body.review.saved;
    $("name").textContent = [body.review.name, body.review.lead, `${body.review.rate} Hz`, body.review.about].filter(Boolean).join(" · ");
    $("ecgname").textContent = body.review.unit ? `ECG, ${body.review.unit}` : "ECG";
    say("");
    if (first) view.doubts.length ? goDoubt(0) : goTo(0);
    list();
  }
  if (body.removed) {
    const gone = new Set(body.removed);
    view.marks = view.marks.filter((at) => !gone.has(at));
    for (const [at, code] of body.added) { view.marks.push(at); view.codes.set(at, code); }
    view.marks.sort((a, b) => a - b);
    view.saved = body.saved;
    if (body.added.length) view.cursor = body.added[0][0];
  }
  if (body.done) { view.done = new Set(body.done); list(); }
  if (body.told !== undefined || body.removed) say(body.told || "");
  view.dirty = true;
}

function piece(buffer) {
  const head = new DataView(buffer), kind = head.getUint32(0, true), start = head.getFloat64(8, true), rate = head.getFloat64(16, true);
  const k = Math.round(start / rate / view.record.piece_s), key = `${kind}:${k}`;
  view.pieces.delete(key);
  view.pieces.set(key, { start, rate, values: new Float32Array(buffer, 24) });
  for (const old of [...view.pieces.keys()].slice(0, -2 * PIECES)) { view.pieces.delete(old); view.asked.delete(Number(old.split(":")[1])); }
  view.dirty = true;
}

function need(from_s, to_s) {
  const r = view.record, last = Math.ceil(r.length / r.rate / r.piece_s) - 1;
  for (let k = Math.max(0, Math.floor(from_s / r.piece_s)); k <= Math.min(last, Math.floor(to_s / r.piece_s)); k++) {
    if (!view.asked.has(k)) { view.asked.add(k); order({ ask: k }); }
  }
}

// Value of a trace at a sample, NaN where it has not come yet.
function reader(kind, rate) {
  const size = Math.round(view.record.piece_s * rate);
  let k = NaN, part = null;
  return (i) => {
    const j = Math.floor(i / size);
    if (j !== k) { k = j; part = view.pieces.get(`${kind}:${j}`); }
    const v = part ? part.values[i - part.start] : NaN;
    return v === undefined ? NaN : v;
  };
}

const seconds = (at) => at / view.record.rate;
const bounds = () => { const middle = seconds(view.cursor); return [middle - view.span / 2, middle + view.span / 2]; };
const selected = () => (view.marks.includes(view.cursor) ? view.cursor : null);
const nearest = (at) => view.marks.reduce((best, m) => (best === null || Math.abs(m - at) < Math.abs(best - at) ? m : best), null);

function goTo(at) {
  view.cursor = Math.max(0, Math.min(view.record.length - 1, Math.round(at)));
  view.dirty = true;
}

function goDoubt(k) {
  if (k < 0 || k >= view.doubts.length) return say(k < 0 ? "this is the first doubt" : "this was the last doubt");
  view.current = k;
  const at = view.doubts[k].time * view.record.rate, mark = nearest(at);
  goTo(mark !== null && Math.abs(mark - at) < 0.075 * view.record.rate ? mark : at);
  list();
}

function goMark(step) {
  const next = step > 0 ? view.marks.find((m) => m > view.cursor) : [...view.marks].reverse().find((m) => m < view.cursor);
  if (next !== undefined) goTo(next);
}

function move(step) {
  const at = selected();
  if (at === null) return say("no mark at the cursor: ← and → go to one");
  order({ move: [at, at + step] });
}

const nextOpen = () => view.doubts.findIndex((_, k) => k > view.current && !view.done.has(k));
const keys = {
  n: () => goDoubt(view.current + 1),
  p: () => goDoubt(view.current - 1),
  " ": () => {
    if (view.current >= 0 && !view.done.has(view.current)) order({ done: view.current });
    const k = nextOpen();
    if (k >= 0) goDoubt(k); else say("all doubts after this one are checked");
  },
  ArrowLeft: (e) => (e.shiftKey ? goTo(view.cursor - STEP_S * view.record.rate) : goMark(-1)),
  ArrowRight: (e) => (e.shiftKey ? goTo(view.cursor + STEP_S * view.record.rate) : goMark(1)),
  ",": () => move(-1), ".": () => move(1), "<": () => move(-5), ">": () => move(5),
  a: () => order({ add: view.cursor }), A: () => order({ add: view.cursor, snap: false }),
  d: () => (selected() === null ? say("no mark at the cursor") : order({ delete: selected() })),
  u: () => order({ undo: true }), s: () => order({ save: true }), t: () => { otherTheme(); view.dirty = true; },
  "+": () => { view.span = Math.max(1, view.span / 1.5); view.dirty = true; },
  "-": () => { view.span = Math.min(60, view.span * 1.5); view.dirty = true; },
};
keys.Delete = keys.Backspace = keys.d;
keys["="] = keys["+"];
addEventListener("keydown", (event) => {
  const act = keys[event.key];
  if (!act || !view.record || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act(event);
});
for (const [id, key] of [["undo", "u"], ["save", "s"], ["theme", "t"]]) $(id).addEventListener("click", (e) => { keys[key](e); e.currentTarget.blur(); });
const fraction = (event, { width }) => Math.max(0, Math.min(1, (event.offsetX - LEFT) / (width - LEFT - RIGHT)));
$("ecg").addEventListener("click", (event) => {
  if (!view.record) return;
  const [from] = bounds(), at = (from + fraction(event, panes.ecg) * view.span) * view.record.rate, mark = nearest(at);
  const near = mark !== null && (Math.abs(mark - at) / view.record.rate / view.span) * (panes.ecg.width - LEFT - RIGHT) < NEAR_PX;
  goTo(near ? mark : at);
});
$("whole").addEventListener("click", (event) => view.record && goTo(fraction(event, panes.whole) * view.record.length));

function say(text) { view.notice = text; view.dirty = true; }

function list() {
  const open = view.doubts.length - view.done.size;
  $("left").textContent = view.doubts.length ? `${open} of ${view.doubts.length} doubts left, the worst first` : "no beat is doubtful";
  if ($("doubts").children.length !== view.doubts.length) {
    $("doubts").replaceChildren(...view.doubts.map((doubt, k) => {
      const item = document.createElement("li"), at = document.createElement("span"), why = document.createElement("span");
      at.className = "at"; at.textContent = clock(doubt.time, 1); why.textContent = doubt.reasons.join("; ");
      item.append(at, why);
      item.addEventListener("click", () => goDoubt(k));
      return item;
    }));
  }
  [...$("doubts").children].forEach((item, k) => {
    item.className = `${k === view.current ? "on" : ""} ${view.done.has(k) ? "done" : ""}`.trim();
    if (k === view.current) item.scrollIntoView({ block: "nearest" });
  });
}

function draw() {
  requestAnimationFrame(draw);
  if (!view.record || !(view.dirty || Object.values(panes).some((pane) => pane.changed))) return;
  view.dirty = false;
  const [from, to] = bounds();
  need(from - view.span, to + view.span);
  drawEcg(from, to);
  drawCurve(from, to);
  drawWhole();
  $("state").textContent = `${view.marks.length} marks · ${view.saved ? "saved" : "not saved"} (${view.record.target})`;
  $("state").className = view.saved ? "soft" : "unsaved";
  $("notice").textContent = view.notice;
}

const across = (pane, from, to) => (t) => LEFT + ((t - from) / (to - from)) * (pane.width - LEFT - RIGHT);

// What is drawn outside of the scales is cut off.
function inside(pen, pane, draw) {
  pen.save();
  pen.beginPath(); pen.rect(LEFT, 0, pane.width - LEFT - RIGHT, pane.height); pen.clip();
  draw();
  pen.restore();
}

function grid(pen, pane, from, to, foot) {
  const xOf = across(pane, from, to);
  for (const t of ticks(from, to, pane.width / 110)) {
    if (t < 0 || xOf(t) < LEFT) continue;
    const x = Math.round(xOf(t)) + 0.5;
    pen.strokeStyle = theme().grid; pen.lineWidth = 1;
    pen.beginPath(); pen.moveTo(x, 0); pen.lineTo(x, foot); pen.stroke();
    if (pane === panes.curve) label(pen, clock(t, to - from < 5 ? 1 : 0), x, pane.height - 5, { align: "center", size: 11 });
  }
}

function drawEcg(from, to) {
  const pane = panes.ecg, pen = pane.begin(), c = theme(), { width, height } = pane, rate = view.record.rate, value = reader(0, rate);
  const first = Math.max(0, Math.floor(from * rate)), last = Math.min(view.record.length, Math.ceil(to * rate) + 1);
  let low = Infinity, high = -Infinity;
  for (let i = first; i < last; i++) { const v = value(i); if (v < low) low = v; if (v > high) high = v; }
  const top = 34, foot = height - 12, tOf = across(pane, from, to), xOf = (i) => tOf(i / rate);
  const yOf = (v) => foot - ((v - low) / (high - low || 1)) * (foot - top);
  grid(pen, pane, from, to, height);
  if (high > low) for (const v of ticks(low, high, Math.max(2, (foot - top) / 45))) rule(pen, String(v), yOf(v), width);
  inside(pen, pane, () => {
    const doubt = view.doubts[view.current];
    if (doubt) { pen.fillStyle = c.unsure; pen.fillRect(tOf(doubt.time - 0.1), 0, tOf(doubt.time + 0.1) - tOf(doubt.time - 0.1), height); }
    pen.strokeStyle = c.trigger; pen.lineWidth = 1; pen.setLineDash([5, 4]);
    pen.beginPath(); pen.moveTo(xOf(view.cursor), 0); pen.lineTo(xOf(view.cursor), height); pen.stroke();
    pen.setLineDash([]);
    for (const at of view.marks) {
      if (at < first || at >= last) continue;
      const on = at === view.cursor;
      pen.strokeStyle = c.beat; pen.globalAlpha = on ? 0.9 : 0.4; pen.lineWidth = on ? 2 : 1.5;
      pen.beginPath(); pen.moveTo(xOf(at), 22); pen.lineTo(xOf(at), height); pen.stroke();
      pen.globalAlpha = 1;
      triangle(pen, xOf(at), 14, on ? 10 : 7, c.beat);
      if (view.codes.get(at) !== "N") label(pen, view.codes.get(at), xOf(at) + 13, 18, { colour: c.beat, bold: true });
    }
    pen.strokeStyle = c.signal; pen.lineWidth = 1.6; pen.lineJoin = "round";
    trace(pen, value, first, last, xOf, yOf);
  });
}

function drawCurve(from, to) {
  const pane = panes.curve, pen = pane.begin(), c = theme(), { width, height } = pane, foot = height - 22, yOf = (p) => foot - p * (foot - 8);
  grid(pen, pane, from, to, height - 17);
  for (const p of [0, 1]) rule(pen, String(p), yOf(p), width);
  pen.strokeStyle = c.curve; pen.lineWidth = 1.8; pen.lineJoin = "round";
  const tOf = across(pane, from, to);
  inside(pen, pane, () => trace(pen, reader(1, 250), Math.max(0, Math.floor(from * 250)), Math.ceil(to * 250), (i) => tOf(i / 250), yOf));
}

function drawWhole() {
  const pane = panes.whole, pen = pane.begin(), c = theme(), { width, height } = pane, { length, rate } = view.record;
  const rr = view.marks.slice(1).map((m, k) => ((m - view.marks[k]) / rate) * 1000);
  const sorted = [...rr].sort((a, b) => a - b), top = Math.max(1200, Math.min(3000, sorted[Math.floor(0.99 * sorted.length)] * 1.3 || 0));
  const tOf = across(pane, 0, length / rate), foot = height - 26, yOf = (v) => foot - (Math.min(v, top) / top) * (foot - 6);
  for (const v of ticks(0, top, 3)) rule(pen, String(v), yOf(v), width);
  for (const t of ticks(0, length / rate, width / 110)) label(pen, clock(t), tOf(t), height - 5, { align: tOf(t) > width - 40 ? "right" : "center", size: 11 });
  pen.fillStyle = c.beat;
  rr.forEach((v, k) => pen.fillRect(tOf(seconds(view.marks[k + 1])) - 1, yOf(v) - 1, 2.5, 2.5));
  pen.fillStyle = c.withdrawn;
  view.doubts.forEach((doubt, k) => { if (!view.done.has(k)) pen.fillRect(tOf(doubt.time) - 1, foot + 1, 2, 6); });
  pen.strokeStyle = c.trigger; pen.lineWidth = 1.5;
  pen.beginPath(); pen.moveTo(tOf(seconds(view.cursor)), 0); pen.lineTo(tOf(seconds(view.cursor)), foot + 7); pen.stroke();
}

connect();
requestAnimationFrame(draw);
