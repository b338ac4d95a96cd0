"""Modules that need pydub, miniaudio, lameenc or ffmpeg: from a decoded span to an encoded file."""
