"""`slicer doctor --host`: checks of a machine that the Ansible roles set up, with advice for each problem.

It changes nothing. Each check is a function of its arguments, so that it can examine any folder; `checks` names those of a machine.
"""

import glob
import os
import re
import shlex
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from itertools import pairwise

from mp3_slicer.server.checks import WAIT_SECONDS, Check, output

ROOT, ETC, RUN, NGINX_CONF = "/opt/slicer", "/etc/slicer", "/run", "/etc/nginx/nginx.conf"
CACHE = "/var/cache/slicer"
#: Folders that fill up, each where it exists.
DISKS = (CACHE, "/var/cache/nginx", "/var/log", "/var/lib/redis")
#: Other services of the roles, each where its unit is enabled.
SERVICES = ("nginx.service", "redis-server.service", "slicer-edge-metrics.service")
#: Bytes, and the part of all, that must be free on a disk.
MIN_FREE_BYTES, MIN_FREE_PART = 256 << 20, 0.03
#: Bytes that are enough, however small a part of all they are.
ENOUGH_BYTES = 16 << 30
#: Seconds that a certificate must be good for.
CERTIFICATE_SECONDS = 14 * 86_400
#: Minutes of the journal in which errors are looked for, and how many of its lines at most.
ERROR_MINUTES, ERROR_LINES = 60, 20_000
RESTART = "ansible-playbook ansible/restart.yml"
PLAY = "ansible-playbook ansible/site.yml"

# Services write to their standard error, and the journal gives all of that one priority: an error is known by its text. Apache's levels,
# the beginning of a traceback, Python's logging in workers, and what systemd says of a unit that ended badly.
_ERROR = re.compile(
    r"\[\w+:(?:error|crit|alert|emerg)\]|^Traceback \(most|^(?:ERROR|CRITICAL)\b|^\S+[.]service: Failed with result "
)


# A line of /proc/PID/maps of a program or library of the system that is no more at its path.
_REPLACED = re.compile(r"^\S+ ..x. .* (/(?:usr/)?(?:s?bin|lib)\S*) \(deleted\)$")


def checks() -> list[Check]:
    """Every check of this machine, in the order in which a problem should be mended."""
    enabled = enabled_units()
    found = (
        [] if os.geteuid() == 0 else [Check("root", False, "settings and logs are root's to read", "run it as root")]
    )
    found += [unit(name) for name in enabled]
    if not enabled:
        found.append(Check("units", False, "no unit of the roles is enabled here", PLAY))
    sites = configured(ETC)
    found += [
        Check(name, False, "is not enabled, so it does not start with the machine", f"systemctl enable --now {name}")
        for name in expected(sites)
        if name not in enabled
    ]
    for name in (site for site in sites if not site.endswith(".worker")):
        settings = environment(f"{ETC}/{name}.env")
        found += [
            ready(name, settings),
            media(name, settings),
            release(name, f"{ROOT}/current", f"{RUN}/slicer-{name}/release"),
        ]
    found += [libraries(name, processes(name)) for name in enabled]
    found += [disk(path) for path in disks(DISKS)]
    found += [certificate(path) for path in certificates(NGINX_CONF)]
    found += [clock(output("timedatectl", "show", "--property=NTPSynchronized", "--value"))]
    found += [errors(name) for name in enabled]
    return found


def configured(folder: str) -> list[str]:
    """The sites that the roles configured, and NAME.worker for each with workers."""
    return sorted(os.path.basename(path)[: -len(".env")] for path in glob.glob(f"{folder}/*.env"))


def expected(sites: Sequence[str]) -> list[str]:
    """The units of these sites and workers."""
    named = (
        f"slicer-worker@{site.removesuffix('.worker')}" if site.endswith(".worker") else f"slicer@{site}"
        for site in sites
    )
    return sorted(f"{name}.service" for name in named)


def enabled_units() -> list[str]:
    """The units of the roles that are enabled here, instances and others, in the order of their names."""
    listed = output(
        "systemctl", "list-unit-files", "--state=enabled,enabled-runtime", "--plain", "--no-legend"
    ).splitlines()
    named = {line.split()[0] for line in listed if line.strip()}
    # Instances of a template are links, and not among the files.
    for folder in ("slicer@", "slicer-worker@"):
        named |= {os.path.basename(path) for path in glob.glob(f"/etc/systemd/system/*.wants/{folder}?*.service")}
    return sorted(name for name in named if name in SERVICES or re.match(r"slicer(-worker)?@.+[.]service$", name))


def unit(name: str) -> Check:
    """Check whether a unit runs, and how often it was restarted."""
    said = dict(
        line.split("=", 1)
        for line in output("systemctl", "show", "--property=ActiveState,SubState,NRestarts", name).splitlines()
        if "=" in line
    )
    state = f"{said.get('ActiveState', 'unknown')} ({said.get('SubState', '')})"
    if said.get("ActiveState") != "active":
        return Check(name, False, state, f"journalctl --unit={name} --lines=50; systemctl start {name}")
    restarts = int(said.get("NRestarts", "0") or 0)
    return Check(name, True, state + (f", started again {restarts} times" if restarts else ""))


def environment(path: str) -> dict[str, str]:
    """The variables in a file as systemd reads them; empty where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.strip() for line in file]
    except OSError:
        return {}
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name: _unquoted(text) for name, text in pairs}


def _unquoted(text: str) -> str:
    try:
        return " ".join(shlex.split(text))
    except ValueError:  # a quote that does not end
        return text


def ready(site: str, settings: Mapping[str, str]) -> Check:
    """Check whether a site reports that it is ready."""
    words = settings.get("SERVE_OPTIONS", "").split()
    options = dict(pairwise(words))
    host, port = options.get("--host", ""), options.get("--port", "")
    name = f"site {site}"
    if not port.isdigit():
        return Check(name, False, f"{ETC}/{site}.env names no port", f"run it as root; or {PLAY}")
    address = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - nothing is bound
    url = f"http://{f'[{address}]' if ':' in address else address}:{port}/readyz"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    began = time.monotonic()
    try:
        with opener.open(url, timeout=WAIT_SECONDS) as answer:
            status, said = answer.status, ""
    except urllib.error.HTTPError as error:
        status, said = error.code, error.read(2000).decode(errors="replace").strip()
    except (OSError, UnicodeError) as error:  # the latter of a name that is none
        reason = getattr(error, "reason", error)
        return Check(name, False, f"{url}: {reason}", f"journalctl --unit=slicer@{site} --lines=50")
    if status != 200:
        return Check(name, False, f"{url} answers {status} {said}", _unready(site, settings, said))
    return Check(name, True, f"{url} answers 200 in {1000 * (time.monotonic() - began):.0f} ms")


def _unready(site: str, settings: Mapping[str, str], said: str) -> str:
    """Return the advice for a site that is not ready: inspect the folders that its user cannot use."""
    folders = {"media": settings.get("SLICER_MEDIA", ""), "index": settings.get("SLICER_INDEX_DIR", f"{CACHE}/{site}")}
    ill = [path for what, path in folders.items() if re.search(rf'"{what}": *false', said)]
    words = " ".join(shlex.quote(path) for path in ill if path)
    looks = f"namei --long {words}; df --human-readable {words}; " if words else ""
    return f"{looks}journalctl --unit=slicer@{site} --lines=50"


def media(site: str, settings: Mapping[str, str]) -> Check:
    """Check whether the media folder of a site holds anything: an empty one may wait for its disk."""
    path, name = settings.get("SLICER_MEDIA", ""), f"media of {site}"
    try:
        with os.scandir(path or "/nowhere") as entries:
            empty = next(entries, None) is None
    except PermissionError as error:
        # Of a network file system, root may see less than the site's user.
        if (user := _user(site)) is None:
            return Check(name, False, f"{path}: {error.strerror}", f"namei --long {path}")
        found = output("runuser", "-u", user, "--", "find", path, "-mindepth", "1", "-maxdepth", "1", "-print", "-quit")
        empty = not found
    except OSError as error:
        return Check(name, False, f"{path}: {error.strerror}", f"findmnt --target {path}; mount it")
    if empty:
        return Check(name, False, f"{path} is empty", f"findmnt --target {path}; mount it, or put files there")
    return Check(name, True, path)


def _user(site: str) -> str | None:
    """The user that a site's unit runs as; None where it names none, or only root could become that user."""
    found = output("systemctl", "show", "--property=User", "--value", f"slicer@{site}.service").strip()
    return found if found and os.geteuid() == 0 else None


def release(site: str, wanted: str, running: str) -> Check:
    """Check whether the daemons of a site run the release that is installed: both are links to it."""
    name = f"release of {site}"
    try:
        new = os.path.basename(os.readlink(wanted))
    except OSError as error:
        return Check(name, False, f"{wanted}: {error.strerror}", PLAY)
    try:
        old = os.path.basename(os.readlink(running))
    except FileNotFoundError:  # systemd takes the folder away with the unit that stops
        return Check(name, False, f"none runs, {new} is installed", f"systemctl start slicer@{site}")
    except OSError as error:
        return Check(name, False, f"{running}: {error.strerror}", "run it as root")
    if new != old:
        return Check(name, False, f"{old} runs and {new} is installed", f"systemctl reload slicer@{site}")
    return Check(name, True, new)


def processes(unit_name: str, cgroups: str = "/sys/fs/cgroup") -> list[int]:
    """The processes of a unit; none where it does not run."""
    group = output("systemctl", "show", "--property=ControlGroup", "--value", unit_name).strip()
    found: list[int] = []
    for path in glob.glob(f"{cgroups}{glob.escape(group)}/**/cgroup.procs", recursive=True) if group else []:
        try:
            with open(path, encoding="ascii") as file:
                found += [int(line) for line in file if line.strip()]
        except OSError:  # it has ended
            continue
    return sorted(found)


def libraries(unit_name: str, pids: Sequence[int], proc: str = "/proc") -> Check:
    """Check whether processes run files that were replaced since they started, as an update of libssl, Apache or Python does."""
    old: set[str] = set()
    count = 0
    for pid in pids:
        try:
            with open(f"{proc}/{pid}/maps", encoding="utf-8", errors="replace") as file:
                replaced = {match[1] for line in file if (match := _REPLACED.search(line))}
        except OSError:  # it has ended
            continue
        old |= replaced
        count += bool(replaced)
    what = f"files of {unit_name}"
    if old:
        names = ", ".join(sorted(os.path.basename(path) for path in old)[:3])
        detail = f"{count} processes run replaced ones: {names}{', …' if len(old) > 3 else ''}"
        return Check(what, False, detail, RESTART)
    return Check(what, True, "those that are installed")


def disks(folders: Sequence[str]) -> list[str]:
    """The folders that exist, and the mounts in them: results may be on a disk that machines share."""
    found = []
    for folder in folders:
        if os.path.isdir(folder):
            found += [folder, *(path for path in sorted(glob.glob(f"{folder}/*/")) if os.path.ismount(path))]
    return [path.rstrip("/") for path in found]


def disk(path: str) -> Check:
    """Check whether there is room on a disk."""
    usage = shutil.disk_usage(path)
    detail = f"{_amount(usage.free)} of {_amount(usage.total)} free"
    if usage.free < max(MIN_FREE_BYTES, MIN_FREE_PART * usage.total) and usage.free < ENOUGH_BYTES:
        return Check(path, False, detail, f"du -xh --max-depth=2 {path} | sort -h | tail")
    return Check(path, True, detail)


def _amount(size: int) -> str:
    """A size in MiB or GiB."""
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.1f} MiB"


def certificates(conf: str) -> list[str]:
    """The certificates that Nginx's configuration names; none where it cannot be read."""
    try:
        with open(conf, encoding="utf-8", errors="replace") as file:
            return sorted(set(re.findall(r"^\s*ssl_certificate\s+(\S+);", file.read(), re.MULTILINE)))
    except OSError:
        return []


def certificate(path: str) -> Check:
    """Check whether a certificate is good for two more weeks."""
    command = ["openssl", "x509", "-in", path, "-noout", "-enddate", "-checkend", str(CERTIFICATE_SECONDS)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return Check(path, False, str(error), "apt-get install openssl")
    said = (done.stdout or done.stderr).strip().splitlines() or [""]
    if done.returncode:
        return Check(path, False, said[0], "renew it, and call slicer-certificates")
    if os.path.realpath(path).endswith(".self-signed.pem"):
        return Check(path, False, "self-signed: the site's own is not there", "get it, and call slicer-certificates")
    return Check(path, True, said[0])


def clock(synchronised: str) -> Check:
    """Check whether the clock is synchronised: signatures and caches depend on it. A container has its machine's clock."""
    if synchronised == "no":
        if output("systemd-detect-virt", "--container") not in {"", "none"}:
            return Check("clock", True, "that of the container's machine")
        return Check(
            "clock", False, "nothing has set it", "timedatectl timesync-status; apt-get install systemd-timesyncd"
        )
    return Check("clock", True, "set by the network" if synchronised == "yes" else "nobody here says who sets it")


def errors(name: str) -> Check:
    """Check whether a unit logged errors in the last hour."""
    since = f"--since=-{ERROR_MINUTES}min"
    command = ("journalctl", f"--unit={name}", since, f"--lines={ERROR_LINES}", "--output=cat", "--no-pager", "--quiet")
    found = logged_errors(output(*command).splitlines())
    what = f"log of {name}"
    if found:
        many = f"{len(found)} errors" if len(found) > 1 else "1 error"
        return Check(
            what, False, f"{many} in an hour, the last: {found[-1][:200]}", f"journalctl --unit={name} {since}"
        )
    return Check(what, True, "no error in an hour")


def logged_errors(lines: Sequence[str]) -> list[str]:
    """The lines of a log that report an error."""
    return [line for line in lines if _ERROR.search(line)]


def summary(found: Sequence[Check]) -> str:
    """One line at the end."""
    ill = sum(not check.ok for check in found)
    return f"{len(found)} checks, {f'{ill} to look at' if ill else 'all well'}"
