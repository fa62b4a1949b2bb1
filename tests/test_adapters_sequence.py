"""The order of packets, and what was lost between them."""

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamqrs.adapters.packet import Packet
from streamqrs.adapters.sequence import WINDOW, Sequencer

RATE = 250.0
SIZE = 10


def packet(i, size=SIZE, **fields):
    """Packet i of a stream whose sample k has the value k."""
    return Packet(np.arange(i * size, (i + 1) * size, dtype=np.float32), **fields)


def feed(packets, sequencer=None, size=SIZE, waits=None):
    """Push packets that arrive at the pace of their samples; returns the chunks and the sequencer."""
    sequencer = sequencer or Sequencer()
    chunks, now = [], 100.0
    for k, item in enumerate(packets):
        now += size / RATE + (waits or {}).get(k, 0.0)
        chunks += sequencer.push(item, RATE, now, 1.79e9 + now)
    return chunks, sequencer


def truth(chunks):
    """Whether each sample stands at the place that its value names."""
    return all(
        np.array_equal(chunk.samples, np.arange(chunk.start, chunk.start + len(chunk.samples))) for chunk in chunks
    )


def numbered(indices, how, size=SIZE):
    if how == "start":
        return [packet(i, size, start=1000 + i * size) for i in indices]
    if how == "seq of samples":
        return [packet(i, size, seq=1000 + i * size) for i in indices]
    return [packet(i, size, seq=77 + i) for i in indices]


HOW = pytest.mark.parametrize("how", ["start", "seq of samples", "seq of messages"])


@HOW
@pytest.mark.parametrize("size", [1, 2, 10])
def test_a_stream_in_order_comes_through_whole(how, size):
    chunks, sequencer = feed(numbered(range(50), how, size), size=size)
    assert truth(chunks)
    assert [chunk.start for chunk in chunks] == [i * size for i in range(50)]
    assert not +sequencer.counts


@HOW
def test_doubled_packets_are_passed_over(how):
    chunks, sequencer = feed(numbered([0, 1, 1, 2, 3, 3, 2, 4], how))
    assert truth(chunks)
    assert sum(len(chunk.samples) for chunk in chunks) == 50
    assert +sequencer.counts == {"doubled": 3}


@HOW
def test_packets_out_of_order_are_sorted(how):
    chunks, sequencer = feed(numbered([0, 1, 3, 2, 4, 7, 6, 5, 8], how))
    assert truth(chunks)
    assert [chunk.start for chunk in chunks] == [i * SIZE for i in range(9)]
    assert sequencer.counts["reordered"] == 2
    assert sequencer.counts["lost"] == 0


@HOW
def test_lost_packets_are_a_jump(how):
    chunks, sequencer = feed(numbered([0, 1, 2, *range(5, 20)], how))
    assert truth(chunks)
    assert [chunk.start for chunk in chunks] == [i * SIZE for i in (0, 1, 2, *range(5, 20))]
    assert +sequencer.counts == {"lost": 20}


@HOW
def test_a_packet_after_its_place_was_given_up_is_late(how):
    chunks, sequencer = feed(numbered([0, 1, 3, 4, 5, 6, 7, 8, 2, 9], how))
    assert truth(chunks)
    assert sequencer.counts["late"] == 1
    assert sequencer.counts["lost"] == SIZE


@HOW
@given(seed=st.integers(0, 2**32 - 1))
def test_whatever_happens_on_the_way_no_sample_is_out_of_place(how, seed):
    chance = random.Random(seed)
    sent = [0, 1, 2]  # the first packets show what the numbers count
    for i in range(3, 120):
        if chance.random() < 0.1:
            continue
        sent += [i] * (2 if chance.random() < 0.1 else 1)
        if len(sent) > 4 and chance.random() < 0.1:
            sent[-1], sent[-2] = sent[-2], sent[-1]
    chunks, sequencer = feed(numbered(sent, how))
    assert truth(chunks)
    starts = [chunk.start for chunk in chunks]
    assert starts == sorted(set(starts))
    given_out = sum(len(chunk.samples) for chunk in chunks)
    assert given_out + sequencer.counts["lost"] == starts[-1] + SIZE


@pytest.mark.parametrize("bits", [8, 16, 31, 32])
def test_a_counter_that_goes_round_is_no_restart(bits):
    seqs = [(2**bits - 20 + i) % 2**bits for i in range(60) if i != 19]
    packets = [packet(i, seq=seq) for i, seq in zip((i for i in range(60) if i != 19), seqs, strict=True)]
    chunks, sequencer = feed(packets)
    assert truth(chunks)
    assert +sequencer.counts == {"lost": SIZE}


def test_a_device_that_begins_anew_is_followed():
    packets = [packet(i, seq=500 + i) for i in range(20)] + [packet(i, seq=i) for i in range(20)]
    chunks, sequencer = feed(packets)
    assert sequencer.counts["restarts"] == 1
    assert sequencer.counts["stray"] == WINDOW - 1
    assert len(chunks) == 40 - (WINDOW - 1)
    first = chunks[20]
    assert first.samples[0] == (WINDOW - 1) * SIZE
    assert first.start > chunks[19].start + SIZE  # a jump, so that a Gap is said


@pytest.mark.parametrize("number", [0, 10**6, 2**62])
def test_one_number_out_of_nowhere_changes_nothing(number):
    packets = [packet(i, seq=200 + i) for i in range(30)]
    packets.insert(10, packet(0, seq=number))
    chunks, sequencer = feed(packets)
    assert truth(chunks)
    assert len(chunks) == 30
    assert +sequencer.counts == {"stray": 1}


def test_a_wrong_first_opinion_of_the_counter_is_mended():
    """One message of two is lost right after the first packet: the step looks like a count of samples."""
    chunks, sequencer = feed([packet(i, 2, seq=5 + i) for i in (0, *range(2, 40))], size=2)
    assert len(chunks) == 39
    assert sequencer.counts["restarts"] == 0
    steps = [b.start - a.start - len(a.samples) for a, b in pairwise(chunks[2:])]
    assert steps == [0] * len(steps)


def stamped(indices, **extra):
    return [packet(i, time=1.79e9 + i * SIZE / RATE, **extra) for i in indices]


def test_stamps_show_a_hole_where_there_is_no_number():
    chunks, sequencer = feed(stamped([*range(20), *range(23, 40)]))
    assert truth(chunks)
    assert +sequencer.counts == {"lost": 30}
    assert chunks[5].time == pytest.approx(1.79e9 + 5 * SIZE / RATE)


def test_a_jittery_clock_shows_no_hole():
    chance = random.Random(1)
    packets = [packet(i, time=1.79e9 + i * SIZE / RATE + chance.uniform(0, 0.03)) for i in range(500)]
    chunks, _ = feed(packets)
    assert truth(chunks)


def test_stamps_in_whole_seconds_show_no_hole():
    packets = [packet(i, time=float(int(1.79e9 + i * SIZE / RATE))) for i in range(500)]
    chunks, _ = feed(packets)
    assert truth(chunks)


@pytest.mark.parametrize("unit", [1.0, 1e3, 1e6, 1e9])
def test_the_ticks_of_a_device_show_a_hole_in_any_unit(unit):
    packets = [packet(i, tick=5 * unit + i * SIZE / RATE * unit) for i in [*range(60), *range(65, 90)]]
    chunks, sequencer = feed(packets)
    assert truth(chunks)
    assert +sequencer.counts == {"lost": 50}


def test_a_clock_that_is_set_is_no_hole():
    packets = stamped(range(20)) + [packet(i, time=1.8e9 + i * SIZE / RATE) for i in range(20, 40)]
    chunks, sequencer = feed(packets)
    assert truth(chunks)
    assert not +sequencer.counts


def test_a_stamp_of_the_last_sample_is_moved_to_the_first():
    chunks, _ = feed(stamped(range(3), stamp_at_end=True))
    assert chunks[0].time == pytest.approx(1.79e9 - (SIZE - 1) / RATE)


def test_without_number_and_stamp_only_a_silence_is_a_loss():
    chunks, sequencer = feed([packet(i) for i in range(20)], waits={5: 1.0})
    assert truth(chunks)
    chunks, sequencer = feed([packet(i) for i in range(20)], waits={5: 4.0})
    assert sequencer.counts["lost"] == 4 * RATE
    assert chunks[5].start == 5 * SIZE + 4 * RATE
    assert chunks[5].time == pytest.approx(1.79e9 + chunks[5].received - (SIZE - 1) / RATE)


def test_a_broken_connection_is_a_loss_of_the_time_that_passed():
    sequencer = Sequencer()
    (one,) = sequencer.push(packet(0), RATE, 10.0, 1.79e9)
    (two,) = sequencer.push(packet(1), RATE, 10.5, 1.79e9 + 0.5, broken=True)
    assert one.start == 0
    assert two.start == 125
