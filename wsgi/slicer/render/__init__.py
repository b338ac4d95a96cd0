"""Renders: spans decoded, changed and encoded; and waveforms. Works on lossless cuts only, never on a whole file in memory."""

from slicer.render.audio.render import Rendered, render
from slicer.render.errors import (
    LimitError,
    OptionError,
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
from slicer.render.peaks import Peaks, PeaksRequest, PeaksTimeoutError, peaks
from slicer.render.plan import Estimate, Plan, plan
from slicer.render.request import RENDER_VERSION, RenderRequest
from slicer.render.results import Results, Stored
from slicer.render.version import Version

__all__ = [
    "FORMATS",
    "RENDER_VERSION",
    "Estimate",
    "Format",
    "LimitError",
    "Limits",
    "OptionError",
    "Peaks",
    "PeaksRequest",
    "PeaksTimeoutError",
    "Plan",
    "RenderError",
    "RenderRequest",
    "Rendered",
    "Results",
    "Stored",
    "TooLargeError",
    "TooLongError",
    "ToolError",
    "ToolMissingError",
    "UnreadableError",
    "Version",
    "WorkTimeoutError",
    "peaks",
    "plan",
    "render",
]
