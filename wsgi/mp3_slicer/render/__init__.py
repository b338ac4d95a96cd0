"""Renders: spans decoded, changed and encoded; and waveforms. Works on lossless cuts only, never on a whole file in memory.

This module has options, plans and limits, which need no package. `mp3_slicer.render.produce`, `mp3_slicer.render.audio` and
`mp3_slicer.render.peaks` make renders and waveforms, and need some.
"""

from mp3_slicer.render.errors import (
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
from mp3_slicer.render.formats import FORMATS, Format
from mp3_slicer.render.limits import Limits
from mp3_slicer.render.options import PEAKS_OPTIONS, RENDER_OPTIONS, Option
from mp3_slicer.render.plan import Estimate, Plan, plan
from mp3_slicer.render.request import RENDER_VERSION, PeaksRequest, RenderRequest
from mp3_slicer.render.resultfile import Stored
from mp3_slicer.render.results import Results
from mp3_slicer.render.version import Version

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
