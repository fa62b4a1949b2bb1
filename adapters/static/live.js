// The live page: one websocket in, everything on canvas.

import { Pane, download, followTheme, otherTheme, theme } from "./plot.js";
import { Store, quantile } from "./store.js";
import { drawCurve, drawDelays, drawSweep, drawTachogram, scale } from "./panels.js";
import { lastMinuteAsCsv, lastMinuteAsPicture } from "./export.js";

const $ = (id) => document.getElementById(id);
const FRAME_MS = 33, RETRY_MS = 700, SILENT_MS = 1500;

followTheme();
const store = new Store();
const panes = Object.fromEntries(["ecg", "curve", "tacho", "hist"].map((id) => [id, new Pane($(id))]));
const view = {
  store, connected: false, paused: false, span: 10, shown: 0, frames: 0, drawn: 0, messages: 0,
  still: matchMedia("(prefers-reduced-motion: reduce)"), links: [], hello: null, arrived: -Infinity, low: -1, high: 1, marks: [],
};
window.streamqrs = view; // for tests, and for the curious

function connect() {
  const socket = new WebSocket(`ws://${location.host}/socket`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { view.connected = true; view.shown = 0; store.clear(); };
  socket.onmessage = ({ data }) => {
    view.messages++;
    if (data instanceof ArrayBuffer) { store.signal(data); view.arrived = performance.now(); return; }
    const told = JSON.parse(data);
    if (told.hello) view.hello = told.hello;
    for (const event of told.events || []) { store.event(event); pulse(event); }
    if (told.state) { view.links = told.state.links || []; Object.assign(store.counts, told.state.counts); }
    if (told.hello || told.events) describe();
  };
  socket.onclose = () => { view.connected = false; setTimeout(connect, RETRY_MS); };
}

// The heart beats with the triggers, and with the beats where there are none.
function pulse(event) {
  const wanted = store.counts.trigger ? "trigger" : "beat";
  if (event.kind !== wanted || view.still.matches) return;
  $("pulse").animate([{ opacity: 1, transform: "scale(1.15)" }, { opacity: 0.35, transform: "none" }], 400);
}

// The sweep runs smoothly a moment behind the newest sample, however the samples come.
function advance(ms) {
  const newest = store.newest_s;
  if (view.paused) return;
  const behind = newest - view.shown;
  if (behind < 0 || behind > 0.5) view.shown = newest;
  else view.shown = Math.min(newest, view.shown + (ms / 1000) * (behind > 0.2 ? 1.2 : 1));
}

let last = performance.now();
function frame(now) {
  requestAnimationFrame(frame);
  if (now - last < FRAME_MS) return;
  advance(now - last);
  last = now;
  view.frames++;
  const moved = view.shown !== view.drawn, colours = document.documentElement.dataset.theme;
  const asked = moved || view.connected !== view.joined || colours !== view.colours || Object.values(panes).some((pane) => pane.changed);
  if (asked) {
    view.drawn = view.shown;
    view.colours = colours;
    view.joined = view.connected;
    if (!view.paused) scale(view);
    view.marks = drawSweep(panes.ecg, view);
    drawCurve(panes.curve, view);
  }
  const seen = `${colours} ${store.seen} ${Math.floor(store.newest_s)}`; // what the slow panels depend on
  if ((view.frames % 10 === 0 && seen !== view.rested) || panes.tacho.changed || panes.hist.changed) {
    view.rested = seen;
    rest();
  }
  if (view.frames % 8 === 0) tell();
}

function rest() {
  drawTachogram(panes.tacho, view);
  drawDelays(panes.hist, chosenDelays());
}

function chosenDelays() {
  return store.delays.trigger.length ? store.delays.trigger : store.delays.beat;
}

const figure = (value, digits = 0) => (value === null || !Number.isFinite(value) ? "–" : value.toFixed(digits));
const put = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };

function tell() {
  const rate = store.heartRate(), beats = store.confirmed(), latest = beats[beats.length - 1], delays = chosenDelays();
  put("hr", figure(rate));
  $("heart").classList.toggle("stale", rate === null || silent() || Boolean(store.stopped));
  put("rr", figure(latest && latest.rr !== null ? latest.rr * 1000 : null));
  const name = store.delays.trigger.length ? "trigger delay" : "beat known after";
  put("delayname", `${name} p50 / p95`);
  put("histname", `${name}, ms`);
  put("histcount", delays.length ? `${delays.length} ${store.delays.trigger.length ? "triggers" : "beats"}` : "");
  put("p50", figure(quantile(delays, 0.5)));
  put("p95", figure(quantile(delays, 0.95)));
  for (const [id, count] of [["beats", "beat"], ["withdrawn", "withdrawn"], ["gaps", "gap"], ["problems", "problem"]]) put(id, String(store.counts[count]));
  put("notice", view.paused ? "PAUSED" : "");
  $("pause").classList.toggle("on", view.paused);
  lamps();
}

const silent = () => performance.now() - view.arrived > SILENT_MS;

function lamps() {
  const found = [["page", view.connected ? "good" : "bad", view.connected ? "" : "no connection, trying again"]];
  if (store.stopped) found.push(["source", "", `ended: ${store.stopped.reason}`]);
  else if (store.started) {
    const quiet = Math.round((performance.now() - view.arrived) / 1000);
    found.push(["source", silent() ? "bad" : "good", silent() ? (Number.isFinite(quiet) ? `silent for ${quiet} s` : "silent") : ""]);
    const bad = store.quality && !store.quality.usable;
    found.push(["signal", bad ? "warn" : "good", bad ? `unusable: ${store.quality.reason}, no triggers` : ""]);
  }
  for (const { name, up } of view.links) found.push([name, up === null ? "" : up ? "good" : "bad", up === false ? "not connected" : ""]);
  const key = JSON.stringify(found);
  if (key === view.lamps) return;
  view.lamps = key;
  $("lamps").replaceChildren(...found.map(([name, state, text]) => {
    const lamp = document.createElement("span");
    lamp.className = `lamp ${state}`;
    lamp.textContent = text ? `${name}: ${text}` : name;
    return lamp;
  }));
}

function describe() {
  const s = store.started;
  if (store.problem) put("log", `${store.problem.where}: ${store.problem.message}`);
  if (!s) return;
  put("source", [s.source || "stream", s.channel, `${Number(s.rate.toFixed(2))} Hz`].filter(Boolean).join(" · "));
  put("ecgname", s.unit ? `ECG, ${s.unit}` : "ECG");
  const settings = Object.entries((view.hello && view.hello.settings) || {}).map(([k, v]) => `${k.replaceAll("_", " ")} ${v}`);
  const rows = {
    streamqrs: view.hello ? [view.hello.version] : [], model: [`${s.model} (${s.model_sha256.slice(0, 8)})`],
    "beats known": [`within ${figure(s.delay_ms)} ms`], clock: [s.clock], settings,
  };
  const list = document.createElement("dl");
  for (const [name, parts] of Object.entries(rows)) {
    if (!parts.some(Boolean)) continue;
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = name;
    dd.append(...parts.map((text) => { const span = document.createElement("span"); span.textContent = text; return span; }));
    list.append(dt, dd);
  }
  $("about").replaceChildren(list);
}

const stamp = () => new Date().toISOString().slice(0, 19).replaceAll(":", "");
const actions = {
  " ": () => { view.paused = !view.paused; tell(); },
  c: () => store.ecg && download(`streamqrs-${stamp()}.csv`, new Blob([lastMinuteAsCsv(store)], { type: "text/csv" })),
  p: () => store.ecg && lastMinuteAsPicture(store).toBlob((blob) => download(`streamqrs-${stamp()}.png`, blob)),
  t: otherTheme,
};
addEventListener("keydown", (event) => {
  const act = actions[event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  event.preventDefault();
  act();
});
for (const [id, key] of [["pause", " "], ["csv", "c"], ["png", "p"], ["theme", "t"]]) {
  $(id).addEventListener("click", (event) => { actions[key](); event.currentTarget.blur(); });
}
$("span").addEventListener("change", (event) => { view.span = parseInt(event.target.value, 10); view.drawn = NaN; event.target.blur(); });

theme();
connect();
requestAnimationFrame(frame);
