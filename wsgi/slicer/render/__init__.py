"""Renders: spans decoded, changed and encoded; and waveforms. Works on lossless cuts only, never on a whole file in memory.

This module has options, plans and limits, which need no package. `slicer.render.produce`, `slicer.render.audio` and `slicer.render.peaks`
make renders and waveforms, and need some.
"""

from slicer.render.errors import (
    LimitError,
    OptionError,
    PeaksTimeoutError,
    RenderError,
    TooLargeError,
    ToolError,
    ToolMissingError,
    TooLongError,
    UnreadableError,
    WorkTimeoutError,
)
from slicer.render.formats import FORMATS, Format
from slicer.render.limits import Limits
from slicer.render.options import PEAKS_OPTIONS, RENDER_OPTIONS, Option
from slicer.render.plan import Estimate, Plan, plan
from slicer.render.request import RENDER_VERSION, PeaksRequest, RenderRequest
from slicer.render.resultfile import Stored
from slicer.render.results import Results
from slicer.render.version import Version

__all__ = [
    "FORMATS",
    "PEAKS_OPTIONS",
    "RENDER_OPTIONS",
    "RENDER_VERSION",
    "Estimate",
    "Format",
    "LimitError",
    "Limits",
    "Option",
    "OptionError",
    "PeaksRequest",
    "PeaksTimeoutError",
    "Plan",
    "RenderError",
    "RenderRequest",
    "Results",
    "Stored",
    "TooLargeError",
    "TooLongError",
    "ToolError",
    "ToolMissingError",
    "UnreadableError",
    "Version",
    "WorkTimeoutError",
    "plan",
]
