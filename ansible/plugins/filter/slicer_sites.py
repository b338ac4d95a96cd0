"""Filters that derive from the list of sites what machines are given: one copy of the sizes, that of `slicer serve` itself.

`slicer_budget` divides a machine's memory, `slicer_units` completes the sites for a slicer, `slicer_users` names the user of each,
`slicer_sites` says what the proxies in front must know of all slicers, and `slicer_targets` where Prometheus finds the metrics of all.
"""

import contextlib
import dataclasses
import glob
import hashlib
import importlib
import ipaddress
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from ansible.errors import AnsibleFilterError

_HERE = os.path.dirname(os.path.abspath(__file__))
#: Slicer itself: the wheel in the collection that this is part of, or else the checkout's sources.
_SLICER = next(
    iter(glob.glob(os.path.join(_HERE, *[os.pardir] * 2, "files", "mp3_slicer-*.whl"))),
    os.path.normpath(os.path.join(_HERE, *[os.pardir] * 3, "wsgi")),
)

#: What a site has where the list does not say: sizes in MiB, names as Nginx's server_name.
DEFAULTS: Mapping[str, Any] = {
    "server_names": ["_"],
    "settings": {},
    "signed": [],
    "cache_mib": 2048,
    "tls_certificate": "",
    "tls_certificate_key": "",
}

#: Folders that the unit does not see, or sees its own of (ProtectHome, PrivateTmp, PrivateDevices, ProtectProc).
HIDDEN = ("/home", "/root", "/run", "/tmp", "/var/tmp", "/dev", "/proc", "/sys")  # noqa: S108 - names, nothing is made there

_MIB = 1 << 20
#: A machine's memory is rounded down to a multiple of this.
_STEP_MIB = 128
#: For the kernel, ssh, logs and the rest of the system.
SYSTEM_MIB = 128
#: For Nginx: keys of its cache, buffers, and clients that wait for jobs.
EDGE_MIB = 192
#: The least for the workers of a site.
LEAST_WORKERS_MIB = 512
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
#: Characters of a user's name on Linux (useradd(8)).
_LONGEST_USER = 32
#: Media in a store of objects, or behind an HTTP origin.
_REMOTE = ("s3://", "https://", "http://")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# The role gives these itself.
_RESERVED = frozenset(
    {
        "SLICER_MEDIA",
        "SLICER_INDEX_DIR",
        "SLICER_RESULTS_DIR",
        "SLICER_SCRATCH_DIR",
        "SLICER_SIGNING_KEYS",
        "SLICER_SIGNED",
        "SLICER_JOBS_NAME",
    }
)
# Keys of a site that are arguments of mp3_slicer.server.sizes.compute.
_SIZES = ("backlog", "request_timeout", "max_requests", "store_milliseconds")
# Threads that mod_wsgi 6.1 runs in a daemon beside those that take requests (measured).
_DAEMON_THREADS = 4


def _load(name: str) -> ModuleType:
    """A module of Slicer, which need not be installed where Ansible is; it imports the standard library only."""
    # In front: an environment may have another version of Slicer, or another package of that name.
    if "mp3_slicer" not in sys.modules:
        sys.path.insert(0, _SLICER)
    try:
        module = importlib.import_module(f"mp3_slicer.{name}")
    except ModuleNotFoundError as error:
        raise AnsibleFilterError(f"{error}: run the playbook from a checkout or the collection of Slicer") from None
    return module


def _sizes(instance: Mapping[str, Any], cpus: int, memory_mib: int) -> Any:
    """The `Sizes` of a site on a machine. Raises AnsibleFilterError with what `slicer serve` would say."""
    more: dict[str, int] = {"is_remote": str(instance.get("media", "")).startswith(_REMOTE)}
    more |= {name: int(instance[name]) for name in _SIZES if name in instance}
    if "clips_memory_mib" in instance:
        more["clips_memory_bytes"] = int(instance["clips_memory_mib"]) * _MIB
    try:
        return _load("server.sizes").compute(
            int(instance.get("cpus", cpus)), int(instance.get("memory_mib", memory_mib)) * _MIB, **more
        )
    except _load("errors").SlicerError as error:
        raise AnsibleFilterError(f"site {instance['name']}: {error}") from None


def slicer_budget(
    memory_mib: int, instances: Sequence[Mapping[str, Any]], beside: Mapping[str, Any] | None = None
) -> dict[str, int]:
    """The memory of a machine, in MiB: of each part of what it has, `sites` for all that is left to them.

    `beside` names what else it runs: `edge` (a boolean), `queue_mib` for Redis, `workers` (a boolean) and `workers_mib` for those of each
    site (0: a quarter of the machine for all). Rounded, so that another kernel's few MiB more or less change no size.
    """
    beside = beside or {}
    machine = int(memory_mib) // _STEP_MIB * _STEP_MIB
    workers = 0
    if beside.get("workers"):
        workers = len(instances) * slicer_workers_mib(machine, instances, workers_mib=int(beside.get("workers_mib", 0)))
    budget = {
        "machine": machine,
        "system": SYSTEM_MIB,
        "edge": EDGE_MIB if beside.get("edge") else 0,
        "queue": int(beside.get("queue_mib", 0)),
        "workers": workers,
    }
    return {**budget, "sites": machine - sum(value for name, value in budget.items() if name != "machine")}


def slicer_workers_mib(memory_mib: int, instances: Sequence[Mapping[str, Any]], *, workers_mib: int = 0) -> int:
    """The memory of the workers of each site, in MiB: `workers_mib`, or an equal part of a quarter of the machine."""
    machine = int(memory_mib) // _STEP_MIB * _STEP_MIB
    return int(workers_mib) or max(machine // 4 // max(1, len(instances)), LEAST_WORKERS_MIB)


def _share(instances: Sequence[Mapping[str, Any]], budget: Mapping[str, int]) -> int:
    """The memory of a site that names none, in MiB: what those that do leave, in equal parts. Raises AnsibleFilterError with the budget."""
    named = sum(int(each["memory_mib"]) for each in instances if "memory_mib" in each)
    others = sum("memory_mib" not in each for each in instances)
    share = (budget["sites"] - named) // max(1, others)
    least = _load("server.sizes").LEAST_MEMORY // _MIB
    if named > budget["sites"] or (others and share < least):
        parts = ", ".join(f"{name} {value}" for name, value in budget.items() if name not in {"machine", "sites"})
        raise AnsibleFilterError(
            f"memory does not suffice: of {budget['machine']} MiB, {parts} leave {budget['sites']} MiB for all sites; "
            f"those with memory_mib take {named}, and each of the {others} others needs {least} or more. Lower memory_mib, "
            "workers_memory_mib or queue_memory_mib, or move a role to another machine"
        )
    return share


def _check(instances: Sequence[Mapping[str, Any]]) -> None:
    """Raises AnsibleFilterError on what a specification of arguments cannot say."""
    for key in ("name", "port"):
        values = [str(each[key]) for each in instances]
        if len(values) != len(set(values)):
            raise AnsibleFilterError(f"two of slicer_instances have the same {key}: {', '.join(values)}")
    hosts = [str(name) for each in instances for name in each.get("server_names", DEFAULTS["server_names"])]
    if len(hosts) != len(set(hosts)):
        raise AnsibleFilterError(f"two of slicer_instances have the same server name: {', '.join(hosts)}")
    known = {"SLICER_" + field.name.upper() for field in dataclasses.fields(_load("settings").Settings)} - _RESERVED
    for each in instances:
        site = f"site {each['name']}"
        if not _NAME.fullmatch(str(each["name"])):
            raise AnsibleFilterError(
                f"{site}: a name has a to z, 0 to 9 and -, at most 32, and - neither first nor last"
            )
        if not 1024 <= int(each["port"]) <= 65535:
            raise AnsibleFilterError(f"{site}: port {each['port']} is not from 1024 to 65535")
        media = str(each["media"])
        is_folder = not media.startswith(_REMOTE)
        if is_folder and (media != os.path.normpath(media) or not media.startswith("/") or media == "/"):
            raise AnsibleFilterError(
                f"{site}: media {media!r} is not the plain, absolute path of a folder, nor the URL of a store"
            )
        hidden = [folder for folder in HIDDEN if media == folder or media.startswith(f"{folder}/")]
        if hidden:
            raise AnsibleFilterError(f"{site}: media {media} is below {hidden[0]}, which the unit does not see")
        settings = each.get("settings", {})
        unknown = sorted(set(settings) - known)
        if unknown:
            raise AnsibleFilterError(
                f"{site}: no setting is called {', '.join(unknown)}; there are {', '.join(sorted(known))}"
            )
        if any(_CONTROL.search(str(text)) for text in (media, *settings.values())):
            raise AnsibleFilterError(f"{site}: its media folder or a setting holds a control character")
        for folder in map(str, each.get("signed", [])):
            if (
                not folder.startswith("/")
                or "," in folder
                or {".", ".."} & set(folder.split("/"))
                or _CONTROL.search(folder)
            ):
                raise AnsibleFilterError(
                    f"{site}: signed has {folder!r}, and a folder is like /members, from the top of media; / stands for all"
                )
        if "user" in each and (not _USER.fullmatch(str(each["user"])) or each["user"] == "root"):
            raise AnsibleFilterError(f"{site}: user {each['user']!r} is no name of a user without privileges")
        if bool(each.get("tls_certificate")) != bool(each.get("tls_certificate_key")):
            raise AnsibleFilterError(f"{site}: tls_certificate and tls_certificate_key go together")


def slicer_units(
    instances: Sequence[Mapping[str, Any]], *, cpus: int, memory_mib: int, beside: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Return the sites as a slicer with these CPUs and MiB of memory runs them: complete, and with `tasks_max` for the unit.

    A site without `memory_mib` gets its share of what the others, and what else runs there (`slicer_budget`), leave. Raises
    AnsibleFilterError, naming the site.
    """
    _check(instances)
    share = _share(instances, slicer_budget(memory_mib, instances, beside))
    units = []
    for each in instances:
        sizes = _sizes(each, int(cpus), share)
        daemons = sizes.clips_processes * (sizes.clips_threads + _DAEMON_THREADS)
        daemons += sizes.renders_processes * (sizes.renders_threads + _DAEMON_THREADS)
        units.append(
            {
                **DEFAULTS,
                **each,
                "cpus": sizes.cpus,
                "memory_mib": sizes.memory_bytes // _MIB,
                # Twice what runs: programs that renders start, `slicer drain`, and the supervisor's own threads.
                "tasks_max": 2 * (sizes.max_request_workers + daemons + 8),
            }
        )
    return units


def slicer_users(instances: Sequence[Mapping[str, Any]], *, user: str) -> dict[str, str]:
    """The user of each site, by the site's name: `user` for one alone, else one for each site that names none itself.

    Raises AnsibleFilterError, naming the site.
    """
    _check(instances)
    alone = len(instances) == 1
    return {each["name"]: str(each.get("user") or (user if alone else _user_of(each["name"]))) for each in instances}


def slicer_own_users(sites: Sequence[str]) -> list[str]:
    """The names of the users that these sites have where there are several."""
    return [_user_of(str(site)) for site in sites]


def _user_of(site: str) -> str:
    """The name of a site's own user. A long name of a site is told from others by a hash."""
    name = f"slicer-{site}"
    if len(name) <= _LONGEST_USER:
        return name
    return f"{name[: _LONGEST_USER - 9]}-{hashlib.sha256(site.encode()).hexdigest()[:8]}"


def slicer_sites(
    instances: Sequence[Mapping[str, Any]], *, slicer_hosts: Sequence[Mapping[str, Any]], edges: int
) -> list[dict[str, Any]]:
    """The sites as role nginx takes them in `nginx_sites`, one of `edges` proxies in front of all `slicer_hosts`.

    Each of those has `address`, `cpus`, `memory_mib`, and `beside` as in `slicer_budget`. Connections are for each slicer, as many as the
    smallest of them takes, and divided among the edges. Raises AnsibleFilterError, naming the site.
    """
    if not slicer_hosts:
        raise AnsibleFilterError("the group slicers has no host, so edges would have no upstream")
    if int(edges) < 1:
        raise AnsibleFilterError("there is no edge: the group edge has no host")
    _check(instances)
    budgets = [slicer_budget(host["memory_mib"], instances, host.get("beside")) for host in slicer_hosts]
    shares = [_share(instances, budget) for budget in budgets]
    sites = []
    for each in instances:
        found = [_sizes(each, int(host["cpus"]), share) for host, share in zip(slicer_hosts, shares, strict=True)]
        complete = {**DEFAULTS, **each}
        sites.append(
            {
                "name": complete["name"],
                "server_names": list(complete["server_names"]),
                "upstreams": [
                    {"address": slicer_bracketed(str(host["address"])), "port": int(complete["port"])}
                    for host in slicer_hosts
                ],
                "clips_connections": max(1, min(sizes.edge_clips_connections for sizes in found) // int(edges)),
                "renders_connections": max(1, min(sizes.edge_renders_connections for sizes in found) // int(edges)),
                "kept_connections": min(sizes.edge_kept_connections for sizes in found) // int(edges),
                "read_timeout": max(sizes.edge_read_timeout for sizes in found),
                "retry_after": max(sizes.retry_after for sizes in found),
                "cache_mib": int(complete["cache_mib"]),
                "signed": bool(complete["signed"]),
                "origins": _origins(each),
                "tls_certificate": complete["tls_certificate"],
                "tls_certificate_key": complete["tls_certificate_key"],
            }
        )
    return sites


def slicer_targets(
    sites: Sequence[Mapping[str, Any]],
    *,
    slicers: Sequence[str],
    edges: Mapping[str, str],
    addresses: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """The targets of Prometheus, as a file of its `file_sd_configs` has them.

    `sites` are those of `slicer_sites`, `slicers` the names of its hosts, in the same order. `edges` has where the metrics of each edge
    are, by the edge's name. Slicers are asked through the first edge, and without one at their own `addresses`.
    """
    first = next(iter(edges.values()), "")
    targets = []
    for site in sites:
        for number, name in enumerate(slicers, 1):
            target, path = first, f"/{site['name']}/{number}"
            if not first:
                target, path = f"{slicer_bracketed((addresses or {})[name])}:{site['port']}", "/metrics"
            labels = {"job": "slicer", "instance": name, "site": site["name"], "__metrics_path__": path}
            targets.append({"targets": [target], "labels": labels})
    return targets + [
        {"targets": [address], "labels": {"job": "slicer-edge", "instance": name, "__metrics_path__": "/edge"}}
        for name, address in edges.items()
    ]


def slicer_edge_clips(
    instances: Sequence[Mapping[str, Any]],
    *,
    clips: Sequence[Mapping[str, Mapping[str, str]]],
    listen: Mapping[str, Sequence[Any]],
) -> list[dict[str, Any]]:
    """What an edge is asked for at the end of a play: the clip that the first slicer told of each site.

    `clips` has those of each slicer, by site; `listen` has addresses for http and https as in Nginx's directive listen. A site whose first
    name is a pattern or an expression is left out.
    """
    found = []
    for each in instances:
        clip = next((mine[each["name"]] for mine in clips if mine.get(each["name"], {}).get("target")), None)
        name = str(each.get("server_names", DEFAULTS["server_names"])[0])
        if clip is None or not re.fullmatch(r"_|[A-Za-z0-9][A-Za-z0-9.-]*", name):
            continue
        tls = bool(each.get("tls_certificate"))
        listener = str(listen["https" if tls else "http"][0])
        host, port = _listener(listener)
        found.append(
            {
                **clip,
                "host": "localhost" if name == "_" else name,
                "address": host or ("::1" if listener.startswith("[") else "127.0.0.1"),
                "port": int(port),
                "tls": tls,
            }
        )
    return found


def slicer_no_addresses(texts: Sequence[str]) -> list[str]:
    """Those of some texts that are neither an IP address nor a network, as units and Nginx take them: without brackets."""
    return [str(text) for text in texts if not _is_address(str(text))]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    # Behind it is the name of an interface, which means nothing to another machine.
    return "%" not in text


def slicer_taken(lines: Sequence[str], wanted: Sequence[str], *, programs: Sequence[str]) -> list[str]:
    """Those of the listeners in `wanted` that other programs have, with the program's name.

    `lines` are what `ss --no-header --listening --tcp --numeric --processes` prints. `wanted` has addresses with ports, or ports alone, as
    in Nginx's directive listen; sockets in the file system are passed over.
    """
    taken = []
    for line in lines:
        words = line.split()
        if len(words) < 5 or words[0] != "LISTEN":
            continue
        name = re.search(r'users:\(\("([^"]*)"', line)
        if name is None or name[1] in programs:
            continue
        there = _listener(words[3])
        taken += [f"{each} by {name[1]}" for each in wanted if _meet(there, _listener(str(each)))]
    return taken


def _listener(text: str) -> tuple[str, str]:
    """The address and the port of a listener; the address is empty where it is any."""
    host, _, port = text.split()[0].rpartition(":")
    host = host.strip("[]").partition("%")[0]
    if ":" in host:
        with contextlib.suppress(ValueError):
            # One address has several spellings.
            host = str(ipaddress.IPv6Address(host))
    return ("" if host in {"*", "0.0.0.0", "::"} else host), port  # noqa: S104 - nothing is bound


def _meet(one: tuple[str, str], other: tuple[str, str]) -> bool:
    return one[1] == other[1] and (not one[0] or not other[0] or one[0] == other[0])


def _origins(instance: Mapping[str, Any]) -> list[str]:
    """The origins that a site's settings name, as Slicer reads them. Raises AnsibleFilterError."""
    text = str(instance.get("settings", {}).get("SLICER_CORS_ORIGINS", ""))
    settings = _load("settings")
    try:
        return list(settings.Settings.from_environ({"SLICER_MEDIA": "/", "SLICER_CORS_ORIGINS": text}).origins)
    except settings.SettingsError as error:
        raise AnsibleFilterError(f"site {instance['name']}: {error}") from None


def slicer_bracketed(address: str) -> str:
    """Return an address as a URL has it: one of IPv6 in brackets."""
    return f"[{address}]" if ":" in address and not address.startswith("[") else address


class FilterModule:
    """The filters of this file, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters, by the names that playbooks use."""
        filters = (
            slicer_bracketed,
            slicer_budget,
            slicer_edge_clips,
            slicer_no_addresses,
            slicer_own_users,
            slicer_sites,
            slicer_taken,
            slicer_targets,
            slicer_units,
            slicer_users,
            slicer_workers_mib,
        )
        return {each.__name__: each for each in filters}
