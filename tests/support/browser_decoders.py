"""`decodeAudioData` of Chromium and Firefox, as two more decoders: both give interleaved 32-bit floats."""

import base64
import http.server
import json
import pathlib
import subprocess
import tempfile
import threading
from array import array
from collections.abc import Mapping, Sequence

from playwright.sync_api import Page

from support.browser import FIREFOX

DECODE = """async (url, rate, channels) => {
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


def in_chromium(page: Page, url: str, rate: int, channels: int) -> "array[float]":
    """Return Chromium's samples of a URL that the page may read. Raises playwright's Error if it refuses the file."""
    found = page.evaluate(
        f"""async ([url, rate, channels]) => {{
            const bytes = new Uint8Array((await ({DECODE})(url, rate, channels)).buffer);
            let text = '';
            for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
            return btoa(text);
        }}""",
        [url, rate, channels],
    )
    return array("f", base64.b64decode(found))


def in_firefox(
    asked: Sequence[tuple[str, int, int]], sources: Mapping[str, str], seconds: float = 150
) -> list["array[float]"]:
    """Return Firefox's samples of each URL, with a rate and channels: interleaved floats, None if it refuses the file.

    `/source/NAME` is the file that `sources` has by that name.
    """
    page = f"""<!doctype html><meta charset="utf-8"><script type="module">
        const decode = {DECODE};
        for (const [at, each] of {json.dumps(asked)}.entries()) {{
            try {{ await fetch('/' + at, {{ method: 'POST', body: await decode(...each) }}); }}
            catch {{ await fetch('/' + at, {{ method: 'POST' }}); }}
        }}
        await fetch('/done', {{ method: 'POST' }});
    </script>""".encode()
    reports: dict[int, bytes] = {}
    done = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind = self.path.removeprefix("/source/")
            body = page if self.path == "/" else pathlib.Path(sources[kind]).read_bytes() if kind in sources else b""
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8" if self.path == "/" else "audio/mpeg")
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/done":
                done.set()
            else:
                reports[int(self.path[1:])] = body
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
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
            assert finished, log.read()[-2000:]
    return [array("f", reports[number]) for number in range(len(asked))]
