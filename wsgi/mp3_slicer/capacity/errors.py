"""Errors of a plan."""

from mp3_slicer.errors import SlicerError


class CapacityError(SlicerError):
    """Base of this package's errors; the message names the option and its value."""


class DemandError(CapacityError):
    """A demand that is out of range or contradicts itself."""


class CostsError(CapacityError):
    """A cost that is out of range or unknown, or a file that has none."""


class FleetError(CapacityError):
    """No number of machines suffices; the message says why."""
