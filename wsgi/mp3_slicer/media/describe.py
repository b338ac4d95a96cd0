"""The description of a source, from its index, as plain values for JSON and the command line."""

from fractions import Fraction
from typing import Any

from mp3_slicer.mp3 import Index


def describe(index: Index) -> dict[str, Any]:
    """Duration, form, encoder's claims and damage. Durations are seconds, rounded to a microsecond; sample counts are exact."""
    first = index.segments[0]
    audio = sum(run.end - run.anchors[0] for segment in index.segments for run in segment.runs)
    seconds = index.seconds
    gaps = index.gaps
    claimed = index.info.frames if index.info else None
    return {
        "duration": _seconds(seconds),
        "samples": sum(segment.samples for segment in index.segments),
        "sample_rate": first.header.sample_rate,
        "channels": first.header.channels,
        "mpeg_version": first.header.version_name,
        "bitrate_mode": "constant"
        if all(segment.bitrate == first.bitrate for segment in index.segments) and first.bitrate
        else "variable",
        "bitrate": first.bitrate or round(audio * 8 / seconds),
        "frames": sum(segment.frames for segment in index.segments),
        "size": index.size,
        "encoder": index.info.encoder if index.info else "",
        "delay": index.info.delay if index.info else None,
        "padding": index.info.padding if index.info else None,
        "tags": [*([index.info.name] if index.info else []), *index.tags],
        "segments": [
            {
                "duration": _seconds(segment.seconds),
                "samples": segment.samples,
                "sample_rate": segment.header.sample_rate,
                "channels": segment.header.channels,
                "mpeg_version": segment.header.version_name,
                "frames": segment.frames,
            }
            for segment in index.segments
        ],
        "damage": {
            "gaps": len(gaps),
            "gap_bytes": sum(length for _, length in gaps),
            **index.damage._asdict(),
            "unread_bytes": max(0, index.end - index.walked),
            "claimed_frames": claimed
            if claimed not in {None, sum(segment.frames for segment in index.segments)}
            else None,
        },
    }


def _seconds(value: Fraction) -> float:
    return round(float(value), 6)
