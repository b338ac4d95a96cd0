"""The container engine, as tests of images call it."""

import subprocess

#: Seconds in which a busy machine starts a container and its server.
START_SECONDS = 120


def docker(*words: str, seconds: float = 120, check: bool = True) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=seconds, check=False)
    assert not check or done.returncode == 0, f"docker {' '.join(words)}: {done.stderr}"
    return done.stdout.strip()
