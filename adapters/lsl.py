"""LSL, the lab streaming layer: the source ``lsl[:TARGET]`` and the sink ``lsl[:NAME]``."""

from streamqrs.adapters.lsl_sink import LslSink, open_sink
from streamqrs.adapters.lsl_source import LslSource, open_source

__all__ = ["LslSink", "LslSource", "open_sink", "open_source"]
