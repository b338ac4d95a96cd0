"""pydub and the sample arithmetic under it, imported in one place.

On Python 3.11 and 3.12 audioop is part of the standard library and announces its removal; from 3.13 on the package audioop-lts brings
it back under the same name. pydub announces old spellings in its own code. Neither says anything to an operator.
"""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import audioop

    from pydub import AudioSegment

from mp3_slicer.render.frames import WIDTH

__all__ = ["AudioSegment", "audioop", "segment"]


def segment(block: bytes, rate: int, channels: int) -> AudioSegment:
    """A block of samples as pydub has it; the bytes are not copied."""
    return AudioSegment(data=block, sample_width=WIDTH, frame_rate=rate, channels=channels)
