"""Choose the gate's thresholds and look-ahead for a model on validation data.

    python bench/choose_gate.py MODEL [--data DIR] [--seconds 90] [--write]

The leads of choose_settings.py, those of irregular hearts too, as they are, in the virtual scanner, in tall mains hum,
and off, and hearts that beat 215 times a minute, at every hop of the gate: the network runs once, then every
combination is scored as `evaluate --gate` scores triggers (−60 to +100 ms around R). The geometric mean of the errors
counts as it does there, times that of the jitters of the first two: halving the one is worth as much as halving the
other. `--write` puts the best combination into the sidecar of the model.
"""

import argparse
import itertools
import json
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from choose_settings import irregular, leads, rate_of

from streamqrs.evaluation import TRIGGER_S
from streamqrs.metrics import pooled, score
from streamqrs.model import find, load
from streamqrs.scanner import VirtualPatient
from streamqrs.settings import Settings
from streamqrs.training.edges import find_triggers, hear
from streamqrs.training.recordings import load_material
from streamqrs.training.scanned import VALIDATION_SEED
from streamqrs.types import RATE, WINDOW

GRID = {
    "gate_threshold": (0.85, 0.87, 0.9),
    "gate_rhythm": (0.5, 0.75),
    "gate_likeness": (4.0, 5.0, 7.0),
    "gate_low": (0.3,),
    "gate_patience": (3,),
    "gate_depth": (10,),
}
LEAST = 0.3  # % that every error counts besides: nine beats of the three thousand that are heard as they are
KINDS = ("clean", "scanned", "hum", "fast", "off")
WEIGHT = {"clean": 1.0, "scanned": 1.0, "hum": 0.3, "fast": 0.3, "off": 0.3}
HUM_LEADS, HUM_S, HUM = 9, 30, 1.3
"""So many leads of full length, so many seconds of each, with hum of so many QRS heights."""

FAST_HEARTS, FAST_S, FAST_BPM = 6, 30, 215


def hearts():
    """Yield ecg in mV, and beats in s, of virtual patients of 200 beats a minute, played faster."""
    played = RATE * FAST_BPM / 200
    for seed in range(FAST_HEARTS):
        patient = VirtualPatient(RATE, VALIDATION_SEED + seed, heart_rate=200)
        ecg = patient.read(round(FAST_S * played))
        at = np.array([index for index, _ in patient.take_beats()])
        yield np.interp(np.arange(0, len(ecg), played / RATE), np.arange(len(ecg)), ecg), at / played


def material_of(model, data, stop, hop):
    """Yield kind, what gates hear, beats and spans in s."""

    def heard(kind, ecg, beats, spans):
        inside = [(max(a, 3.2), min(b, len(ecg) / RATE - 0.2)) for a, b in spans]
        inside = [(a, b) for a, b in inside if b > a]
        return kind, hear(model, ecg, hop), beats[beats < len(ecg) / RATE], inside

    hummed, recordings = 0, load_material(data)
    for kind, whole, beats, spans in itertools.chain(leads(recordings), irregular(data, recordings)):
        ecg = whole[:stop]
        if kind == "noisy" or len(ecg) <= WINDOW:
            continue
        yield heard(kind, ecg, beats, spans)
        if kind == "clean" and len(ecg) >= HUM_S * RATE and hummed < HUM_LEADS:
            t = np.arange(HUM_S * RATE) / RATE
            hum = HUM * np.sin(2 * np.pi * (60 if hummed % 3 == 2 else 50) * t)
            yield heard("hum", ecg[: len(t)] + hum, beats, spans)
            hummed += 1
    for ecg, beats in hearts():
        yield heard("fast", ecg, beats, [(0.0, len(ecg) / RATE)])


def remember(settings, material):
    """Keep what all combinations are scored on, in a process of the pool."""
    global GIVEN, HEARD
    GIVEN, HEARD = settings, material


def errors(chosen):
    """Score a combination of settings: error times jitter, settings, scores by kind."""
    now = Settings.of(GIVEN, chosen)
    found = {kind: [] for kind in KINDS}
    for kind, heard, beats, spans in HEARD:
        sent = find_triggers(heard, now).sent()
        found[kind].append(score(beats, sent, TRIGGER_S, spans=spans, lead_in_s=0.0))
    scores = {kind: pooled(each) for kind, each in found.items()}
    wrong = {kind: 100 - one.f1 for kind, one in scores.items()} | {"off": rate_of(found["off"])}
    weighed = [(wrong[kind] + LEAST) ** weight for kind, weight in WEIGHT.items()]
    error = float(np.prod(weighed)) ** (1 / sum(WEIGHT.values()))
    return error * (scores["clean"].jitter_ms * scores["scanned"].jitter_ms) ** 0.5, chosen, scores


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("STREAMQRS_DATA", "../shared/data")))
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    model = load(args.model)
    settings = Settings.of(model.settings)
    stop = round(args.seconds * RATE)
    material = list(material_of(model, args.data, stop, settings.gate_hop))
    combinations = [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]
    with ProcessPoolExecutor(os.cpu_count(), initializer=remember, initargs=(model.settings, material)) as pool:
        rows = list(pool.map(errors, combinations))
    rows.sort(key=lambda row: row[0])
    print("  error  clean  delay ms    scanned  delay ms     hum    fast   off (false)  settings")
    for error, chosen, scores in rows[:16]:
        figures = "  ".join(
            f"{scores[k].f1:6.2f} {scores[k].bias_ms:5.1f} ± {scores[k].jitter_ms:4.1f}" for k in KINDS[:2]
        )
        figures += f" {scores['hum'].f1:6.2f} {scores['fast'].f1:6.2f} {scores['off'].fp:4d}"
        print(f"{error:7.3f} {figures}  {chosen}")
    if args.write:
        path = find(args.model)
        sidecar = json.loads(path.read_text())
        _, chosen, scores = rows[0]
        sidecar["settings"] |= chosen
        sidecar["scores"] |= {f"validation trigger {kind} f1": round(scores[kind].f1, 2) for kind in KINDS[:2]}
        path.write_text(json.dumps(sidecar, indent=2) + "\n")


if __name__ == "__main__":
    main()
