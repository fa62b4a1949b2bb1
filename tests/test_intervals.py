"""How likely the next RR interval is, and what hearts do again."""

import math

import numpy as np
import pytest
from scipy import integrate

from streamqrs.intervals import (
    FEWEST,
    IRREGULAR,
    MEMORY,
    MOST_IRREGULAR,
    SELDOM,
    Course,
    Repeats,
    irregular_share,
    likelihood,
    most_likely,
)

TRIGEMINY = (130.0, 270.0, 200.0)


def course_of(intervals):
    course = Course()
    for interval in intervals:
        course = course.follow(interval)
    return course


def after(intervals):
    repeats = Repeats()
    for interval in intervals:
        repeats.push(interval)
    return np.exp(repeats.after())


def test_the_first_interval_says_nothing_but_itself():
    assert likelihood(100, Course(), IRREGULAR) == 0
    assert Course().follow(170).rr == 170


def test_a_regular_heart_is_expected_in_its_time():
    course = course_of([200] * 20)
    assert course.rr == pytest.approx(200)
    assert likelihood(200, course, IRREGULAR) > likelihood(180, course, IRREGULAR) > likelihood(140, course, IRREGULAR)
    assert likelihood(60, course, IRREGULAR) < likelihood(100, course, IRREGULAR)  # hardly ever a third of the interval


def test_in_bigeminy_the_next_one_is_early_and_then_late():
    course = course_of([200, 200, *([130, 270] * 10)])
    assert likelihood(130, course, IRREGULAR) > likelihood(200, course, IRREGULAR) + 0.5
    assert likelihood(270, course.follow(130), IRREGULAR) > likelihood(130, course.follow(130), IRREGULAR) + 0.5


@pytest.mark.parametrize("intervals", [[200] * 9, [130, 270] * 9, [130, 270, 200] * 9, [180, 200, 150] * 9])
@pytest.mark.parametrize("again", [(), (math.log(150), math.log(152), math.log(210))])
def test_it_is_a_density_of_the_log_and_has_an_upper_bound(intervals, again):
    course = course_of(intervals)
    course.again = again
    logs = np.linspace(math.log(30), math.log(900), 4000)
    density = np.array([math.exp(likelihood(math.exp(x), course, MOST_IRREGULAR)) for x in logs])
    rhythm = (1 - MOST_IRREGULAR) * 1.0
    floor = MOST_IRREGULAR / math.log(2.2 / 0.35)
    assert integrate.trapezoid(np.maximum(density - floor, 0), logs) == pytest.approx(rhythm, abs=0.06)
    assert math.log(density.max()) <= most_likely(course)


def test_what_came_after_such_intervals_is_told_again():
    for shift, due in enumerate((130, 270, 200)):
        intervals = [*(TRIGEMINY * 10), *TRIGEMINY[:shift]]
        np.testing.assert_allclose(after(intervals), due, rtol=0.001)
        course, repeats = course_of(intervals), Repeats()
        for interval in intervals:
            repeats.push(interval)
        alone = likelihood(due, course, IRREGULAR)
        course.again = repeats.after()
        assert likelihood(due, course, IRREGULAR) > alone + 0.3


def test_bigeminy_from_the_first_beat_on_is_known_by_what_came_after():
    """The running RR interval may follow the short ones alone then."""
    course, repeats = Course(), Repeats()
    for interval in [130.0, 270.0] * 20:
        repeats.push(interval)
        course = course.follow(interval)
    assert course.uneven >= SELDOM
    course.again = repeats.after()
    assert likelihood(130, course, IRREGULAR) > likelihood(200, course, IRREGULAR) + 1
    course = course.follow(130)
    course.again = repeats.after([130.0])
    assert likelihood(270, course, IRREGULAR) > likelihood(200, course, IRREGULAR) + 1


def test_intervals_that_are_not_pushed_come_after_those_that_are():
    repeats = Repeats()
    for interval in TRIGEMINY * 10:
        repeats.push(interval)
    np.testing.assert_allclose(np.exp(repeats.after([130.0])), 270, rtol=0.001)
    np.testing.assert_allclose(np.exp(repeats.after([130.0, 270.0])), 200, rtol=0.001)
    np.testing.assert_allclose(np.exp(repeats.after()), 130, rtol=0.001)  # nothing was pushed by asking


def test_too_little_is_known_at_first_and_after_a_pause():
    repeats = Repeats()
    for k in range(FEWEST + 2):
        assert repeats.after() == ()
        repeats.push(200.0 + k)
    assert repeats.after() == ()
    repeats.push(200.0)
    assert len(repeats.after()) > 0
    repeats.end()
    assert repeats.after() == ()
    assert len(repeats.after([200.0, 201.0, 202.0])) > 0
    repeats.reset()
    assert repeats.after([200.0, 201.0, 202.0]) == ()


def test_old_intervals_are_forgotten():
    assert np.all(after([*([150.0, 250.0] * MEMORY), *([200.0] * (MEMORY + 3)), 150.0, 250.0, 150.0]) != 250.0)


def test_a_heart_without_rhythm_is_learnt():
    rng = np.random.default_rng(2)
    for intervals, low, high in (([200.0] * 300, 0.0, 0.15), (rng.uniform(80, 300, 300).tolist(), 0.4, 0.7)):
        share, course = IRREGULAR, Course()
        for interval in intervals:
            share = irregular_share(share, interval, course)
            course = course.follow(interval)
        assert low <= share <= high
