// The panels of the live page: sweep, probability, tachogram, delays.

import { LEFT, RIGHT, clock, cross, label, rule, theme, ticks, trace, triangle } from "./plot.js";
import { quantile } from "./store.js";

const ERASED = 0.025; // of the width: what is blank ahead of the sweep
const TACHO_S = 120;

// Heights that hold what is on the screen: they widen at once, and narrow slowly.
export function scale(view) {
  const ring = view.store.ecg;
  if (!ring) return;
  const stop = Math.round(view.shown * ring.rate), first = Math.max(ring.oldest, Math.round(stop - view.span * ring.rate));
  let low = Infinity, high = -Infinity;
  for (let i = first; i < stop; i++) {
    const v = ring.at(i);
    if (v < low) low = v;
    if (v > high) high = v;
  }
  if (!(high > low)) return;
  const spare = 0.08 * (high - low);
  low -= spare; high += spare;
  const fresh = view.scaled !== ring || high - low < 0.02 * (view.high - view.low);
  view.scaled = ring;
  view.low = fresh ? low : low < view.low ? low : view.low + 0.03 * (low - view.low);
  view.high = fresh ? high : high > view.high ? high : view.high + 0.03 * (high - view.high);
}

// Where a time of the stream is on the sweep.
const across = (view, width) => (t) => LEFT + ((t % view.span) / view.span) * (width - LEFT - RIGHT);

// Whether it is on the screen: the sweep ends at view.shown.
const visible = ({ span, shown }, t) => t <= shown && t > shown - span * (1 - ERASED);

// A line each second, with its time below; what lies ahead of the sweep is from the pass before.
function seconds(pen, view, width, height, named) {
  const { span, shown } = view, turn = Math.floor(shown / span) * span, step = span > 10 ? span / 10 : 1;
  for (let s = 0; s <= span; s += step) {
    const x = Math.round(LEFT + (s / span) * (width - LEFT - RIGHT)) + 0.5;
    pen.strokeStyle = theme().grid; pen.lineWidth = 1;
    pen.beginPath(); pen.moveTo(x, 0); pen.lineTo(x, height); pen.stroke();
    const t = turn + s > shown ? turn + s - span : turn + s;
    if (named && s < span && visible(view, t) && t >= 0) label(pen, clock(t), x, height + 13, { align: "center", size: 11 });
  }
}

function spans(pen, view, width, height, from, to, colour) {
  const { span, shown } = view, all = width - LEFT - RIGHT;
  const a = Math.max(from, shown - span * (1 - ERASED)), b = Math.min(to, shown);
  if (!(b > a)) return;
  const x = across(view, width)(a), w = ((b - a) / span) * all, end = LEFT + all;
  pen.fillStyle = colour;
  pen.fillRect(x, 0, Math.min(w, end - x), height);
  if (x + w > end) pen.fillRect(LEFT, 0, x + w - end, height);
}

// Both parts of a sweep: what was drawn in this pass, and what is left of the one before.
function passes(view, ring, draw) {
  const { span, shown } = view, turn = Math.floor(shown / span) * span, stop = Math.min(ring.stop, Math.floor(shown * ring.rate) + 1);
  const first = Math.max(ring.oldest, Math.ceil((shown - span * (1 - ERASED)) * ring.rate)), edge = Math.ceil(turn * ring.rate);
  draw(first, Math.min(edge, stop));
  draw(Math.max(edge, first), stop);
}

export function drawSweep(pane, view) {
  const pen = pane.begin(), { width, height } = pane, c = theme(), { store } = view, ring = store.ecg;
  if (!ring) {
    seconds(pen, view, width, height, false);
    const text = view.connected ? "waiting for samples" : "no connection to streamqrs, trying again";
    label(pen, text, width / 2, height / 2, { align: "center", base: "middle", size: 18 });
    return [];
  }
  const top = 22, foot = height - 24, yOf = (v) => foot - ((v - view.low) / (view.high - view.low)) * (foot - top);
  for (const gap of store.gaps) spans(pen, view, width, height, gap.from, gap.to, c.unsure);
  for (const part of store.unsure) spans(pen, view, width, height, part.from, part.to, c.unsure);
  seconds(pen, view, width, height, false);
  for (const v of ticks(view.low, view.high, Math.max(2, (foot - top) / 45))) rule(pen, String(v), yOf(v), width);
  const place = across(view, width), marks = [];
  for (const beat of store.beats.values()) {
    if (!visible(view, beat.at)) continue;
    const x = place(beat.at);
    marks.push({ id: beat.id, kind: beat.kind, at: beat.at, x });
    if (beat.kind === "beat") {
      pen.strokeStyle = c.beat; pen.globalAlpha = 0.35; pen.lineWidth = 1.5;
      pen.beginPath(); pen.moveTo(x, 18); pen.lineTo(x, foot); pen.stroke();
      pen.globalAlpha = 1;
    }
  }
  pen.strokeStyle = c.signal; pen.lineWidth = 1.4; pen.lineJoin = "round";
  passes(view, ring, (a, b) => trace(pen, (i) => ring.at(i), a, b, (i) => place(i / ring.rate), yOf));
  for (const mark of marks) {
    if (mark.kind === "beat") triangle(pen, mark.x, 11, 7, c.beat);
    if (mark.kind === "withdrawn") cross(pen, mark.x, height - 11, 6, c.withdrawn);
    else if (store.beats.get(mark.id).triggered) triangle(pen, mark.x, height - 11, 6, c.trigger, true);
  }
  head(pen, view, width, height, c);
  return marks;
}

function head(pen, view, width, height, c) {
  const x = across(view, width)(view.shown), blank = ERASED * (width - LEFT - RIGHT);
  pen.fillStyle = c.panel;
  pen.fillRect(x + 1, 0, Math.min(blank, width - RIGHT - x) - 1, height);
  pen.fillStyle = c.soft;
  pen.fillRect(x, 0, 1.5, height);
}

export function drawCurve(pane, view) {
  const pen = pane.begin(), { width, height } = pane, c = theme(), { store } = view, ring = store.curve;
  const top = 8, foot = height - 24, yOf = (p) => foot - p * (foot - top), place = across(view, width);
  seconds(pen, view, width, height - 18, Boolean(store.ecg));
  for (const p of [0, 1]) rule(pen, String(p), yOf(p), width);
  if (!ring) return;
  const { threshold } = (view.hello && view.hello.settings) || {};
  if (threshold) {
    label(pen, String(threshold), LEFT - 7, yOf(threshold), { align: "right", base: "middle", size: 11 });
    pen.strokeStyle = c.soft; pen.lineWidth = 1; pen.setLineDash([4, 4]);
    pen.beginPath(); pen.moveTo(LEFT, yOf(threshold)); pen.lineTo(width - RIGHT, yOf(threshold)); pen.stroke();
    pen.setLineDash([]);
  }
  pen.strokeStyle = c.curve; pen.lineWidth = 2; pen.lineJoin = "round";
  passes(view, ring, (a, b) => trace(pen, (i) => ring.at(i), a, b, (i) => place(i / ring.rate), yOf));
  head(pen, view, width, height - 18, c);
}

function nothing(pen, { width, height }, text) {
  label(pen, text, width / 2, height / 2, { align: "center", base: "middle", size: 13 });
}

export function drawTachogram(pane, view) {
  const pen = pane.begin(), { width, height } = pane, c = theme(), newest = view.store.newest_s;
  const beats = view.store.confirmed(newest - TACHO_S).filter((b) => b.rr !== null);
  if (!beats.length) { nothing(pen, pane, "no intervals yet"); return; }
  const values = beats.map((b) => b.rr * 1000), middle = quantile(values, 0.5);
  const low = Math.max(0, Math.min(...values, middle - 100) - 20), high = Math.max(...values, middle + 100) + 20;
  const top = 8, foot = height - 22;
  const yOf = (v) => foot - ((v - low) / (high - low)) * (foot - top), xOf = (t) => width - RIGHT - ((newest - t) / TACHO_S) * (width - RIGHT - LEFT);
  for (const v of ticks(low, high, Math.max(2, (foot - top) / 35))) rule(pen, String(v), yOf(v), width);
  for (const [ago, text, align] of [[TACHO_S, "−2 min", "left"], [TACHO_S / 2, "−1 min", "center"], [0, "now", "right"]]) {
    label(pen, text, xOf(newest - ago), height - 6, { align, size: 11 });
  }
  pen.strokeStyle = c.beat; pen.lineWidth = 1.5; pen.globalAlpha = 0.6;
  pen.beginPath();
  beats.forEach((beat, k) => {
    const joined = k && beat.at - beats[k - 1].at < 1.5 * beat.rr;
    if (joined) pen.lineTo(xOf(beat.at), yOf(beat.rr * 1000)); else pen.moveTo(xOf(beat.at), yOf(beat.rr * 1000));
  });
  pen.stroke();
  pen.globalAlpha = 1; pen.fillStyle = c.beat;
  for (const beat of beats) { pen.beginPath(); pen.arc(xOf(beat.at), yOf(beat.rr * 1000), 2.6, 0, 7); pen.fill(); }
}

export function drawDelays(pane, delays) {
  const pen = pane.begin(), { width, height } = pane, c = theme();
  if (!delays.length) { nothing(pen, pane, "no beats yet"); return; }
  const p1 = quantile(delays, 0.01), p99 = quantile(delays, 0.99);
  const step = ticks(0, Math.max(4, p99 - p1), 26)[1], low = Math.floor(p1 / step - 1) * step;
  const bins = Math.min(60, Math.ceil((p99 - low) / step) + 2), counts = new Array(bins).fill(0);
  for (const d of delays) counts[Math.max(0, Math.min(bins - 1, Math.floor((d - low) / step)))]++;
  const left = 14, top = 20, foot = height - 22, bar = (width - 2 * left) / bins, most = Math.max(...counts);
  pen.fillStyle = c.trigger;
  counts.forEach((n, k) => pen.fillRect(left + k * bar + 0.5, foot - (n / most) * (foot - top), Math.max(1, bar - 1), (n / most) * (foot - top)));
  pen.strokeStyle = c.grid; pen.lineWidth = 1;
  pen.beginPath(); pen.moveTo(left, foot + 0.5); pen.lineTo(width - left, foot + 0.5); pen.stroke();
  const xOf = (d) => left + ((d - low) / step) * bar;
  for (const v of ticks(low, low + bins * step, Math.max(2, width / 60))) label(pen, String(v).replace("-", "−"), xOf(v), height - 6, { align: "center", size: 11 });
  const [p50, p95] = [xOf(quantile(delays, 0.5)), xOf(quantile(delays, 0.95))], apart = p95 - p50 > 44;
  for (const [x, text, dash] of [[p50, "p50", []], [p95, "p95", [4, 3]]]) {
    pen.strokeStyle = c.ink; pen.lineWidth = 1.5; pen.setLineDash(dash);
    pen.beginPath(); pen.moveTo(x, top - 4); pen.lineTo(x, foot); pen.stroke();
    pen.setLineDash([]);
    label(pen, text, x, top - 8, { align: apart ? "center" : text === "p50" ? "right" : "left", size: 11, colour: c.ink });
  }
}
