// The panels of the live page: sweep, probability, tachogram, delays.

import { cross, label, theme, ticks, trace, triangle } from "./plot.js";
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

// Where a time of the stream is on a sweep that ends at view.shown; null if it is not on the screen.
function sweep(view, width) {
  const { span, shown } = view;
  return (t) => (t > shown || t <= shown - span * (1 - ERASED) ? null : ((t % span) / span) * width);
}

function seconds(pen, view, width, height) {
  const { grid } = theme();
  pen.strokeStyle = grid;
  pen.lineWidth = 1;
  pen.beginPath();
  for (let s = 0; s <= view.span; s++) { const x = Math.round((s / view.span) * width) + 0.5; pen.moveTo(x, 0); pen.lineTo(x, height); }
  pen.stroke();
}

function spans(pen, view, width, height, from, to, colour) {
  const { span, shown } = view;
  const a = Math.max(from, shown - span * (1 - ERASED)), b = Math.min(to, shown);
  if (!(b > a)) return;
  const x = (a % span) / span * width, w = ((b - a) / span) * width;
  pen.fillStyle = colour;
  pen.fillRect(x, 0, Math.min(w, width - x), height);
  if (x + w > width) pen.fillRect(0, 0, x + w - width, height);
}

// Both parts of a sweep: what was drawn in this pass, and what is left of the one before.
function passes(view, ring, draw) {
  const { span, shown } = view, turn = Math.floor(shown / span) * span, stop = Math.min(ring.stop, Math.floor(shown * ring.rate) + 1);
  const first = Math.max(ring.oldest, Math.ceil((shown - span * (1 - ERASED)) * ring.rate)), edge = Math.ceil(turn * ring.rate);
  draw(first, Math.min(edge, stop));
  draw(Math.max(edge, first), stop);
}

export function drawSweep(pane, view) {
  const pen = pane.begin(), { width, height } = pane, c = theme(), { store, span } = view, ring = store.ecg;
  seconds(pen, view, width, height);
  if (!ring) return [];
  for (const gap of store.gaps) spans(pen, view, width, height, gap.from, gap.to, c.unsure);
  for (const part of store.unsure) spans(pen, view, width, height, part.from, part.to, c.unsure);
  const top = 30, foot = height - 22, yOf = (v) => foot - ((v - view.low) / (view.high - view.low)) * (foot - top);
  for (const v of ticks(view.low, view.high, Math.max(2, height / 90))) {
    const y = Math.round(yOf(v)) + 0.5;
    pen.strokeStyle = c.grid; pen.lineWidth = 1;
    pen.beginPath(); pen.moveTo(0, y); pen.lineTo(width, y); pen.stroke();
    label(pen, String(v), width - 6, y - 3, { align: "right", size: 11 });
  }
  const place = sweep(view, width), marks = [];
  for (const beat of store.beats.values()) {
    const x = place(beat.at);
    if (x === null) continue;
    marks.push({ id: beat.id, kind: beat.kind, at: beat.at, x });
    if (beat.kind === "beat") {
      pen.strokeStyle = c.beat; pen.globalAlpha = 0.35; pen.lineWidth = 1.5;
      pen.beginPath(); pen.moveTo(x, 26); pen.lineTo(x, foot); pen.stroke();
      pen.globalAlpha = 1;
    }
  }
  pen.strokeStyle = c.signal; pen.lineWidth = 1.4; pen.lineJoin = "round";
  passes(view, ring, (a, b) => trace(pen, (i) => ring.at(i), a, b, (i) => (((i / ring.rate) % span) / span) * width, yOf));
  for (const mark of marks) {
    if (mark.kind === "beat") triangle(pen, mark.x, 20, 7, c.beat);
    if (mark.kind === "withdrawn") cross(pen, mark.x, height - 11, 6, c.withdrawn);
    else if (store.beats.get(mark.id).triggered) triangle(pen, mark.x, height - 11, 6, c.trigger, true);
  }
  head(pen, view, width, height, c);
  return marks;
}

function head(pen, view, width, height, c) {
  const x = ((view.shown % view.span) / view.span) * width;
  pen.fillStyle = c.panel;
  pen.fillRect(x + 1, 0, ERASED * width - 1, height);
  pen.fillStyle = c.soft;
  pen.fillRect(x, 0, 1.5, height);
}

export function drawCurve(pane, view) {
  const pen = pane.begin(), { width, height } = pane, c = theme(), { span, store } = view, ring = store.curve;
  seconds(pen, view, width, height);
  if (!ring) return;
  const top = 8, foot = height - 4, yOf = (p) => foot - p * (foot - top);
  const settings = (view.hello && view.hello.settings) || {};
  if (settings.threshold) {
    pen.strokeStyle = c.soft; pen.lineWidth = 1; pen.setLineDash([4, 4]);
    pen.beginPath(); pen.moveTo(0, yOf(settings.threshold)); pen.lineTo(width, yOf(settings.threshold)); pen.stroke();
    pen.setLineDash([]);
  }
  pen.strokeStyle = c.curve; pen.lineWidth = 2;
  passes(view, ring, (a, b) => trace(pen, (i) => ring.at(i), a, b, (i) => (((i / ring.rate) % span) / span) * width, yOf));
  head(pen, view, width, height, c);
}

export function drawTachogram(pane, view) {
  const pen = pane.begin(), { width, height } = pane, c = theme(), newest = view.store.newest_s;
  const beats = view.store.confirmed(newest - TACHO_S).filter((b) => b.rr !== null);
  if (!beats.length) return;
  const values = beats.map((b) => b.rr * 1000), middle = quantile(values, 0.5);
  const low = Math.max(0, Math.min(...values, middle - 100) - 20), high = Math.max(...values, middle + 100) + 20;
  const left = 40, top = 24, foot = height - 8;
  const yOf = (v) => foot - ((v - low) / (high - low)) * (foot - top), xOf = (t) => width - 8 - ((newest - t) / TACHO_S) * (width - 8 - left);
  for (const v of ticks(low, high, Math.max(2, (foot - top) / 35))) {
    pen.strokeStyle = c.grid; pen.lineWidth = 1;
    pen.beginPath(); pen.moveTo(left, yOf(v)); pen.lineTo(width, yOf(v)); pen.stroke();
    label(pen, String(v), left - 5, yOf(v), { align: "right", base: "middle", size: 11 });
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
  if (!delays.length) return;
  const p1 = quantile(delays, 0.01), p99 = quantile(delays, 0.99);
  const step = ticks(0, Math.max(4, p99 - p1), 26)[1], low = Math.floor(p1 / step - 1) * step;
  const bins = Math.min(60, Math.ceil((p99 - low) / step) + 2), counts = new Array(bins).fill(0);
  for (const d of delays) counts[Math.max(0, Math.min(bins - 1, Math.floor((d - low) / step)))]++;
  const left = 10, top = 26, foot = height - 20, bar = (width - 2 * left) / bins, most = Math.max(...counts);
  pen.fillStyle = c.trigger;
  counts.forEach((n, k) => pen.fillRect(left + k * bar + 0.5, foot - (n / most) * (foot - top), Math.max(1, bar - 1), (n / most) * (foot - top)));
  const xOf = (d) => left + ((d - low) / step) * bar;
  for (const v of ticks(low, low + bins * step, Math.max(2, width / 60))) label(pen, String(v), xOf(v), height - 5, { align: "center", size: 11 });
  for (const q of [0.5, 0.95]) {
    const x = xOf(quantile(delays, q));
    pen.strokeStyle = c.ink; pen.lineWidth = 1.5; pen.setLineDash(q === 0.5 ? [] : [4, 3]);
    pen.beginPath(); pen.moveTo(x, top - 4); pen.lineTo(x, foot); pen.stroke();
    pen.setLineDash([]);
  }
}
