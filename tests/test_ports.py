import pytest

from streamqrs import open_sink, open_source
from streamqrs.errors import BadSpec
from streamqrs.ports import Sink, Source, sinks, sources


def test_all_adapters_are_found():
    assert {"sim", "file", "lsl", "mqtt", "mqtts", "rda", "serial", "brainflow", "polar"} <= set(sources())
    assert {"console", "jsonl", "lsl", "mqtt", "mqtts"} <= set(sinks())


def test_what_is_opened_fits_the_port():
    assert isinstance(open_source("sim"), Source)
    assert isinstance(open_sink("console"), Sink)


@pytest.mark.parametrize("spec", ["", "nope", "nope:x", ":", "SIM"])
def test_an_unknown_scheme_is_refused_with_the_allowed_ones(spec):
    with pytest.raises(BadSpec, match="allowed are " + ", ".join(sorted(sources()))):
        open_source(spec)
    with pytest.raises(BadSpec, match="allowed are " + ", ".join(sorted(sinks()))):
        open_sink(spec)


def test_an_option_that_an_adapter_does_not_take_is_refused():
    with pytest.raises(BadSpec, match="source 'sim' takes no option payload: allowed are"):
        open_source("sim", payload="json")
    with pytest.raises(BadSpec, match="sink 'console' takes no option colour"):
        open_sink("console", colour="red")


def test_none_means_the_default():
    assert isinstance(open_source("sim", payload=None), Source)


@pytest.mark.parametrize("open_it", [open_source, open_sink])
def test_a_spec_that_is_endless_is_not_repeated(open_it):
    for spec in ("x" * 5000, "serial:/dev/null," + "x" * 5000):
        with pytest.raises(BadSpec) as caught:
            open_it(spec)
        assert len(str(caught.value)) < 200
