"""Errors of a store of objects."""

import errno

from mp3_slicer.media.source import SourceUnavailableError


class StoreError(SourceUnavailableError):
    """The store is down, refuses, or answers wrongly: it is unknown whether the object exists."""

    def __init__(self, text: str, *, is_fault: bool = False, is_repeat: bool = False) -> None:
        """`text` is for the operator, without secrets. With `is_fault` another try may help; with `is_repeat` it was logged before."""
        super().__init__(errno.EIO, text)
        self.is_fault = is_fault
        self.is_repeat = is_repeat
