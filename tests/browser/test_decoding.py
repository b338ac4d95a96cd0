"""What browsers make of a clip: `decodeAudioData` gives the span's samples, no more, no less, and each as it is in the source.

Browsers' decoders round otherwise than ffmpeg's, so the source is decoded by the same browser; ffmpeg only tells that both are right.
Chromium computes in floats, so the samples are the same, bit for bit. Firefox gives 16 bits with a noise that goes on from frame to
frame, so they may differ by one step.
"""

import base64
import http.server
import json
import operator
import pathlib
import shutil
import subprocess
import tempfile
import threading
from array import array

import pytest

from support import streams
from support.browser import FIREFOX
from support.cutting import index_of, samples, span_of
from support.server import folder, serving

#: Streams of each version of MPEG, rate, and kind of bitrate; spans that begin and end within frames, at the start, and at the end.
KINDS = (
    "mpeg1-44-stereo-cbr128",
    "mpeg1-48-joint-cbr320",
    "mpeg1-32-mono-cbr64",
    "mpeg1-44-joint-vbr2",
    "mpeg2-22-joint-cbr64",
    "mpeg1-48-crc-cbr128",
    "switching",
)
SPANS = ("3.00001,5.20003", "0,1.5", "18.25,20")
#: One step of 16 bits (and a hundredth, as Firefox divides what is above zero by 32767), and what decoders may differ by in floats.
STEP = 1.01 / 32768
FLOATS = 4e-6
_DECODE = """async (url, rate, channels) => {
    const answer = await fetch(url);
    const data = await answer.arrayBuffer();
    const context = new OfflineAudioContext(channels, 1, rate);
    const decoded = await context.decodeAudioData(data);
    const all = new Float32Array(decoded.length * decoded.numberOfChannels);
    for (let channel = 0; channel < decoded.numberOfChannels; channel += 1) {
        const values = decoded.getChannelData(channel);
        for (let at = 0; at < decoded.length; at += 1) all[at * decoded.numberOfChannels + channel] = values[at];
    }
    return all;
}"""


def of_source(path, text):
    """A span's samples out of the whole source as ffmpeg decodes it, the span, and its rate and channels."""
    span = span_of(index_of(path), *(float(one) for one in text.split(",")))
    header = span.segment.header
    return samples(streams.decode_ffmpeg(path), span), span, header.sample_rate, header.channels


def furthest(one, other):
    return max(map(abs, map(operator.sub, one, other)))


def switching(path):
    """A stream whose copyright bit changes in the frame in which the first span begins."""
    data = bytearray(pathlib.Path(path).read_bytes())
    for offset in streams.frames(data)[116:]:
        data[offset + 3] ^= 8
    return data


@pytest.fixture(scope="module")
def server(sources):
    """A server of these streams, whose answers pages of other origins may read."""
    media = folder()
    for kind in KINDS:
        shutil.copy(sources[kind], f"{media}/{kind}.mp3")
    with serving(media, "--cpus", "1", environ={"SLICER_CORS_ORIGINS": "*"}) as running:
        yield running
    shutil.rmtree(media, ignore_errors=True)


@pytest.fixture(scope="module")
def sources(stream, tmp_path_factory):
    """The streams' files by their kind."""
    made = tmp_path_factory.mktemp("switching") / "switching.mp3"
    made.write_bytes(switching(stream("mpeg1-44-stereo-cbr128")))
    return {kind: str(made) if kind == "switching" else stream(kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_chromium_decodes_the_very_samples_of_the_span(visit, sources, kind):
    page = visit()
    page.route("**/source", lambda route: route.fulfill(path=sources[kind], content_type="audio/mpeg"))

    def decoded(url, rate, channels):
        found = page.evaluate(
            f"""async ([url, rate, channels]) => {{
                const bytes = new Uint8Array((await ({_DECODE})(url, rate, channels)).buffer);
                let text = '';
                for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
                return btoa(text);
            }}""",
            [url, rate, channels],
        )
        return array("f", base64.b64decode(found))

    for text in SPANS:
        expected, span, rate, channels = of_source(sources[kind], text)
        clip = decoded(f"/clips/{kind}.mp3?t={text}", rate, channels)
        assert len(clip) == len(expected), text
        assert clip == samples(decoded("/source", rate, channels), span), text
        assert furthest(clip, expected) < FLOATS, text


@pytest.mark.long
def test_firefox_decodes_the_samples_of_the_span(server, sources):
    wanted = [(kind, text) for kind in KINDS for text in SPANS]
    expected = [of_source(sources[kind], text) for kind, text in wanted]
    # A page on another port, so that it may post what it found; the clips come from the server itself.
    asked = [
        [url, rate, channels]
        for (kind, text), (_, _, rate, channels) in zip(wanted, expected, strict=True)
        for url in (f"{server.url}/clips/{kind}.mp3?t={text}", f"/source/{kind}")
    ]
    reports = [array("f", report) for report in firefox_reports(asked, sources)]
    assert len(reports) == 2 * len(wanted)
    for name, (decoded, span, *_), clip, source in zip(wanted, expected, reports[::2], reports[1::2], strict=True):
        assert len(clip) == len(decoded), name
        assert furthest(clip, samples(source, span)) <= STEP, name
        assert furthest(clip, decoded) <= 2 * STEP, name


def firefox_reports(asked, sources, seconds=150):
    """What decodeAudioData makes of each of some URLs in Firefox: interleaved 32-bit floats, as bytes."""
    page = f"""<!doctype html><meta charset="utf-8"><script type="module">
        const decode = {_DECODE};
        for (const [at, each] of {json.dumps(asked)}.entries()) {{
            try {{ await fetch('/' + at, {{ method: 'POST', body: await decode(...each) }}); }}
            catch (error) {{ await fetch('/error', {{ method: 'POST', body: String(error) }}); }}
        }}
        await fetch('/done', {{ method: 'POST' }});
    </script>""".encode()
    reports, done, errors = {}, threading.Event(), []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            kind = self.path.removeprefix("/source/")
            body = page if self.path == "/" else pathlib.Path(sources[kind]).read_bytes() if kind in sources else b""
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8" if self.path == "/" else "audio/mpeg")
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/done":
                done.set()
            elif self.path == "/error":
                errors.append(body.decode())
            else:
                reports[int(self.path[1:])] = body
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener, tempfile.TemporaryDirectory() as home:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        with open(f"{home}/user.js", "w", encoding="utf-8") as settings:
            # No first-run page, and nothing that asks the network.
            settings.write(
                'user_pref("browser.shell.checkDefaultBrowser", false);\nuser_pref("datareporting.policy.dataSubmissionEnabled", false);\n'
                'user_pref("toolkit.telemetry.enabled", false);\nuser_pref("app.normandy.enabled", false);\n'
                'user_pref("network.captive-portal-service.enabled", false);\nuser_pref("network.connectivity-service.enabled", false);\n'
                'user_pref("services.settings.server", "http://127.0.0.1:9");\nuser_pref("browser.safebrowsing.update.enabled", false);\n'
            )
        with open(f"{home}/log", "w+", encoding="utf-8") as log:
            process = subprocess.Popen(
                [FIREFOX, "--headless", "--no-remote", "--profile", home, f"http://127.0.0.1:{listener.server_port}/"],
                env={"HOME": home, "PATH": "/usr/bin:/bin", "MOZ_HEADLESS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            try:
                finished = done.wait(seconds)
            finally:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(20)
                listener.shutdown()
            log.seek(0)
            assert finished and not errors, (errors, log.read()[-2000:])
    return [reports[at] for at in sorted(reports)]
