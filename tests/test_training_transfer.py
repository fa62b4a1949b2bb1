"""Fine-tuning: what stays, what learns, what it brings, and what is refused."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

import torch

import streamqrs
from streamqrs import metrics, model
from streamqrs.datasets import MITDB_TRAIN
from streamqrs.errors import BadModel, BadRecord, SourceNotFound, StreamqrsError
from streamqrs.evaluation import TRIGGER_S, run_detector
from streamqrs.metrics import Score
from streamqrs.scanner import PRESETS, VirtualPatient
from streamqrs.training.annotated import find_patient, read_annotated
from streamqrs.training.appraise import (
    THRESHOLDS,
    choose,
    choose_threshold,
    marks_of,
    score_beats,
    set_aside,
    to_settings,
)
from streamqrs.training.dataset import Batch
from streamqrs.training.export import PackageInfo, export
from streamqrs.training.looks import DEPTHS, look_ahead
from streamqrs.training.loop import train
from streamqrs.training.part_way import choose_way, part_way
from streamqrs.training.parts import load_parts
from streamqrs.training.plan import make_plan
from streamqrs.training.recipe import Mixed, TransferSettings
from streamqrs.training.recordings import load_material
from streamqrs.training.report import to_html
from streamqrs.training.settings import Result, TrainSettings
from streamqrs.training.transfer import appraise, load_new, transfer, tune
from streamqrs.training.unet import UNet, UNetSettings

QUICK = TransferSettings(steps=2, batch=4, threads=1)
SECONDS = 20
LOBES = replace(PRESETS["3T"].mhd, chance=1.0, count=(3, 4), height=(1.5, 1.5), variation=(0.3, 0.4), width_ms=(30, 90))
FLOW = replace(PRESETS["3T"], mhd=LOBES)


def write(path, seed, *, seconds=SECONDS, **changes):
    """A patient at 3 T with several flow waves in each beat, all far above R, as npz."""
    patient = VirtualPatient(250.0, seed, FLOW, families=("mhd",), severity=4.0)
    ecg = patient.read(seconds * 250)
    values = {"ecg": ecg, "rate": 250.0, "beats": np.array([at for at, _ in patient.take_beats()]), "lead": "ECG"}
    values |= changes
    np.savez(path, **{name: value for name, value in values.items() if value is not None})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """16 + 3 + 6 recordings, each of a patient of its own."""
    folder = tmp_path_factory.mktemp("data")
    for name, seeds in {"finetune": range(16), "validation": range(16, 19), "test": range(19, 25)}.items():
        (folder / name).mkdir()
        for seed in seeds:
            write(folder / name / f"p{seed:02d}_1.npz", seed)
    return folder


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Four recordings of three patients."""
    folder = tmp_path_factory.mktemp("few")
    for name, seed in {"a_1": 0, "a_2": 1, "b_1": 2, "c_1": 3}.items():
        write(folder / f"{name}.npz", seed, seconds=9)
    return folder


@pytest.fixture(scope="module")
def made(data, tmp_path_factory):
    """A fine-tuning, and the folder of its package."""
    out = tmp_path_factory.mktemp("out") / "tuned"
    settings = TransferSettings(steps=40, batch=24, learning_rate=2e-3, threads=1)
    plan = make_plan(data, "base", settings)
    return transfer(plan, out, name="tuned", command="streamqrs finetune <&>"), out


def state(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_it_lifts_f1_on_patients_it_has_not_seen(made):
    scores = {part.name: (part.total_before.f1, part.total_after.f1) for part in made[0].scores}
    assert set(scores) == {"validation", "test"}
    assert scores["test"][0] < 90
    assert scores["test"][1] > scores["test"][0] + 5
    history = made[0].result.history
    assert history[0]["step"] == 0
    assert made[0].result.scores["f1"] > history[0]["f1"]


def test_its_package_is_what_was_scored_and_runs_in_the_detector(made, data):
    outcome, out = made
    assert sorted(path.name for path in out.iterdir()) == [
        "report.html", "tuned.json", "tuned.md", "tuned.onnx", "tuned.safetensors",
    ]  # fmt: skip
    assert not out.with_name("tuned.part").exists()
    network = model.load(out)
    assert network.settings == to_settings(model.load("base"), outcome.choices)
    assert all(network.settings[choice.name] == choice.value for choice in outcome.choices)
    part = outcome.scores[1]
    record = outcome.plan.parts.test[0].record
    detector = streamqrs.Detector(250.0, out)
    beats = [beat for at in range(0, len(record.samples), 70) for beat in detector.push(record.samples[at : at + 70])]
    score = score_beats(record, beats + detector.flush())
    assert (score.tp, score.fp, score.fn) == (part.after[0].tp, part.after[0].fp, part.after[0].fn)


def test_longer_looks_ahead_are_scored_at_once_and_held(made):
    looks = made[0].looks
    assert [look.depth for look in looks] == [10, *DEPTHS]
    for look in looks:
        assert look.at_once.tp > 20
        assert look.held.f1 >= look.at_once.f1 - 3
        assert look.held.bias_ms == pytest.approx(look.align_ms, abs=12)
        options = f"--gate-depth {look.depth} --gate-threshold {look.choice.value:g} --align {look.align_ms:g}"
        assert options in (made[1] / "report.html").read_text()
    table = (made[1] / "report.html").read_text().split("Triggers by look-ahead</h2>")[1].split("</table>")[0]
    assert table.count("<th>") * len(looks) == table.count("<td>")
    later_ms = np.diff([look.at_once.bias_ms for look in looks])
    assert np.all(later_ms > 0)  # each has a threshold of its own, which moves it, too
    assert later_ms.sum() > 0.7 * 4 * (looks[-1].depth - looks[0].depth)
    assert looks[-1].align_ms > looks[0].align_ms


def test_the_report_stands_alone(made):
    text = (made[1] / "report.html").read_text()
    assert "http" not in text
    assert not re.findall(r"url\((?!#)|src=|@import|<script|<link", text)
    assert "prefers-color-scheme: dark" in text
    assert text.count("<svg") == 4
    assert not re.findall(r"#0[0-9]0[0-9]0[0-9]", text)  # every stand-in has become a colour of the page
    assert "streamqrs finetune &lt;&amp;&gt;" in text
    assert "nothing guards against forgetting" in text
    assert "What was forgotten of ordinary ECG was not measured" in text
    open_tags = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in {"meta", "br"}:
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Balance().feed(text)
    assert open_tags == []
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', text)) <= set(ids)


@pytest.mark.parametrize(("freeze", "frozen"), [("encoder", 4), (2, 2)])
def test_frozen_layers_stay_bit_for_bit(few, freeze, frozen):
    plan = make_plan(few, "base", replace(QUICK, freeze=freeze))
    before = {name: state(layer) for name, layer in plan.network.layers().items()}
    assert [rate == 0 for rate in plan.rates.values()] == [i < frozen for i in range(len(before))]
    tune(plan)
    for name, layer in plan.network.layers().items():
        same = [torch.equal(value, before[name][key]) for key, value in layer.state_dict().items()]
        assert all(same) if plan.rates[name] == 0 else not all(same), name


def test_each_layer_learns_at_its_own_rate(few):
    """The first step of Adam moves each weight by the learning rate, whatever its gradient."""
    plan = make_plan(few, "base", replace(QUICK, preset="seed", steps=1, decay=0.5, learning_rate=1e-3))
    before = {name: dict(layer.named_parameters()) for name, layer in plan.network.layers().items()}
    before = {name: {key: value.detach().clone() for key, value in part.items()} for name, part in before.items()}
    tune(plan)
    moved = {
        name: max(float((value.detach() - before[name][key]).abs().max()) for key, value in layer.named_parameters())
        for name, layer in plan.network.layers().items()
    }
    layers = list(plan.network.layers())
    assert list(moved.values()) == pytest.approx(
        [1e-3 * 0.5 ** (len(layers) - 1 - i) for i in range(len(layers))], 0.02
    )


def test_presets_and_rates():
    layers = ["encoder0", "encoder1", "decoder0", "head"]
    assert TransferSettings(decay=0.5).layer_rates(layers) == dict(zip(layers, (0.125, 0.25, 0.5, 1.0), strict=True))
    assert list(TransferSettings(freeze=3).layer_rates(layers).values()) == [0, 0, 0, 1]
    assert list(TransferSettings(freeze="encoder").layer_rates(layers).values()) == [0, 0, 1, 1]
    with pytest.raises(ValueError, match="freeze is 4: allowed are 0 to 3 of encoder0, encoder1, decoder0, head"):
        TransferSettings(freeze=4).layer_rates(layers)
    seed = TransferSettings(preset="seed").plan_steps(250 * 50)
    rates = [
        TransferSettings(**given).plan_steps(100.0).learning_rate
        for given in ({}, {"from_scratch": True}, {"learning_rate": 1e-4, "from_scratch": True})
    ]
    assert rates == [3e-4, 1e-3, 1e-4]
    assert (seed.steps, seed.learning_rate, seed.weight_decay, seed.average) == (30 * 65, 1e-3, 0, 0)
    assert TransferSettings().plan_steps(60).steps == 400
    assert TransferSettings(epochs=2).plan_steps(250 * 50).steps == 130


def test_from_scratch_knows_nothing_of_the_base(few):
    plans = [make_plan(few, "base", replace(QUICK, from_scratch=True, seed=seed)) for seed in (1, 1, 2)]
    base = make_plan(few, "base", QUICK)
    weights = [plan.network.head.weight.detach() for plan in (*plans, base)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], weights[3])


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory):
    """A small folder that looks like MIT-BIH: its train list and two test records, 20 s each."""
    wfdb = pytest.importorskip("wfdb")
    folder = tmp_path_factory.mktemp("ordinary")
    (folder / "mitdb").mkdir()
    for seed, name in enumerate(["100", "103", *MITDB_TRAIN.split()]):
        patient = VirtualPatient(360.0, seed)
        ecg = patient.read(360 * 20)[:, None] * np.array([1.0, 0.7])
        at, codes = zip(*patient.take_beats(), strict=True)
        where = {"write_dir": str(folder / "mitdb")}
        wfdb.wrsamp(name, 360, ["mV"] * 2, ["MLII", "V1"], ecg.astype(float), fmt=["16"] * 2, **where)
        wfdb.wrann(name, "atr", np.array(at), list(codes), **where)
    return folder


def test_ordinary_ecg_is_replayed_and_what_is_forgotten_is_measured(few, ordinary):
    plan = make_plan(few, "base", replace(QUICK, scanner="3T"), replay=ordinary)
    result = tune(plan)
    assert all(entry["ordinary_f1"] > 90 for entry in result.history)
    for entry in result.history[1:]:
        lost = max(0.0, result.history[0]["ordinary_f1"] - entry["ordinary_f1"])
        assert entry["score"] == pytest.approx((entry["f1"] + entry["edge"]) / 2 - lost)
    outcome = appraise(plan, result, name="new")
    text = to_html(outcome)
    assert "50% of each batch was ordinary ECG (mitdb), most of it taken into the virtual scanner (3T)" in text
    assert "F1 ordinary ECG" in text
    scores = {part.name: part for part in outcome.scores}
    assert scores["ordinary ECG"].records == ("100", "103")
    assert scores["ordinary ECG"].total_before.f1 > 95


def test_a_batch_has_its_share_of_ordinary_ecg():
    class Marked:
        def __init__(self, mark):
            self.mark = mark

        def draw(self, rng, count):
            rows = np.full((count, 750), self.mark, np.float32)
            return Batch(rows, rows, rows)

    batch = Mixed(Marked(1), Marked(2), 0.3).draw(np.random.default_rng(0), 64)
    assert [int((batch.ecg[:, 0] == mark).sum()) for mark in (1, 2)] == [45, 19]
    assert np.array_equal(batch.ecg, batch.target)
    assert np.array_equal(batch.ecg, batch.weight)
    assert len(Mixed(Marked(1), None, 0.3).draw(np.random.default_rng(0), 64).ecg) == 64


def test_the_base_stays_where_training_made_it_worse(tmp_path, few):
    plan = make_plan(few, "base", replace(QUICK, steps=20, learning_rate=0.3))
    outcome = transfer(plan, tmp_path / "new", name="new")
    assert outcome.result.history[-1]["score"] < outcome.result.history[0]["score"]
    assert outcome.result.step == 0
    base = model.read_sidecar(model.find("base"))
    assert model.read_sidecar(tmp_path / "new" / "new.json")["weights_sha256"] == base["weights_sha256"]
    assert "were better than those of the base, which were kept" in (tmp_path / "new" / "report.html").read_text()


def test_a_scanner_changes_what_is_learnt(few):
    weights = [
        tune(make_plan(few, "base", replace(QUICK, scanner=scanner))).network.head.weight for scanner in ("none", "3T")
    ]
    assert not torch.equal(*weights)


def test_training_stops_when_patience_is_over_and_stays_stopped(tmp_path):
    network = UNet(UNetSettings(strides=(6, 5), channels=(4, 8, 8)))
    settings = TrainSettings(steps=100, batch=2, validate_every=2, threads=1)
    values = iter([50.0, 60.0, 40.0, 59.0, 60.0])

    def draw(rng, count):
        ecg = rng.standard_normal((count, 750)).astype(np.float32)
        return Batch(ecg, np.zeros_like(ecg), np.ones_like(ecg))

    def run():
        return train(
            network,
            draw,
            settings,
            validate=lambda network: {"score": next(values)},
            checkpoint=tmp_path / "checkpoint.pt",
            patience=3,
        )

    first = run()
    assert [entry["step"] for entry in first.history] == [2, 4, 6, 8, 10]
    assert (first.step, first.scores) == (4, {"score": 60.0})
    assert run().history == first.history


def test_stopped_and_gone_on_with_equals_uninterrupted(tmp_path, few, monkeypatch):
    monkeypatch.setattr("streamqrs.training.loop.SAVE_EVERY", 1)
    settings = replace(QUICK, steps=3)

    def stop(now):
        if now.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        transfer(make_plan(few, "base", settings), tmp_path / "new", name="new", progress=stop)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["checkpoint.pt", "new.part", "plan.txt"]
    with pytest.raises(StreamqrsError, match="on other data or with other settings"):
        transfer(make_plan(few, "base", replace(settings, seed=1)), tmp_path / "new", name="new")
    seen = []
    resumed = transfer(
        make_plan(few, "base", settings), tmp_path / "new", name="new", progress=lambda now: seen.append(now.step)
    )
    assert seen == [3]
    whole = transfer(make_plan(few, "base", settings), tmp_path / "whole", name="new")
    weights = [(tmp_path / folder / "new.safetensors").read_bytes() for folder in ("new", "whole")]
    assert weights[0] == weights[1]
    assert [c.value for c in resumed.choices] == [c.value for c in whole.choices]
    assert resumed.result.history[1:] == whole.result.history[1:]


def test_part_of_the_way_lies_between_the_weights():
    torch.manual_seed(0)
    ends = [UNet(UNetSettings(channels=(2, 2, 2, 2))) for _ in range(2)]
    a, b = (network.state_dict() for network in ends)
    for share in (0.0, 0.25, 1.0):
        for name, value in part_way(*ends, share).state_dict().items():
            if value.is_floating_point():
                assert torch.allclose(value, a[name] + share * (b[name] - a[name]), atol=1e-6)


@pytest.mark.parametrize(("kept", "share"), [(True, 0.25), (False, 1.0)])
def test_how_far_to_go_is_what_validation_likes_best(tmp_path, kept, share):
    """Weights that know nothing are not gone to, and not stayed at."""
    hearts, start = tmp_path / "hearts", tmp_path / "start"
    hearts.mkdir()
    start.mkdir()
    for seed in range(3):
        patient = VirtualPatient(250.0, seed)
        ecg = patient.read(SECONDS * 250)
        beats = np.array([at for at, _ in patient.take_beats()])
        np.savez(hearts / f"p{seed}_1.npz", ecg=ecg, rate=250.0, beats=beats, lead="ECG")
    good = make_plan(hearts, "base", QUICK)
    torch.manual_seed(0)
    spoilt = UNet(good.network.settings)
    tuned, base = (spoilt, good.network) if kept else (good.network, spoilt)
    export(base.eval(), start, PackageInfo("start", "1", {}, {}))
    plan = make_plan(hearts, str(start), QUICK)
    result = Result(tuned.eval(), {}, 5)
    records = [one.record for one in plan.parts.validation]
    found, network, choice = choose_way(plan, result, lambda one: load_new(one, "new", {}), records, [])
    assert found.share == share
    again = score_beats(records[0], run_detector(records[0], network, threshold=choice.value))
    assert (again.tp, again.fp) == (choice.score.tp, choice.score.fp)
    still = choose_way(plan, replace(result, step=0), lambda one: load_new(one, "new", {}), records, [])[0]
    assert (still.share, still.network) == (1.0, result.network)


def test_thresholds_are_those_of_the_detector(made):
    network, record = model.load(made[1]), made[0].plan.parts.validation[0].record
    beats, looks = choose_threshold(network, [record]), look_ahead(network, [record])
    for value, score in beats.trials:
        detector = streamqrs.Detector(record.rate, network, threshold=value)
        found = score_beats(record, detector.push(record.samples) + detector.flush())
        assert found.tp > 10
        assert (found.tp, found.fp) == (score.tp, score.fp)
    for look in looks:
        value, score = look.choice.trials[5]
        detector = streamqrs.Detector(record.rate, network, gate=True, gate_depth=look.depth, gate_threshold=value)
        known = [event.known for event in detector.push(record.samples) if event.kind == "trigger"]
        assert score.tp > 10
        assert metrics.score(marks_of(record), known, TRIGGER_S) == score
        assert look.choice.value in dict(look.choice.trials)
    assert beats.value in dict(beats.trials)


@pytest.mark.parametrize(("lost", "value"), [(0, 0.8), (1, 0.8), (20, 0.5)])
def test_what_a_threshold_loses_of_ordinary_ecg_counts_against_it(lost, value):
    own = {t: [Score(round(900 + 100 * t), 50, round(100 - 100 * t))] for t in THRESHOLDS}  # the higher the better
    ordinary = {t: [Score(1000 - (lost if t > 0.6 else 0) * 10, 0, (lost if t > 0.6 else 0) * 10)] for t in THRESHOLDS}
    choice = choose("threshold", own, ordinary)
    assert choice.value == value
    assert choice.score == own[value][0]
    assert dict(choice.ordinary)[0.8].fn == 10 * lost


def test_ordinary_recordings_that_thresholds_are_tried_on(ordinary):
    material = load_material(ordinary)
    records = set_aside(material)
    assert [record.name for record in records] == ["mitdb/106", "mitdb/114", "mitdb/209", "mitdb/223"]
    first = material.validation["mitdb"][0]
    np.testing.assert_array_equal(records[0].samples, first.ecg[0])
    np.testing.assert_allclose(records[0].beats, first.beats[0], atol=0.5)


def test_patients_are_kept_apart_and_smaller_sets_lie_in_larger_ones(data):
    parts = load_parts(data / "finetune", seed=3)
    patients = [{one.patient for one in part} for _, part in parts.items()]
    assert [len(part) for part in patients] == [12, 2, 2]
    assert len(set.union(*patients)) == 16
    names = [{one.record.name for one in load_parts(data, records=n, seed=1).finetune} for n in (2, 5, 16)]
    assert [len(part) for part in names] == [2, 5, 16]
    assert names[0] < names[1] < names[2]
    with pytest.raises(ValueError, match="records are 17: allowed are 1 to 16"):
        load_parts(data, records=17)
    assert "split by patient at random" in parts.notes[1]


def test_what_tells_patients_apart(tmp_path, few):
    for name, comment in {"x1": "# Patient: K17", "x2": "# source mitdb/105 from 3 s", "y_2": "# 54 M"}.items():
        (tmp_path / f"{name}.hea").write_text(f"{name} 1 250 1000\n{name}.dat 16\n{comment}\n")
    assert find_patient(tmp_path / "x1") == ("K17", "header")
    assert find_patient(tmp_path / "x2.hea") == ("mitdb/105", "header")
    assert find_patient(tmp_path / "y_2") == ("y", "name")
    listed = tmp_path / "list.txt"
    rows = [f"{few / name}.npz, {patient}" for name, patient in {"a_1": 1, "a_2": 2, "b_1": 3, "c_1": 3}.items()]
    listed.write_text("# recording, patient\n" + "\n".join(rows) + "\n")
    parts = load_parts(listed)
    assert parts.notes[0] == "patients from the list"
    assert len(parts.finetune + parts.validation + parts.test) == 4
    assert {one.patient for _, part in parts.items() for one in part} == {"1", "2", "3"}
    listed.write_text("\n".join(f"{few / name}.npz" for name in ("a_1", "b_1", "c_1")))
    assert {one.patient for _, part in load_parts(listed).items() for one in part} == {"a", "b", "c"}


def test_short_gaps_are_bridged_and_marks_stay(tmp_path):
    write(tmp_path / "a_1.npz", 0)
    whole = read_annotated(tmp_path / "a_1.npz")
    ecg = whole.record.samples.copy()
    ecg[1000:1050] = np.nan
    write(tmp_path / "b_1.npz", 0, ecg=ecg)
    bridged = read_annotated(tmp_path / "b_1.npz").recording
    assert np.isfinite(bridged.ecg).all()
    line = bridged.ecg[0, 999:1051]
    assert np.abs(np.diff(line, 2)).max() < 1e-3 * np.ptp(bridged.ecg)
    np.testing.assert_array_equal(bridged.beats[0], whole.record.beats)


BAD = {
    "has no marked beats": {"beats": None},
    "has 1 marked beat: allowed are 2 and more": {"beats": np.array([700])},
    "a beat is marked at sample 5000: allowed are 0 to 4999": {"beats": np.array([100, 5000])},
    "lasts 4 s: allowed are 6 s and more": {"seconds": 4},
    "51 samples are missing": {"ecg": np.where(np.arange(5000) // 51 == 9, np.nan, np.arange(5000) % 37)},
}


@pytest.mark.parametrize("message", BAD)
def test_a_recording_that_cannot_be_used_is_named(tmp_path, few, message):
    for name in ("a_1", "b_1"):
        (tmp_path / f"{name}.npz").write_bytes((few / f"{name}.npz").read_bytes())
    write(tmp_path / "c_1.npz", 3, **BAD[message])
    with pytest.raises(BadRecord, match=message) as refused:
        load_parts(tmp_path)
    assert str(refused.value).startswith("c_1")
    assert "\n" not in str(refused.value)


def test_what_cannot_be_split_is_refused(tmp_path, few):
    with pytest.raises(SourceNotFound, match="no lead 'V5'"):
        load_parts(few, lead="V5")
    with pytest.raises(SourceNotFound, match="no data"):
        load_parts(few / "nowhere")
    two = tmp_path / "two.txt"
    two.write_text(f"{few / 'a_1.npz'}\n{few / 'a_2.npz'}\n{few / 'b_1.npz'}\n")
    with pytest.raises(BadRecord, match=r"has 2 patients \(a, b; patients from names.*allowed are 3 and more"):
        load_parts(two)
    with pytest.raises(BadRecord, match=r"a_1.npz is in finetune and in validation"):
        load_parts(few, few)
    lists = [tmp_path / f"{name}.txt" for name in ("first", "second")]
    for path, rows in zip(lists, (["a_1,x", "b_1,y"], ["a_2,x", "c_1,z"]), strict=True):
        path.write_text("".join(f"{few}/{row.replace(',', '.npz,')}\n" for row in rows))
    with pytest.raises(BadRecord, match="patient x is in finetune and in validation"):
        load_parts(*lists)


def test_a_base_that_cannot_be_trained_on_is_refused(tmp_path, few, made):
    folder = tmp_path / "other"
    folder.mkdir()
    text = (made[1] / "tuned.json").read_text()
    (folder / "tuned.json").write_text(text)
    with pytest.raises(BadModel, match=r"model tuned has no tuned\.safetensors beside it"):
        make_plan(few, str(folder), QUICK)
    weights = (made[1] / "tuned.safetensors").read_bytes()
    (folder / "tuned.safetensors").write_bytes(weights)
    (folder / "tuned.json").write_text(text.replace('"unet"', '"lstm"'))
    with pytest.raises(BadModel, match="allowed are type unet"):
        make_plan(few, str(folder), QUICK)
    (folder / "tuned.json").write_text(text)
    (folder / "tuned.safetensors").write_bytes(weights[:-1])
    with pytest.raises(BadModel, match="its hash differs"):
        make_plan(few, str(folder), QUICK)


def test_a_name_that_only_leads_to_a_model_is_followed(tmp_path, few, made):
    for path in made[1].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "other.json").write_text('{"format": 1, "name": "other", "alias": "tuned"}')
    assert make_plan(few, str(tmp_path / "other.json"), QUICK).base == tmp_path / "tuned.json"
