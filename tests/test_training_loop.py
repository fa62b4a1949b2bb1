from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from streamqrs.errors import StreamqrsError
from streamqrs.training.dataset import Batch, Windows, WindowSettings
from streamqrs.training.loop import TAUGHT, learning_rate, loss_of, train
from streamqrs.training.recordings import Recording
from streamqrs.training.score import Validation, find_beats
from streamqrs.training.settings import TrainSettings
from streamqrs.training.unet import UNet, UNetSettings, predict

SMALL = UNetSettings(kernel=12, strides=(6, 5), channels=(4, 8, 8))
QUICK = TrainSettings(steps=12, batch=8, validate_every=6, threads=1)


def recording(seed, *, seconds=60):
    """QRS among T waves and noise, at irregular times."""
    rng = np.random.default_rng(seed)
    n = seconds * 250
    r = np.cumsum(rng.uniform(150, 260, n // 150))
    r = r[r < n - 50]
    t = np.arange(n)
    ecg = sum(np.exp(-0.5 * ((t - k) / 3) ** 2) + 0.6 * np.exp(-0.5 * ((t - k - 70) / 14) ** 2) for k in r)
    ecg = (ecg + 0.05 * rng.standard_normal(n)).astype(np.float32)[None]
    return Recording(f"test/{seed}", ecg, (r,), (("N",) * len(r),), (np.array([[0.0, n]]),))


def windows():
    return Windows({"test": [recording(0), recording(1)]}, WindowSettings())


def network(settings=SMALL):
    torch.manual_seed(0)
    return UNet(settings)


def steps_done(network_):
    return {"score": 0.0}


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_same_seed_same_weights_another_seed_others():
    results = [
        train(network(), windows().draw, replace(QUICK, seed=seed), validate=steps_done).network for seed in (1, 1, 2)
    ]
    assert equal(results[0], results[1])
    assert not equal(results[0], results[2])


def test_what_a_teacher_says_stands_beside_the_marks():
    teacher = network()
    with torch.no_grad():
        teacher.head.weight.zero_()
        teacher.head.bias.copy_(torch.tensor([-5.0, 5.0]))  # sure of QRS complexes everywhere
    before = deepcopy(teacher.state_dict())

    def nothing(taught):
        def draw(rng, count):
            ecg = rng.standard_normal((count, 750), np.float32)
            return Batch(ecg, np.zeros_like(ecg), np.ones_like(ecg), taught)

        return draw

    settings = replace(QUICK, steps=60, validate_every=60, learning_rate=0.02, average=0.5)
    untaught = np.zeros(QUICK.batch, np.bool_)  # of patients with a pacemaker
    for one, taught, expected in ((None, None, 0.0), (teacher, None, TAUGHT), (teacher, untaught, 0.0)):
        trained = train(network(), nothing(taught), settings, validate=steps_done, teacher=one).network
        said = predict(trained, np.random.default_rng(0).standard_normal((20, 750), np.float32)).mean()
        assert said == pytest.approx(expected, abs=0.1)
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


def test_training_finds_the_beats_of_a_recording_it_has_not_seen():
    settings = TrainSettings(steps=120, batch=16, validate_every=40, threads=1, learning_rate=5e-3)
    losses = []
    validation = Validation({"test": [recording(9)]})
    before = validation(network())
    result = train(
        network(),
        windows().draw,
        settings,
        validate=validation,
        progress=lambda now: losses.append(now.loss),
    )
    assert losses[-1] < 0.5 * losses[0]
    assert before["f1"] < 60
    assert result.scores["f1"] > 98
    assert result.scores["edge"] > 90
    assert [entry["step"] for entry in result.history] == [40, 80, 120]
    found = find_beats(result.network, recording(9).ecg[0])
    truth = recording(9).beats[0]
    assert np.median(np.abs(found[:, None] - truth).min(axis=1)) < 1


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_stopped_and_resumed_equals_uninterrupted(tmp_path, monkeypatch, optimiser):
    monkeypatch.setattr("streamqrs.training.loop.SAVE_EVERY", 4)
    settings = replace(QUICK, optimiser=optimiser)
    whole = train(network(), windows().draw, settings, validate=Validation({"test": [recording(9)]}))
    path = tmp_path / "checkpoint.pt"

    def stop(now):
        if now.step == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(
            network(),
            windows().draw,
            settings,
            validate=Validation({"test": [recording(9)]}),
            progress=stop,
            checkpoint=path,
        )
    seen = []
    resumed = train(
        network(),
        windows().draw,
        settings,
        validate=Validation({"test": [recording(9)]}),
        progress=lambda now: seen.append(now.step),
        checkpoint=path,
    )
    assert seen == [9, 10, 11, 12]
    assert equal(whole.network, resumed.network)
    assert (whole.history, whole.scores) == (resumed.history, resumed.scores)


def test_a_finished_checkpoint_gives_its_result_again(tmp_path):
    path = tmp_path / "checkpoint.pt"
    first = train(network(), windows().draw, QUICK, validate=steps_done, checkpoint=path)
    again = train(network(), windows().draw, QUICK, validate=steps_done, checkpoint=path)
    assert equal(first.network, again.network)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    path = tmp_path / "checkpoint.pt"
    train(network(), windows().draw, QUICK, validate=steps_done, checkpoint=path)
    other = replace(QUICK, learning_rate=1e-2)
    with pytest.raises(StreamqrsError, match="other settings"):
        train(network(), windows().draw, other, validate=steps_done, checkpoint=path)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(StreamqrsError, match="cannot be read"):
        train(network(), windows().draw, QUICK, validate=steps_done, checkpoint=path)


def test_frozen_layers_keep_their_weights_and_norms_and_slow_ones_move_less():
    def moved(rates):
        start = network()
        before = {name: value.clone() for name, value in start.state_dict().items()}
        after = train(start, windows().draw, QUICK, validate=steps_done, rates=rates).network.state_dict()
        return {
            name: float((after[name] - before[name]).abs().max()) for name in before if before[name].is_floating_point()
        }

    free = moved({})
    partly = moved({"encoder0": 0.0, "encoder1": 0.0, "decoder0": 0.01})
    assert all(value > 0 for value in free.values())
    for name, value in partly.items():
        layer = name.split(".")[:2]
        if layer in (["encoder", "0"], ["encoder", "1"]):
            assert value == 0, name
        else:
            assert value > 0, name
    slow = "decoder.1.up.weight"  # the last stage of the decoder
    assert partly[slow] < 0.1 * free[slow]


@pytest.mark.parametrize("rates", [{"encoder9": 0.5}, {"head": -1.0}])
def test_bad_rates_are_refused(rates):
    with pytest.raises(ValueError, match="allowed are factors from 0 for encoder0"):
        train(network(), windows().draw, QUICK, validate=steps_done, rates=rates)


def test_all_layers_frozen_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        train(network(), windows().draw, QUICK, validate=steps_done, rates=dict.fromkeys(network().layers(), 0.0))


def test_the_best_weights_are_kept_not_the_last():
    scores = iter([3.0, 9.0, 5.0])
    settings = replace(QUICK, validate_every=4)
    result = train(network(), windows().draw, settings, validate=lambda _: {"score": next(scores)})
    assert (result.step, result.scores) == (8, {"score": 9.0})


def test_a_loss_that_is_not_a_number_stops_the_training():
    def draw(rng, count):
        return Batch(*(np.full((count, 750), np.nan, np.float32) for _ in range(3)))

    with pytest.raises(StreamqrsError, match="loss is nan at step 0"):
        train(network(), draw, QUICK, validate=steps_done)


def test_threads_are_given_back():
    before = torch.get_num_threads()
    train(network(), windows().draw, replace(QUICK, steps=1), validate=steps_done)
    assert torch.get_num_threads() == before


def test_loss_is_the_weighted_cross_entropy_of_two_classes():
    logits = torch.randn(3, 2, 50)
    target = torch.randint(0, 2, (3, 50))
    weight = torch.rand(3, 50)
    each = torch.nn.functional.cross_entropy(logits, target, reduction="none")
    expected = (each * weight).sum() / weight.sum()
    assert float(loss_of(logits, target.float(), weight)) == pytest.approx(float(expected), rel=1e-5)
    assert float(loss_of(logits, target.float(), torch.zeros(3, 50))) == 0


def test_learning_rate_rises_then_falls():
    settings = TrainSettings(steps=1000, warm_up=0.1, learning_rate=1e-2)
    rates = [learning_rate(step, settings) for step in range(1000)]
    assert int(np.argmax(rates)) == pytest.approx(100, abs=1)
    assert max(rates) == pytest.approx(1e-2)
    assert 0 < rates[0] < 2e-4
    assert rates[-1] == pytest.approx(1e-4, rel=0.05)
    assert (np.diff(rates[:100]) > 0).all()
    assert (np.diff(rates[101:]) < 0).all()


def test_a_steady_rate_rises_and_stays():
    settings = TrainSettings(steps=1000, warm_up=0.1, learning_rate=1e-2, steady=True)
    rates = np.array([learning_rate(step, settings) for step in range(1000)])
    assert (np.diff(rates[:100]) > 0).all()
    assert (rates[100:] == 1e-2).all()


def test_the_last_weights_are_kept_if_asked_for_and_else_the_best():
    given = iter([3.0, 9.0, 5.0] * 2)
    settings = replace(QUICK, steps=6, validate_every=2)
    found = {
        last: train(network(), windows().draw, settings, validate=lambda _: {"score": next(given)}, keep_last=last)
        for last in (False, True)
    }
    assert [(one.step, one.scores["score"]) for one in found.values()] == [(4, 9.0), (6, 5.0)]
    weights = [torch.cat([p.flatten() for p in one.network.parameters()]) for one in found.values()]
    assert not torch.equal(*weights)


@pytest.mark.parametrize(
    "given", [{"steps": -1}, {"learning_rate": 0.0}, {"average": 1.0}, {"weight_decay": -0.1}, {"threads": 0}]
)
def test_bad_settings_are_refused(given):
    with pytest.raises(ValueError, match="allowed are"):
        TrainSettings(**given)


def test_validation_with_noise_scores_below_without():
    noise = np.random.default_rng(0).standard_normal((2, 4000)).astype(np.float32)
    settings = TrainSettings(steps=60, batch=16, validate_every=60, threads=1, learning_rate=5e-3)
    validation = Validation({"test": [recording(9)]}, 6 * noise)
    scores = train(network(), windows().draw, settings, validate=validation).scores
    assert scores["noisy_f1"] < scores["f1"]
    assert scores["score"] == pytest.approx((scores["f1"] + scores["noisy_f1"] + scores["edge"]) / 3)
