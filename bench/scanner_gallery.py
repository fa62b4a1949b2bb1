"""Draw example pictures of every preset and family of the virtual scanner: ``python bench/scanner_gallery.py DIR``."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

from streamqrs.scanner import (
    FAMILIES,
    PRESETS,
    SEQUENCES,
    SHAPES,
    Corruptor,
    Heart,
    HeartSettings,
    VirtualPatient,
    read_sequences,
    settings_of,
)

RATE = 250.0


def presets(folder: Path, recorded) -> None:
    for name in PRESETS:
        figure, axes = plt.subplots(6, 1, figsize=(16, 15), layout="constrained")
        for seed, axis in enumerate(axes):
            heart = HeartSettings.draw(np.random.default_rng(seed)) if seed else None
            patient = VirtualPatient(RATE, seed, name, heart=heart, recorded=recorded)
            _plot(axis, patient, f"{name}, seed {seed}: {', '.join(patient.families)}")
        _save(figure, folder / f"preset_{name}.png")


def families(folder: Path, recorded) -> None:
    for name in FAMILIES:
        figure, axes = plt.subplots(6, 1, figsize=(16, 15), layout="constrained")
        base = settings_of("mixture", families=(name,))
        settings = replace(base, **{name: replace(getattr(base, name), chance=1.0)})
        for seed, axis in enumerate(axes):
            _plot(axis, VirtualPatient(RATE, seed, settings, recorded=recorded), f"{name}, seed {seed}")
        _save(figure, folder / f"family_{name}.png")


def sequences(folder: Path, recorded) -> None:
    for rate in (250.0, 1000.0):
        figure, axes = plt.subplots(len(SEQUENCES), 1, figsize=(16, 20), layout="constrained")
        for kind, axis in zip(SEQUENCES, axes, strict=True):
            base = settings_of("3T", families=("gradient",), without=tuple(s for s in SEQUENCES if s != kind))
            exam = replace(base.exam, running=1.0, run_s=(30, 60))
            settings = replace(base, exam=exam, gradient=replace(base.gradient, chance=1.0))
            _plot(axis, VirtualPatient(rate, 3, settings, recorded=recorded), f"gradients of {kind} at {rate:g} Hz")
        _save(figure, folder / f"sequences_{rate:g}.png")


def hearts(folder: Path) -> None:
    figure, axes = plt.subplots(len(SHAPES), 1, figsize=(16, 22), layout="constrained")
    for seed, (shape, axis) in enumerate(zip(SHAPES, axes, strict=True)):
        settings = replace(HeartSettings.draw(np.random.default_rng(seed)), shape=shape)
        heart = Heart(RATE, settings, np.random.default_rng(seed))
        x = heart.render(0, int(10 * RATE))
        axis.plot(np.arange(len(x)) / RATE, x, lw=0.8)
        marks = heart.beats(0, len(x))
        axis.plot([b.index / RATE for b in marks], x[[b.index for b in marks]], "rv", ms=4)
        axis.set_title(f"{shape} {settings.rhythm.kind} {settings.rhythm.heart_rate:.0f}/min", fontsize=8, loc="left")
    _save(figure, folder / "hearts.png")


def windows(folder: Path, recorded) -> None:
    corruptor = Corruptor("mixture", 1, recorded=recorded, tracks=48)
    rng = np.random.default_rng(5)
    patients = [VirtualPatient(RATE, s, heart=HeartSettings.draw(np.random.default_rng(s + 50))) for s in range(40)]
    clean = np.stack([patient.read(1250)[500:] for patient in patients])
    peaks = [np.array([index for index, _ in patient.take_beats()]) - 500 for patient in patients]
    out = corruptor(clean, peaks, rng)
    figure, axes = plt.subplots(10, 4, figsize=(22, 22), layout="constrained")
    for axis, x, marks in zip(axes.flat, out, peaks, strict=True):
        inside = marks[(marks >= 0) & (marks < 750)]
        axis.plot(x, lw=0.7)
        axis.plot(inside, x[inside], "rv", ms=4)
    _save(figure, folder / "windows.png")


def _plot(axis, patient, title) -> None:
    x = patient.read(int(12 * patient.rate))
    marks = np.array([index for index, _ in patient.take_beats()])
    axis.plot(np.arange(len(x)) / patient.rate, x, lw=0.6)
    axis.plot(marks / patient.rate, x[marks], "rv", ms=4)
    axis.set_title(title, fontsize=8, loc="left")
    axis.margins(x=0)


def _save(figure, path: Path) -> None:
    figure.savefig(path, dpi=60)
    plt.close(figure)
    print(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gradients", type=Path, help="folder of recorded gradient waveforms")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    recorded = read_sequences(given.gradients) if given.gradients else ()
    hearts(given.folder)
    presets(given.folder, recorded)
    families(given.folder, recorded)
    sequences(given.folder, recorded)
    windows(given.folder, recorded)


if __name__ == "__main__":
    main()
