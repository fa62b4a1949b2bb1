// The last minute to take along: a table, and a picture.

import { KEEP_S } from "./store.js";
import { cross, label, theme, trace, triangle } from "./plot.js";

const ROW_S = 10;

export function lastMinuteAsCsv(store) {
  const ring = store.ecg, curve = store.curve, unit = (store.started && store.started.unit) || "";
  const events = new Map();
  for (const beat of store.beats.values()) events.set(Math.round(beat.at * ring.rate), beat);
  const lines = [`time_s,ecg${unit ? `_${unit}` : ""},probability,event,id`];
  for (let i = ring.oldest; i < ring.stop; i++) {
    const v = ring.at(i), p = curve ? curve.at(Math.round((i / ring.rate) * curve.rate)) : NaN, beat = events.get(i);
    lines.push([
      (i / ring.rate).toFixed(4), v === v ? Number(v.toPrecision(7)) : "", p === p ? p.toFixed(4) : "",
      beat ? beat.kind : "", beat ? beat.id : "",
    ].join(","));
  }
  return `${lines.join("\n")}\n`;
}

export function lastMinuteAsPicture(store) {
  const c = theme(), ring = store.ecg, rows = KEEP_S / ROW_S, width = 1600, high = 190, top = 60;
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = top + rows * high + 20;
  const pen = canvas.getContext("2d");
  pen.fillStyle = c.panel;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  const s = store.started, rate = store.heartRate();
  label(pen, [s && s.source, s && s.channel, s && `model ${s.model}`, rate && `${rate.toFixed(1)} beats/min`, new Date().toLocaleString()]
    .filter(Boolean).join("  ·  "), 20, 36, { size: 20, colour: c.ink, bold: true });
  const values = [];
  for (let i = ring.oldest; i < ring.stop; i++) { const v = ring.at(i); if (v === v) values.push(v); }
  values.sort((a, b) => a - b);
  const low = values[Math.floor(0.001 * values.length)], range = values[Math.ceil(0.999 * (values.length - 1))] - low || 1;
  const begin = Math.max(0, ring.end_s - KEEP_S);
  for (let row = 0; row < rows; row++) {
    const from = begin + row * ROW_S, foot = top + (row + 1) * high - 20, yOf = (v) => foot - ((v - low) / range) * (high - 60);
    const xOf = (t) => 20 + ((t - from) / ROW_S) * (width - 40);
    pen.strokeStyle = c.grid; pen.lineWidth = 1;
    for (let t = Math.ceil(from); t <= from + ROW_S; t++) { pen.beginPath(); pen.moveTo(xOf(t), foot - high + 40); pen.lineTo(xOf(t), foot + 6); pen.stroke(); }
    label(pen, `${from.toFixed(1)} s`, 24, foot + 16);
    pen.strokeStyle = c.signal; pen.lineWidth = 1.6;
    const a = Math.max(ring.oldest, Math.ceil(from * ring.rate)), b = Math.min(ring.stop, Math.floor((from + ROW_S) * ring.rate) + 1);
    trace(pen, (i) => ring.at(i), a, b, (i) => xOf(i / ring.rate), yOf);
    for (const beat of store.beats.values()) {
      if (beat.at < from || beat.at >= from + ROW_S) continue;
      if (beat.kind === "beat") triangle(pen, xOf(beat.at), foot - high + 46, 6, c.beat);
      if (beat.kind === "withdrawn") cross(pen, xOf(beat.at), foot + 8, 5, c.withdrawn);
      else if (beat.triggered) triangle(pen, xOf(beat.at), foot + 8, 5, c.trigger, true);
    }
  }
  return canvas;
}
