from streamqrs.life import Life
from streamqrs.types import Peak


def peak(at):
    return Peak(float(at), 0.9, int(at) + 10)


def test_a_trigger_that_is_confirmed_keeps_its_id():
    life = Life()
    assert life.trigger(peak(100)).id == 0
    (beat,) = life.confirm([peak(104)], 200, 300)
    assert (beat.kind, beat.id, beat.at, beat.known) == ("beat", 0, 104, 300)


def test_a_trigger_that_was_no_beat_is_withdrawn_once_all_near_it_is_settled():
    life = Life()
    life.trigger(peak(100))
    assert life.confirm([], 119, 300) == []
    (gone,) = life.confirm([], 121, 301)
    assert (gone.kind, gone.id, gone.at) == ("withdrawn", 0, 100)
    assert life.confirm([], 500, 600) == []


def test_a_beat_that_the_gate_missed_appears_alone():
    life = Life()
    life.trigger(peak(100))
    life.trigger(peak(500))
    steps = life.confirm([peak(101), peak(300), peak(502)], 600, 700)
    assert [(s.kind, s.id) for s in steps] == [("beat", 0), ("beat", 2), ("beat", 1)]
    assert [s.rr for s in steps] == [None, 199, 202]


def test_order_is_kept_between_withdrawn_and_confirmed():
    life = Life()
    for at in (100, 180, 260):
        life.trigger(peak(at))
    steps = life.confirm([peak(182)], 290, 300)
    assert [(s.kind, s.id) for s in steps] == [("withdrawn", 0), ("beat", 1), ("withdrawn", 2)]


def test_of_two_triggers_near_one_beat_the_nearer_one_lives():
    life = Life()
    life.trigger(peak(100))
    life.trigger(peak(115))
    steps = life.confirm([peak(113)], 200, 300)
    assert [(s.kind, s.id) for s in steps] == [("beat", 1), ("withdrawn", 0)]


def test_at_the_end_all_open_triggers_are_withdrawn_and_ids_go_on():
    life = Life()
    life.trigger(peak(100))
    assert [s.kind for s in life.end(300)] == ["withdrawn"]
    life.reset()
    assert life.trigger(peak(10)).id == 1
    assert life.trigger(peak(10)).rr == 0
