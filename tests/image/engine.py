"""The container engines, as tests of images call them: the same words for Docker, and for Podman with buildah."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: Seconds in which a busy machine starts a container and its server.
START_SECONDS = 120
#: Building an image takes minutes where nothing of it is there yet.
BUILD_SECONDS = 1400
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Engine:
    """One engine: its program's name, and the environment that it runs in."""

    program: str
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def run(self, *words: str, seconds: float = 120, check: bool = True) -> str:
        """Return what the program prints for these words."""
        done = self.both(*words, seconds=seconds)
        assert not check or done.returncode == 0, f"{self.program} {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    def both(self, *words: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Run the program, and return its output and its errors apart."""
        command = [self.program, *words]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=seconds, check=False)

    def build(self) -> str:
        """Build the image of this checkout by `scripts/image`, and return its name."""
        environ = {**self.environ, "ENGINE": self.program}
        command = [ROOT / "scripts" / "image"]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def podman(folder: Path) -> Engine:
    """Podman with all its images in a folder, on a machine that may be a container itself and need not run systemd.

    It builds by buildah, in a chroot, and runs containers by runc.
    """
    storage, settings = folder / "storage.conf", folder / "containers.conf"
    storage.write_text(f'[storage]\ndriver = "overlay"\nrunroot = "{folder}/run"\ngraphroot = "{folder}/graph"\n')
    settings.write_text(
        '[containers]\nlog_driver = "k8s-file"\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n'
        f'[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "runc"\ntmp_dir = "{folder}/tmp"\n'
        f'[network]\nnetwork_backend = "netavark"\nnetwork_config_dir = "{folder}/networks"\n'
    )
    places = {"CONTAINERS_STORAGE_CONF": str(storage), "CONTAINERS_CONF": str(settings)}
    return Engine("podman", {**os.environ, **places, "BUILDAH_ISOLATION": "chroot", "DISABLE_HC_SYSTEMD": "true"})


def lacking(*programs: str) -> str:
    """Return which programs are not there, or an empty string."""
    return ", ".join(name for name in programs if not shutil.which(name))
