"""Which views a run gets, and what they are told."""

from types import SimpleNamespace

import pytest

from streamqrs.cli.views import choose, fill_in, furnish
from streamqrs.detector import Detector
from streamqrs.ports import open_sink


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["run", "--web"], ["run", "--web=8765"]),
        (["run", "--web", "--gate"], ["run", "--web=8765", "--gate"]),
        (["run", "--web", "9000"], ["run", "--web", "9000"]),
        (["run", "--web", "0.0.0.0:80", "--gate"], ["run", "--web", "0.0.0.0:80", "--gate"]),
        (["run", "--web=9000"], ["run", "--web=9000"]),
        (["run"], ["run"]),
        ([], []),
    ],
)
def test_a_port_may_be_left_out(given, wanted):
    assert fill_in(given) == wanted


def test_without_a_terminal_there_are_lines():  # standard output of a test is none
    options = {"web": None, "plain": False, "as_json": False}
    assert choose(None, **options) == ["console"]
    assert choose(["jsonl:x"], **options) == ["jsonl:x"]
    assert choose(None, **options | {"as_json": True}) == []
    assert choose(None, **options | {"web": "9000"}) == ["console", "web:9000"]
    assert choose(None, **options | {"web": "9000", "as_json": True}) == ["web:9000"]


def test_views_know_connections_settings_and_each_other():
    gate = SimpleNamespace(name="mqtt://gate", connected=False)
    source = SimpleNamespace(name="sim")
    lines, web, screen = open_sink("console"), open_sink("web:9000"), open_sink("screen")
    file = open_sink("jsonl:beats.jsonl")
    detector = Detector(250, "base", threshold=0.6)
    assert furnish([lines, file, gate, web, screen], source, detector) == [screen, web]
    assert web.settings["threshold"] == 0.6
    assert web.links() == screen.links() == [("jsonl:beats.jsonl", None), ("mqtt://gate", False)]
    gate.connected = True
    assert ("mqtt://gate", True) in web.links()
    assert "http://127.0.0.1:9000/" in screen.notes[0]
