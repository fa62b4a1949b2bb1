"""Choose the detector's settings for a model on validation data: threshold, weights of the rhythm and of likeness.

    python bench/choose_settings.py MODEL [--data DIR] [--seed 0] [--odds 0] [--write]

The recordings set aside for validation (MIT-BIH train list, QTDB, LUDB) are heard as they are (all leads, whole), in
noise (one lead, 5 minutes; recorded, four times as fast, of made-up electrodes that move, of real ones on other
validation patients) at 0, −6 or −12 dB, half of it from the second minute on, when the patient is known, and in the
virtual scanner, at full gradients; and then the lead is off. They are also taken into the milder scanners of MRI-300
(two sets of its validation part), where waves after each beat and pacing stimuli are most of the noise. Hardly any of
these hearts is irregular, so four training patients with atrial fibrillation, flutter or runs of ectopic beats are
heard, too: the network knows them, the rhythm does not. The network runs once over each; then every combination of the
grid is scored on the finished curves (F1 at 75 ms; where the lead is off, beats found in % of 75 a minute). The
geometric mean of the five errors (100 − F1, and a little, so that a beat or two do not decide; the last with a fifth of
the weight, for it is rare) counts: halving the errors is worth as much where there are few as where there are many. It
is averaged over the neighbours of a combination on the grid, for few recordings say little. `--write` puts the best one
into the sidecar of the model.

`--odds` adds so much to the log odds of all answers, as `streamqrs pretrain --odds` does for good, to see what it would
be worth.

Another seed draws other noises and scanners for the same patients: what is behind the network was tuned on those of
seed 0, and should hold there.
"""

import argparse
import itertools
import json
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from streamqrs.confirm import Confirmation
from streamqrs.merge import OverlapMerger
from streamqrs.metrics import pooled, score
from streamqrs.model import find, load
from streamqrs.mri300_make import make
from streamqrs.mri300_plan import SEED, plan
from streamqrs.settings import Settings
from streamqrs.training.noise import at_level, validation_noise
from streamqrs.training.pauses import open_input
from streamqrs.training.recordings import load_database, load_material
from streamqrs.training.remains import remains
from streamqrs.training.scanned import scan_lead
from streamqrs.types import RATE, WINDOW, Probabilities
from streamqrs.window import Windower

GRID = {
    "threshold": (0.3, 0.4, 0.5),
    "rhythm": (0.5, 0.75, 1.0, 1.25),
    "likeness": (0.7, 1.0, 1.4),
}
WEIGHT = {"clean": 1.0, "noisy": 1.0, "scanned": 1.0, "mri300": 1.0, "off": 0.2}
KINDS = tuple(WEIGHT)
HEARTS = KINDS[:-1]
LEAST = 0.1  # % that every error counts besides
IRREGULAR = ("201", "203", "207", "208")  # of the MIT-BIH train list
SECONDS = 300
OFF_S = 20
QUIET_S = 60
NOISE_DB = (0.0, -6.0, -12.0)
NOISES = 4
APART = 100_000  # between the scanners of two seeds
SETS = 2  # of MRI-300


def leads(material, seed=0):
    """Yield (kind, ecg, beats in s, spans in s) of the validation recordings at 250 Hz."""
    rng = np.random.default_rng(seed)
    number = 0
    others = remains(recording for recordings in material.validation.values() for recording in recordings)
    for database, recordings in material.validation.items():
        for recording in recordings:
            chosen = [0] if database != "ludb" else rng.choice(len(recording.ecg), 2, replace=False)
            for lead in chosen:
                stop = SECONDS * RATE
                ecg = recording.ecg[lead][:stop]
                beats = recording.beats[lead][recording.beats[lead] < len(ecg)]
                spans = np.minimum(recording.known[lead], len(ecg)) / RATE
                spans = [(float(a), float(b)) for a, b in spans if b > a]
                yield "clean", ecg, beats / RATE, spans
                first = NOISES * number  # every series of recorded noise has its turn
                for kind in range(first, first + NOISES) if database != "ludb" else [number]:
                    noise = at_level(
                        validation_noise(material.unheard_noise, others, kind, len(ecg), rng),
                        NOISE_DB[(number + kind) % 3],
                    )
                    if (number // 2 + kind) % 2:
                        noise[: QUIET_S * RATE] = 0
                    yield "noisy", ecg + noise, beats / RATE, spans
                yield "scanned", scan_lead(ecg, beats, "mixture", 5000 + number + APART * seed), beats / RATE, spans
                off = np.concatenate([open_input(OFF_S * RATE // 2, rng) for _ in range(2)])
                yield "off", off, np.empty(0), [(0.0, float(OFF_S))]
                number += 1


def ordinary(material):
    """Yield all leads of the validation recordings as they are, in the same form."""
    for recordings in material.validation.values():
        for recording in recordings:
            for ecg, beats, known in zip(recording.ecg, recording.beats, recording.known, strict=True):
                yield "clean", ecg, beats / RATE, [(float(a), float(b)) for a, b in known / RATE]


def irregular(data, material, seed=0):
    """Yield the first lead of irregular hearts, as it is, in noise of every kind, and twice in the scanner."""
    rng = np.random.default_rng(5 + seed)
    others = remains(recording for recordings in material.validation.values() for recording in recordings)
    for number, recording in enumerate(load_database(data, "mitdb", IRREGULAR)):
        spans = [(float(a), float(b)) for a, b in recording.known[0] / RATE]
        yield "clean", recording.ecg[0], recording.beats[0] / RATE, spans
        ecg, beats = recording.ecg[0][: SECONDS * RATE], recording.beats[0]
        beats = beats[beats < len(ecg)]
        spans = [(a, min(b, SECONDS)) for a, b in spans if a < SECONDS]
        for kind in range(NOISES):
            noise = validation_noise(material.unheard_noise, others, NOISES * number + kind, len(ecg), rng)
            noise = at_level(noise, NOISE_DB[kind % 2])
            yield "noisy", ecg + noise, beats / RATE, spans
        for again in range(2):
            scanned = scan_lead(ecg, beats, "mixture", 7000 + 2 * number + again + APART * seed)
            yield "scanned", scanned, beats / RATE, spans


def virtual_patients(data, seed=0):
    """Yield the recordings of some sets' validation part of MRI-300; of seed 0 the first is that of the data set."""
    for number in range(SETS * seed, SETS * (seed + 1)):
        for entry in plan(data, SEED + number):
            if entry.part == "validation":
                made = make(entry, data)
                yield "mri300", made.samples, np.array([at for at, _ in made.beats]) / RATE, None


def curve(model, ecg, settings, odds=0.0):
    """Finished curve of probabilities of a whole lead, and so much added to their log odds."""
    windower, merger = Windower(settings.hop), OverlapMerger(settings.hop, settings.margin)
    windows = windower.push(ecg.astype(np.float32))
    windows += windower.flush()
    values = model(np.stack([w.samples for w in windows]))
    if odds:
        values = values / (values + (1 - values) * np.float32(np.exp(-odds)))
    parts = [merger.push(Probabilities(v, w.start, w.stop)).values for v, w in zip(values, windows, strict=True)]
    return np.concatenate([*parts, merger.flush().values])


def beats_of(ecg, p, settings):
    """Beats in s in a whole lead and its finished curve, as the detector comes to them."""
    stage, done, seen = Confirmation(settings), 0, 0
    beats = []
    for stop in range(WINDOW, len(ecg) + settings.hop, settings.hop):
        stop = min(stop, len(ecg))
        stage.hear(ecg[seen:stop])
        end = stop - settings.margin if stop < len(ecg) else stop
        beats += stage.push(Probabilities(p[done:end], done, stop), stop)
        done, seen = end, stop
    return np.array([beat.at for beat in beats + stage.flush(len(ecg))]) / RATE


def rate_of(scores):
    """Beats found where the lead is off, in % of 75 a minute."""
    return 100 * sum(one.fp for one in scores) / (75 * len(scores) * OFF_S / 60)


def remember(heard):
    """Keep what all combinations are scored on, in a process of the pool."""
    global HEARD
    HEARD = heard


def errors(given):
    """Score a combination of settings: mean error, settings, figures by kind."""
    found = {kind: [] for kind in KINDS}
    for kind, ecg, p, beats, spans in HEARD:
        now = beats_of(ecg, p, Settings(**given))
        found[kind].append(score(beats, now, 0.075, spans=spans, lead_in_s=0.0))
    f1 = {kind: pooled(found[kind]).f1 for kind in HEARTS}
    f1["off"] = 100 - rate_of(found["off"])
    weighed = [(100 + LEAST - f1[kind]) ** weight for kind, weight in WEIGHT.items()]
    return float(np.prod(weighed)) ** (1 / sum(WEIGHT.values())), given, f1


def smooth(rows):
    """Average each combination's error over itself and its neighbours on the grid."""
    at = [[values.index(given[name]) for name, values in GRID.items()] for _, given, _ in rows]
    for place, (_, given, f1) in zip(at, rows, strict=True):
        near = [row[0] for other, row in zip(at, rows, strict=True) if np.abs(np.subtract(place, other)).sum() <= 1]
        yield float(np.mean(near)), given, f1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("STREAMQRS_DATA", "../shared/data")))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--odds", type=float, default=0.0)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    model, settings = load(args.model, threads=os.cpu_count() or 1), Settings()
    material = load_material(args.data)
    changed = (one for one in leads(material, args.seed) if one[0] != "clean")
    given = itertools.chain(
        ordinary(material),
        changed,
        irregular(args.data, material, args.seed),
        virtual_patients(args.data, args.seed),
    )
    heard = [(kind, ecg, curve(model, ecg, settings, args.odds), beats, spans) for kind, ecg, beats, spans in given]
    combinations = [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]
    with ProcessPoolExecutor(os.cpu_count(), initializer=remember, initargs=(heard,)) as pool:
        rows = list(pool.map(errors, combinations))
    rows = sorted(smooth(rows), key=lambda row: row[0])
    print("  error  " + "  ".join(f"{kind:>7}" for kind in KINDS) + "  " + "  ".join(GRID))
    for mean, given, f1 in rows[:12]:
        figures = "  ".join(f"{f1[kind]:7.2f}" for kind in KINDS)
        print(f"{mean:7.3f}  {figures}  " + "  ".join(f"{given[name]:{len(name)}.2f}" for name in GRID))
    if args.write:
        path = find(args.model)
        sidecar = json.loads(path.read_text())
        _, given, f1 = rows[0]
        sidecar["settings"] |= {"low": Settings().low, **given}
        sidecar["scores"] |= {f"validation {kind} f1": round(f1[kind], 2) for kind in HEARTS}
        path.write_text(json.dumps(sidecar, indent=2) + "\n")


if __name__ == "__main__":
    main()
