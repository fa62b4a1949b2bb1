"""Report: a fine-tuning on one page, to be shown to a colleague. It needs no other file and no network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from streamqrs import __version__
from streamqrs.metrics import Score
from streamqrs.training.appraise import PartScore
from streamqrs.training.curves import draw_choices, draw_learning, draw_records, draw_windows
from streamqrs.training.looks import RECORDS
from streamqrs.training.recipe import NO_SCANNER

if TYPE_CHECKING:
    from streamqrs.training.outcome import Outcome
    from streamqrs.training.plan import Plan

STYLE = """
:root { color-scheme: light dark; --page: #fbfbfa; --card: #ffffff; --ink: #1d2327; --soft: #66717a; --grid: #d5dade;
  --before: #8a94a0; --after: #0b6fb8; --bad: #d1342f; --mark: #2f8f5b; --good: #1c7c47; }
@media (prefers-color-scheme: dark) { :root { --page: #14181b; --card: #1b2125; --ink: #e6eaed; --soft: #9aa6ae;
  --grid: #39444b; --before: #8d98a3; --after: #58b0f0; --bad: #ff6f66; --mark: #62c98f; --good: #62c98f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 36px 24px 60px; }
h1 { font-size: 27px; line-height: 1.2; margin: 0 0 4px; } h2 { font-size: 18px; margin: 40px 0 6px; }
p { margin: 6px 0 12px; max-width: 76ch; } .soft, figcaption, th, .tile span { color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 12px; margin: 22px 0 8px; }
.tile, figure, .box { background: var(--card); border: 1px solid var(--grid); border-radius: 8px; padding: 14px 16px; }
.tile b { display: block; font-size: 27px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile span { font-size: 13px; display: block; } .up { color: var(--good); } .down { color: var(--bad); }
figure { margin: 12px 0 0; overflow-x: auto; } figcaption { font-size: 13.5px; margin-top: 8px; max-width: 90ch; }
svg { width: 100%; height: auto; display: block; } svg text { font-family: system-ui, sans-serif !important; }
.box { overflow-x: auto; padding: 4px 16px; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: right; padding: 7px 0 7px 18px; font-variant-numeric: tabular-nums; white-space: nowrap; }
th { font-weight: 500; font-size: 13px; } tr + tr td { border-top: 1px solid var(--grid); }
th:first-child, td:first-child { text-align: left; padding-left: 0; } td.name { white-space: normal; }
tr.after td { font-weight: 600; } tr.after td:first-child { font-weight: 400; }
pre { background: var(--card); border: 1px solid var(--grid); border-radius: 8px; padding: 12px 16px; overflow-x: auto;
  font: 13px/1.6 ui-monospace, monospace; white-space: pre-wrap; } ul { padding-left: 20px; margin: 6px 0; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(380px, 1fr)); gap: 12px; align-items: start; }
.found { color: var(--after); } .bad { color: var(--bad); } footer { margin-top: 40px; font-size: 13px; }
@media print { body { background: none; } figure, .tile, .box { break-inside: avoid; } }
"""

NAMES = {"finetune": "fine-tuning", "validation": "validation", "test": "test"}


def write_report(outcome: Outcome, path: Path) -> None:
    """Write the page."""
    path.write_text(to_html(outcome), encoding="utf-8")


def to_html(outcome: Outcome) -> str:
    """Give the page as text."""
    plan, result = outcome.plan, outcome.result
    base = plan.base.stem
    own = [part for part in outcome.scores if part.name in NAMES]
    title = f"{outcome.name}: fine-tuned from {base}"
    lead = (
        f"{_count(plan.parts.finetune)} to train on; {plan.settings.preset} preset, "
        f"{'new weights' if plan.settings.from_scratch else 'starting from ' + base}; best of "
        f"{len(result.history) - 1} validations at step {result.step}, {_duration(result.elapsed_s)} of training."
    )
    sections = [
        f"<h1>{escape(outcome.name)}</h1><p class=soft>{escape(lead)}</p>",
        _tiles(outcome),
        "<h2>Before and after</h2>",
        _scores(outcome.scores, base, outcome.name),
        _notes(outcome),
        _figure(
            draw_records(own),
            f"Each recording, in the order of its F1 with {escape(base)} (ring); with {escape(outcome.name)} (dot).",
        ),
        "<h2>Learning</h2>",
        _figure(
            draw_learning(result.history, result.step),
            "Validation by whole windows while training, without the streaming parts: F1, and how often the right "
            f"thing is said 40 ms behind the newest edge. Those of step {result.step} were kept (dotted): highest mean"
            + (", less what ordinary ECG lost." if plan.replay else "."),
        ),
        "<h2>Thresholds</h2>",
        _figure(
            draw_choices(outcome.choices),
            "Chosen (dotted) on the validation part, by F1 smoothed over neighbours"
            + (", less what ordinary validation recordings lose" if outcome.choices[0].ordinary else "")
            + ". Triggers are scored on the first minute of "
            f"{_plural(min(RECORDS, len(plan.parts.validation)), 'recording')}, within −60 … +100 ms: "
            + _trigger(outcome),
        ),
        "<h2>Triggers by look-ahead</h2>",
        _looks(outcome),
        f"<h2>The {len(outcome.worst)} worst windows</h2>",
        _figure(
            draw_windows(outcome.worst),
            "Three seconds each, of the validation part. <span class=found>▼ found</span>, <span class=bad>▽ missed, × "
            "false</span>; the band below is the network's probability of a QRS complex.",
        )
        if outcome.worst
        else "",
        "<h2>How it was made</h2>",
        f"<div class=two>{_data(outcome)}{_layers(outcome)}</div>",
        _list([*plan.parts.notes, _memory(plan)]),
        f"<pre>{escape(outcome.command)}</pre>" if outcome.command else "",
        "<h2>How to use it</h2>",
        f"<pre>streamqrs run --source lsl --model {escape(outcome.name)}\n"
        f"streamqrs detect RECORDING --model {escape(outcome.name)}\n"
        f"streamqrs evaluate --data RECORDINGS --model {escape(outcome.name)}</pre>"
        f"<p class=soft>Here {escape(outcome.name)} is the path of the folder that this page lies in.</p>",
        f"<footer class=soft>streamqrs {__version__}. For research use only; not a medical device.</footer>",
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    body = "\n".join(section for section in sections if section)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}<title>{escape(title)}</title><style>{STYLE}</style></head>\n'
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def _tiles(outcome: Outcome) -> str:
    tiles = []
    for part in outcome.scores:
        before, after = part.total_before.f1, part.total_after.f1
        change = after - before
        sense = "up" if change >= 0 else "down"
        tiles.append(
            f"<div class=tile><span>F1 {escape(part.name)}</span><b>{_percent(after)}</b>"
            f"<span>before {_percent(before)}, <em class={sense}>{_signed(change, 2)}</em></span></div>"
        )
    triggers = outcome.choices[1].score
    tiles.append(
        f"<div class=tile><span>Trigger after R</span><b>{_ms(triggers.bias_ms)}</b>"
        f"<span>jitter {_ms(triggers.jitter_ms)}, F1 {_percent(triggers.f1)}</span></div>"
    )
    return f"<div class=tiles>{''.join(tiles)}</div>"


def _scores(parts: Sequence[PartScore], base: str, name: str) -> str:
    head = ["", "model", "beats", "missed", "false", "Se", "PPV", "F1", "timing (ms)"]
    rows = []
    for part in parts:
        for kind, model, score in (("before", base, part.total_before), ("after", name, part.total_after)):
            what = f"{part.name}, {_plural(len(part.records), 'recording')}" if kind == "before" else ""
            counts = [str(score.beats), str(score.fn), str(score.fp)]
            values = [_percent(score.se), _percent(score.ppv), _percent(score.f1), _timing(score)]
            rows.append((kind, [what, model, *counts, *values]))
    return _table(head, rows)


def _notes(outcome: Outcome) -> str:
    notes = [
        "By the streaming detector, one to one within 75 ms, all recordings of a part pooled; the first 3 s of each "
        "are left out. Timing: mean ± sd of detection minus mark."
    ]
    names = [part.name for part in outcome.scores]
    notes.append("Validation chose the weights and the thresholds, so that its figures flatter.")
    if "test" in names:
        notes.append("The test was only scored.")
    else:
        notes.append("There was no test part: give one, to know what to expect of other patients.")
    if "ordinary ECG" in names:
        notes.append("Ordinary ECG: the first five minutes of each MIT-BIH test record, for what was forgotten.")
    else:
        notes.append("What was forgotten of ordinary ECG was not measured: there was none.")
    if outcome.result.step == 0:
        notes.append("No weights of this training were better than those of the base, which were kept: see the curves.")
    if outcome.result.share < 1:
        notes.append(
            f"The new weights lie {outcome.result.share:.0%} of the way from the base's to those of the training: "
            "validation chose that, too."
        )
    if outcome.result.step and outcome.scores[0].total_after.f1 <= outcome.scores[0].total_before.f1:
        notes.append("On validation the new model is no better than its base: stay with that, or train otherwise.")
    return f"<p class=soft>{' '.join(notes)}</p>"


def _data(outcome: Outcome) -> str:
    rows = []
    for name, part in outcome.plan.parts.items():
        beats = sum(0 if one.record.beats is None else len(one.record.beats) for one in part)
        long_s = sum(one.record.duration_s for one in part)
        patients = len({one.patient for one in part})
        rows.append(("", [NAMES[name], str(patients), str(len(part)), f"{long_s / 60:.1f}", str(beats)]))
    return _table(["part", "patients", "recordings", "minutes", "beats"], rows)


def _memory(plan: Plan) -> str:
    """Tell what was done against forgetting."""
    room = f"taken into the virtual scanner ({plan.room})"
    if plan.replay is None:
        own = "" if plan.room == NO_SCANNER else f"; a part of the windows was {room}"
        return f"no ordinary ECG was replayed, nothing guards against forgetting{own}"
    share, databases = plan.settings.recipe.replay, ", ".join(plan.replay.train)
    where = "as it is" if plan.room == NO_SCANNER else f"most of it {room}"
    return (
        f"against forgetting, {share:.0%} of each batch was ordinary ECG ({databases}), {where}; what was lost on "
        "ordinary validation recordings counted against the weights"
    )


def _list(notes: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(note[0].upper() + note[1:])}.</li>' for note in notes)}</ul>"


def _layers(outcome: Outcome) -> str:
    rate, layers = outcome.plan.train.learning_rate, outcome.result.network.layers()
    rows = [
        (
            "",
            [
                name,
                f"{sum(p.numel() for p in layers[name].parameters()):,}",
                f"{factor * rate:.1e}" if factor else "frozen",
            ],
        )
        for name, factor in reversed(outcome.plan.rates.items())
    ]
    return _table(["layer, from the top", "parameters", "highest rate"], rows)


def _trigger(outcome: Outcome) -> str:
    score = outcome.choices[1].score
    return (
        f"{_ms(score.bias_ms)} ± {_ms(score.jitter_ms)} after R, Se {_percent(score.se)}, PPV {_percent(score.ppv)} "
        f"at {outcome.choices[1].value:g}."
    )


def _looks(outcome: Outcome) -> str:
    head = [
        "look-ahead",
        "threshold",
        "missed",
        "false",
        "F1",
        "at once, after R",
        "held until",
        "F1",
        "jitter",
        "for run --gate",
    ]
    rows = []
    for look in outcome.looks:
        once, held = look.at_once, look.held
        counts = [str(once.fn), str(once.fp), _percent(once.f1)]
        threshold = f"{look.choice.value:g}"
        options = f"--gate-depth {look.depth} --gate-threshold {threshold} --align {look.align_ms:g}"
        waited = [f"R + {_ms(look.align_ms)}", _percent(held.f1), _ms(held.jitter_ms)]
        rows.append(("", [f"{look.depth_ms} ms", threshold, *counts, _timing(once), *waited, options]))
    return (
        _table(head, rows)
        + "<p class=soft>In hard noise the network knows R much better once it has seen the whole QRS complex. A "
        "scanner can make up for a constant delay, not for jitter: triggers that are held all leave at one moment "
        "after R, and those that would be late do not. The model's own look-ahead comes first.</p>"
    )


def _table(head: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        f"<tr class={kind or 'row'}>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
        for kind, cells in rows
    )
    return f"<div class=box><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def _count(part: Sequence[object]) -> str:
    return _plural(len(part), "recording")


def _plural(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} minutes"


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _ms(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1f} ms"


def _timing(score: Score) -> str:
    return "–" if math.isnan(score.bias_ms) else f"{_signed(score.bias_ms, 1)} ± {score.jitter_ms:.1f}"


def _signed(value: float, digits: int) -> str:
    """Number with its sign, a true minus; no sign before zero."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")
