"""Fine-tune the model on ten annotated recordings of your own scanner, and compare it with the one it came from.

    python examples/fine_tune_ten_records.py recordings/ my_model
    python examples/fine_tune_ten_records.py                # ten recordings of a simulated 3 T scanner

Recordings are files that `streamqrs.records.read_record` takes, with their beats; the name up to the first underscore
is taken for the patient, and no patient is in two of the parts. The same from the command line: ``streamqrs finetune``.
"""

import sys
import tempfile
from pathlib import Path

from streamqrs.cli.recording import write_recording
from streamqrs.scanner import VirtualPatient
from streamqrs.training.plan import make_plan
from streamqrs.training.recipe import TransferSettings
from streamqrs.training.transfer import transfer

RATE = 250


def make_recordings(folder, count=10, seconds=30):
    """What you would have recorded: one lead in a scanner, and the beats that a person marked."""
    for number in range(count):
        patient = VirtualPatient(rate=RATE, seed=number, preset="3T")
        ecg = patient.read(RATE * seconds)
        write_recording(folder / f"p{number:02}_1.hea", ecg, RATE, patient.take_beats())


def main(data=None, out="my_model", steps=None):
    with tempfile.TemporaryDirectory() as folder:
        if data is None:
            make_recordings(Path(folder))
        settings = TransferSettings(steps=int(steps) if steps else None, threads=2)
        plan = make_plan(Path(data or folder), "mri", settings)
        outcome = transfer(plan, Path(out), name=Path(out).name, say=print)
        for part in outcome.scores:
            before, after = part.total_before, part.total_after
            print(f"{part.name}: F1 {before.f1:.2f} % before, {after.f1:.2f} % after ({after.beats} beats)")
    print(f"to use it: streamqrs run --source lsl --model {out}")


if __name__ == "__main__":
    main(*sys.argv[1:4])
