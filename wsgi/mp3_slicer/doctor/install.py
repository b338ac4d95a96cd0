"""`slicer doctor`: checks of an installation, with advice for each problem.

Each check is a function of its arguments alone, so that it can examine any folder.
"""

import importlib.util
import os
import re
import resource
import shutil
import sys
from collections.abc import Callable, Mapping

from mp3_slicer import distribution
from mp3_slicer.server import express, machine, reach, sizes
from mp3_slicer.server.checks import Check, output, readable, writable
from mp3_slicer.settings import CACHES, PREFIX, is_folder_of

APACHE_PATHS = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
MODULES = "/usr/lib/apache2/modules"
OPEN_FILES = 1024
#: Names of the folders that Slicer writes to, by their variables.
FOLDERS = {PREFIX + name.upper(): f"{what} folder" for name, what in CACHES.items()}
#: The modules of the extra `renders`.
RENDERS_MODULES = ("miniaudio", "lameenc", "pydub", "audioop")
NO_APT = f"apt-get install apache2-bin apache2-dev; no apt: {distribution.pip_install('standalone')}"

#: Imports the module named first, with the folders named after it.
_IMPORT = """
import importlib, sys
sys.path[:] = sys.argv[2:]
try:
    importlib.import_module(sys.argv[1])
    print("loaded")
except Exception as error:
    print("error:", str(error) or type(error).__name__)
"""

# Folders of one person: Apache's run user cannot reach a library there.
_HOMES = re.compile(r"/(?:root|home|Users)(?:/|$)|/\.?pyenv(?:/|$)|/\.")


def checks(
    media: str | None = None, folders: Mapping[str, str] | None = None, environ: Mapping[str, str] = os.environ
) -> list[Check]:
    """Return every check, in the order in which to solve problems. Folders not given are not examined.

    `folders` are those that Slicer writes to, by the variable that names each.
    """
    httpd = find_apache(environ)
    found: list[Check] = [apache(httpd), prefork(modules_folder()), mod_wsgi(mod_wsgi_library())]
    library = mod_wsgi_library()
    if library is not None:
        found.append(runpath(library, tuple(part for part in ("/usr", sys.prefix) if part)))
        found.append(origin(library))
    found.append(one_mod_wsgi(MODULES))
    try:
        user = reach.run_user(express.RUN_USER)
    except reach.RunUserError as error:
        found.append(Check("run user", False, str(error), "adduser --system --group " + express.RUN_USER))
        user = None
    else:
        found.append(Check("run user", True, user or "you"))
    found += [readable("Python", part, user) for part in reach.interpreter_parts()]
    if media:
        found.append(readable("media folder", media, user))
        found += signed(media, environ)
    for variable, path in (folders or {}).items():
        found.append(writable(FOLDERS[variable], path, user, variable))
    found.append(renders(RENDERS_MODULES))
    found.append(program("ffmpeg", environ, "apt-get install ffmpeg (most formats of renders, and the tests, use it)"))
    found.append(open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
    found.append(_sizes())
    return found


def find_apache(environ: Mapping[str, str]) -> str | None:
    """The Apache binary: that of mod_wsgi's own packages, else apache2 or httpd of the system."""
    packaged = importlib.util.find_spec("mod_wsgi_packages")
    for folder in packaged.submodule_search_locations or [] if packaged else []:
        candidate = os.path.join(folder, "httpd", "bin", "httpd")
        if os.access(candidate, os.X_OK):
            return candidate
    path = os.pathsep.join([*APACHE_PATHS, environ.get("PATH", "")])
    return shutil.which("apache2", path=path) or shutil.which("httpd", path=path)


def apache(httpd: str | None) -> Check:
    """Check that Apache is installed, in version 2.4 or later."""
    if httpd is None:
        return Check("Apache", False, "not found", NO_APT)
    said = output(httpd, "-v")
    version = re.search(r"Apache/(\d+)\.(\d+)(?:\.\d+)?", said)
    if version is None:
        return Check("Apache", False, f"{httpd} does not tell its version", NO_APT)
    new_enough = (int(version[1]), int(version[2])) >= (2, 4)
    return Check(
        "Apache", new_enough, f"{version[0]} at {httpd}", "" if new_enough else "Apache 2.4 or later is needed"
    )


def modules_folder() -> str:
    """The folder of Apache's modules that mod_wsgi-express was built with; without it, the distribution's."""
    try:
        from mod_wsgi.express import apxs_config  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return MODULES
    return str(apxs_config.LIBEXECDIR)


def prefork(modules: str) -> Check:
    """Check whether the folder of Apache's modules holds the prefork MPM."""
    path = os.path.join(modules, "mod_mpm_prefork.so")
    there = os.path.isfile(path)
    return Check("prefork", there, path if there else f"no {path}", "" if there else NO_APT)


def mod_wsgi_library() -> str | None:
    """mod_wsgi's Apache module for this Python, or None when it is not installed."""
    spec = importlib.util.find_spec("mod_wsgi")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        server = os.path.join(folder, "server")
        for name in sorted(os.listdir(server)) if os.path.isdir(server) else []:
            if re.fullmatch(rf"mod_wsgi-py{sys.version_info[0]}{sys.version_info[1]}.*\.so", name):
                return os.path.join(server, name)
    return None


def mod_wsgi(library: str | None) -> Check:
    """Check whether mod_wsgi is installed beside Slicer."""
    if library is None:
        return Check("mod_wsgi", False, "not installed for this Python", distribution.pip_install("apache"))
    return Check("mod_wsgi", True, library)


def runpath(library: str, trusted: tuple[str, ...]) -> Check:
    """Check whether the module looks for libpython only where the run user can: in `trusted` folders, never in a home.

    A python3-config of pyenv in PATH while mod_wsgi is compiled bakes such a folder in; the daemons then fail to start.
    """
    readelf = shutil.which("readelf")
    if readelf is None:
        return Check("RUNPATH", True, "not checked: readelf is missing", "apt-get install binutils to check it")
    said = output(readelf, "-d", library)
    match = re.search(r"\((?:RUNPATH|RPATH)\).*\[(.*)\]", said)
    folders = match[1].split(":") if match else []
    bad = [folder for folder in folders if _HOMES.search(folder) and not _is_below(folder, trusted)]
    if bad:
        return Check(
            "RUNPATH",
            False,
            f"{library} needs {', '.join(bad)}",
            "build it again: PATH=/usr/sbin:/usr/bin:/sbin:/bin pip install --force-reinstall --no-cache-dir "
            + ("mod_wsgi-standalone" if _is_standalone() else "mod_wsgi"),
        )
    return Check("RUNPATH", True, ":".join(folders) or "none")


def _is_below(folder: str, trusted: tuple[str, ...]) -> bool:
    return os.path.isabs(folder) and any(os.path.commonpath([folder, part]) == part for part in trusted)


def _is_standalone() -> bool:
    """Check whether pip compiled an Apache for this Python (the package mod_wsgi-httpd)."""
    return importlib.util.find_spec("mod_wsgi_packages") is not None


def origin(library: str) -> Check:
    """Tell which Apache mod_wsgi was compiled for: the distribution's, or one that pip compiled (mod_wsgi-httpd)."""
    kind = "standalone (Apache compiled by pip)" if _is_standalone() else "the distribution's Apache"
    return Check("built for", os.path.isfile(library), kind)


def one_mod_wsgi(modules: str) -> Check:
    """Check whether Debian's own mod_wsgi is absent: Apache may load only one, and that one is another version."""
    path = os.path.join(modules, "mod_wsgi.so")
    if os.path.exists(path):
        return Check(
            "one mod_wsgi",
            False,
            f"{path} is installed as well",
            "apt-get remove libapache2-mod-wsgi-py3: never load both",
        )
    return Check("one mod_wsgi", True, "only the one beside Slicer")


def signed(media: str, environ: Mapping[str, str]) -> list[Check]:
    """Check whether each folder whose files need signed URLs is one of the media; nothing where no URL needs a signature."""
    if not environ.get(f"{PREFIX}SIGNING_KEYS", "").strip():
        return []
    root = os.path.realpath(media)
    given = environ.get(f"{PREFIX}SIGNED", "")
    folders = [part.strip() for part in (given if given.strip() else "/").split(",") if part.strip()]
    bad = [
        folder
        for folder in folders
        if {".", ".."} & set(folder.split("/")) or not is_folder_of(root, os.fsencode(folder))
    ]
    if bad or not folders:
        detail = f"{', '.join(bad)}: no folder of {media}" if bad else f"{given!r} names no folder; / stands for all"
        return [Check("signed folders", False, detail, f"correct {PREFIX}SIGNED; the server does not start with it")]
    return [Check("signed folders", True, ", ".join(folders))]


def renders(modules: tuple[str, ...]) -> Check:
    """Check whether the Python packages of renders are installed, by the modules that they bring."""
    return _extra("renders", modules, distribution.pip_install("renders"))


def objects(modules: tuple[str, ...]) -> Check:
    """Check whether the Python packages for media in object storage are installed, by the modules that they bring."""
    return _extra("objects", modules, distribution.pip_install("objects"))


def _extra(extra: str, modules: tuple[str, ...], advice: str) -> Check:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        return Check(extra, False, f"no module {', '.join(missing)}", advice)
    # A package that was compiled on this machine may lack its compiled part.
    broken = {name: reason for name in modules if (reason := _why_not_loaded(name))}
    if broken:
        again = f"pip install --force-reinstall --no-cache-dir {' '.join(broken)}"
        reasons = ", ".join(f"{name} ({reason})" for name, reason in broken.items())
        return Check(extra, False, f"not loaded: {reasons}", f"where there is no wheel: pip install cffi, then {again}")
    return Check(extra, True, "loaded")


def _why_not_loaded(module: str) -> str:
    """Import a module in a process of its own, since the doctor loads the standard library alone; return its error, or nothing."""
    said = output(sys.executable, "-W", "ignore", "-c", _IMPORT, module, *sys.path).rpartition("\n")[2]
    return "" if said == "loaded" else said.removeprefix("error: ") or "it ends the process that loads it"


def program(name: str, environ: Mapping[str, str], advice: str) -> Check:
    """Check whether a program is in PATH."""
    path = shutil.which(name, path=environ.get("PATH"))
    return Check(name, path is not None, path or "not found", "" if path else advice)


def open_files(limit: int) -> Check:
    """Check whether a process may open enough files; Apache's parent holds a few for each child and each daemon."""
    if limit in (-1, resource.RLIM_INFINITY) or limit >= OPEN_FILES:
        return Check("open files", True, "no limit" if limit < 0 else str(limit))
    return Check("open files", False, f"at most {limit}", f"ulimit -n {OPEN_FILES}, or LimitNOFILE= in the unit")


def _sizes() -> Check:
    """Check whether sizes can be derived from this machine."""
    try:
        here = sizes.compute(machine.cpus(), machine.memory_bytes())
    except (sizes.SizesError, OSError) as error:
        return Check("sizes", False, str(error), "give more, or say what there is with --cpus and --memory")
    return Check(
        "sizes", True, f"{here.cpus} CPUs, {here.memory_bytes // sizes.MIB} MiB, {here.max_request_workers} workers"
    )


def report(found: list[Check], write: Callable[[str], object] = print) -> int:
    """Write one line for each check, its advice under it, and return 0 when all are well, else 1."""
    wide = max((len(check.name) for check in found), default=0)
    for check in found:
        write(f"{'ok  ' if check.ok else 'FAIL'}  {check.name:<{wide}}  {check.detail}")
        if check.advice:
            write(f"      {'':<{wide}}  → {check.advice}")
    return 0 if all(check.ok for check in found) else 1
