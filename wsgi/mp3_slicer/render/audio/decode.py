"""Spans of a source as samples: cut without loss in pieces of bounded length, and each decoded by itself.

Pieces join without a seam, since each has in front of it what a decoder must have heard; so the source may have any length. Decoding
is miniaudio's (dr_mp3), whole pieces from memory: it is never asked to seek.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import pairwise

import miniaudio

from mp3_slicer.mp3 import Reader, Span, cut, extents
from mp3_slicer.render.audio import ffmpeg
from mp3_slicer.render.audio.pcm import Pcm
from mp3_slicer.render.audio.scratch import nameless_file, path_of
from mp3_slicer.render.errors import ToolError, ToolMissingError, UnreadableError
from mp3_slicer.render.frames import BLOCK_FRAMES
from mp3_slicer.render.limits import Deadline


class SpanPcm(Pcm):
    """A span of a source, or a window of it, which is read whenever blocks are asked for.

    A window has the same samples as the whole span there, of damaged frames too: the borders of pieces are those of the whole span.
    """

    def __init__(self, reader: Reader, span: Span, deadline: Deadline, window: tuple[int, int] | None = None) -> None:
        """`window` is the first frame of the span that is wanted, and the one after the last."""
        header = span.segment.header
        self._first, self._last = window or (0, span.last - span.first)
        super().__init__(header.sample_rate, header.channels, self._last - self._first)
        self._reader = reader
        self._span = span
        self._deadline = deadline

    def blocks(self) -> Iterator[bytes]:
        """Pieces of nearly one length, so that the last is not too short to be decoded.

        Raises SourceChangedError where the file is not what it was, UnreadableError, and WorkTimeoutError.
        """
        segment, first, last = self._span
        if self._first >= self._last:
            return
        total = last - first
        pieces = -(-total // BLOCK_FRAMES)
        borders = [total * number // pieces for number in range(pieces + 1)]
        begin, stop = bisect_right(borders, self._first) - 1, bisect_left(borders, self._last)
        # One of its own: spans that are joined are read by turns.
        read = Span(segment, first + borders[begin], first + borders[stop])
        reader = self._reader.onward(extents(read, self._reader.size)[-1][1])
        for low, high in pairwise(borders[begin : stop + 1]):
            # A piece that was begun before brings nothing new: the next one goes with it, or work that goes on would get nowhere.
            if low <= self._first or low > borders[begin + 1]:
                self._deadline.check()
            data = self._piece(reader, Span(segment, first + low, first + high))
            if low < self._first or high > self._last:
                data = data[max(0, self._first - low) * self.frame_bytes : (self._last - low) * self.frame_bytes]
            yield data

    def _piece(self, reader: Reader, span: Span) -> bytes:
        data = cut(reader, span).read(reader)
        wanted = (span.last - span.first) * self.frame_bytes
        try:
            heard = miniaudio.mp3_read_s16(data)
        except miniaudio.DecodeError:
            return self._with_ffmpeg(data, wanted)
        if (heard.sample_rate, heard.nchannels) != (self.rate, self.channels):
            return self._with_ffmpeg(data, wanted)
        samples = heard.samples.tobytes()
        # A frame that cannot be decoded is left out by this decoder and silent in ffmpeg: only the latter keeps the time.
        return samples if len(samples) == wanted else self._with_ffmpeg(data, wanted)

    def _with_ffmpeg(self, data: bytes, wanted: int) -> bytes:
        with nameless_file() as source, nameless_file() as output:
            source.write(data)
            source.flush()
            form = ["-f", ffmpeg.SAMPLES, "-ar", str(self.rate), "-ac", str(self.channels)]
            command = ["-f", "mp3", "-i", path_of(source), "-threads", "1", *form, path_of(output)]
            try:
                ffmpeg.run(command, (), deadline=self._deadline, files=(source, output), level="fatal")
            except ToolMissingError:
                raise
            except ToolError:
                raise UnreadableError("the frames of the span cannot be decoded") from None
            output.seek(0)
            # Past damage no decoder knows how much time went by: the rest of the piece is silence.
            return output.read(wanted).ljust(wanted, b"\0")
