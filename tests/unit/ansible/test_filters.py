"""The filters of the playbook: what slicers and edges are told, from the sizes that `slicer serve` itself derives."""

import importlib.util
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from mp3_slicer.server.sizes import GIB, MIB, compute
from mp3_slicer.settings import Settings

ANSIBLE = Path(__file__).parents[3] / "ansible"


def load(path: Path):
    """A module by its path, as Ansible loads it."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


filters = load(ANSIBLE / "plugins" / "filter" / "slicer_sites.py")
HOST = {"address": "10.0.0.1", "cpus": 2, "memory_mib": 4096}


def instance(**more):
    return {"name": "main", "media": "/srv/audio", "port": 8000, **more}


def sites(*instances, hosts=(HOST,), edges=1):
    return filters.slicer_sites(list(instances) or [instance()], slicer_hosts=list(hosts), edges=edges)


def units(*instances, cpus=2, memory_mib=4096):
    return filters.slicer_units(list(instances) or [instance()], cpus=cpus, memory_mib=memory_mib)


def test_the_filters_have_the_names_that_the_playbook_uses() -> None:
    assert filters.FilterModule().filters() == {
        "slicer_budget": filters.slicer_budget,
        "slicer_bracketed": filters.slicer_bracketed,
        "slicer_edge_clips": filters.slicer_edge_clips,
        "slicer_no_addresses": filters.slicer_no_addresses,
        "slicer_own_users": filters.slicer_own_users,
        "slicer_sites": filters.slicer_sites,
        "slicer_taken": filters.slicer_taken,
        "slicer_targets": filters.slicer_targets,
        "slicer_units": filters.slicer_units,
        "slicer_users": filters.slicer_users,
        "slicer_workers_mib": filters.slicer_workers_mib,
    }


def test_an_edge_is_told_what_the_sizes_say() -> None:
    sizes = compute(2, 4 * GIB)
    assert sites() == [
        {
            "name": "main",
            "server_names": ["_"],
            "upstreams": [{"address": "10.0.0.1", "port": 8000}],
            "clips_connections": sizes.edge_clips_connections,
            "renders_connections": sizes.edge_renders_connections,
            "kept_connections": sizes.edge_kept_connections,
            "read_timeout": sizes.edge_read_timeout,
            "retry_after": sizes.retry_after,
            "cache_mib": 2048,
            "signed": False,
            "origins": [],
            "tls_certificate": "",
            "tls_certificate_key": "",
        }
    ]


def test_what_role_nginx_takes_is_what_it_is_given() -> None:
    specification = yaml.safe_load((ANSIBLE / "roles/nginx/meta/argument_specs.yml").read_text())
    options = specification["argument_specs"]["main"]["options"]["nginx_sites"]["options"]
    assert set(options) == set(sites()[0])


def test_connections_are_divided_among_edges_and_never_none() -> None:
    sizes = compute(2, 4 * GIB)
    (site,) = sites(edges=3)
    assert site["clips_connections"] == sizes.edge_clips_connections // 3
    assert site["renders_connections"] == sizes.edge_renders_connections // 3
    assert site["kept_connections"] == sizes.edge_kept_connections // 3
    (site,) = sites(edges=1000)
    assert (site["clips_connections"], site["renders_connections"], site["kept_connections"]) == (1, 1, 0)


def test_unequal_slicers_are_held_to_the_smallest() -> None:
    small = {"address": "10.0.0.2", "cpus": 1, "memory_mib": 1024}
    (site,) = sites(hosts=(HOST, small))
    assert site["upstreams"] == [{"address": "10.0.0.1", "port": 8000}, {"address": "10.0.0.2", "port": 8000}]
    assert site["clips_connections"] == compute(1, GIB).edge_clips_connections
    assert site["renders_connections"] == compute(1, GIB).edge_renders_connections


def test_an_address_of_ipv6_is_in_brackets() -> None:
    (site,) = sites(hosts=({**HOST, "address": "fd00::1"}, {**HOST, "address": "[fd00::2]"}))
    assert [each["address"] for each in site["upstreams"]] == ["[fd00::1]", "[fd00::2]"]


def test_a_site_may_differ_in_all_that_it_can_name() -> None:
    given = instance(
        cpus=1,
        memory_mib=1024,
        backlog=9,
        request_timeout=60,
        max_requests=10,
        clips_memory_mib=300,
        cache_mib=0,
        server_names=["a.example", "b.example"],
        tls_certificate="/a.pem",
        tls_certificate_key="/a.key",
        settings={"SLICER_CLIP_MAX_AGE": 5},
    )
    sizes = compute(1, GIB, 9, request_timeout=60, max_requests=10, clips_memory_bytes=300 * MIB)
    (site,) = sites(given)
    assert (site["clips_connections"], site["renders_connections"]) == (sizes.edge_clips_connections, 10)
    assert site["read_timeout"] == sizes.edge_read_timeout > sites()[0]["read_timeout"]
    assert (site["cache_mib"], site["server_names"]) == (0, ["a.example", "b.example"])
    assert (site["tls_certificate"], site["tls_certificate_key"]) == ("/a.pem", "/a.key")
    (unit,) = units(given)
    assert {key: unit[key] for key in given} == given


def test_a_unit_is_complete_and_has_room_for_twice_its_tasks() -> None:
    (unit,) = units()
    sizes = compute(2, 4 * GIB - 128 * MIB)
    assert (unit["cpus"], unit["memory_mib"], unit["settings"]) == (2, 4096 - 128, {})
    # As counted on a server: the supervisor's two threads, Apache and its children, and four threads more in each daemon.
    tasks = 2 + 1 + sizes.max_request_workers + 2 * (3 + 4) + 2 * (1 + 4)
    assert tasks == 79
    assert 2 * tasks <= unit["tasks_max"] <= 3 * tasks


def test_sites_that_name_no_memory_share_what_the_others_leave() -> None:
    three = [instance(), instance(name="b", port=8001, server_names=["b"], memory_mib=1000)]
    three.append(instance(name="c", port=8002, server_names=["c"]))
    assert [unit["memory_mib"] for unit in units(*three)] == [1484, 1000, 1484]
    # An edge reckons the same.
    few = [each["renders_connections"] for each in sites(*three, hosts=({**HOST, "cpus": 16},))]
    assert few == [
        compute(16, 1484 * MIB).edge_renders_connections,
        compute(16, 1000 * MIB).edge_renders_connections,
        few[0],
    ]


EVERYTHING = {"edge": True, "queue_mib": 640, "workers": True, "workers_mib": 0}


def test_each_part_of_a_machine_has_its_share_of_memory() -> None:
    budget = filters.slicer_budget(7941, [instance()], EVERYTHING)
    assert budget == {"machine": 7936, "system": 128, "edge": 192, "queue": 640, "workers": 1984, "sites": 4992}
    assert filters.slicer_units([instance()], cpus=2, memory_mib=7941, beside=EVERYTHING)[0]["memory_mib"] == 4992
    assert filters.slicer_budget(4000, [instance()] * 3, {**EVERYTHING, "workers_mib": 700})["workers"] == 2100
    # An edge reckons the same.
    host = {**HOST, "cpus": 16, "memory_mib": 7941, "beside": EVERYTHING}
    assert sites(hosts=[host])[0]["renders_connections"] == compute(16, 4992 * MIB).edge_renders_connections


def test_a_few_mib_more_or_less_change_no_size() -> None:
    """As after an update of the kernel."""
    found = [filters.slicer_units([instance()], cpus=2, memory_mib=mib, beside=EVERYTHING) for mib in (7941, 7939)]
    assert found[0] == found[1]
    assert [filters.slicer_workers_mib(mib, [instance()]) for mib in (7941, 7939)] == [1984, 1984]


def test_what_does_not_fit_is_refused_with_the_budget() -> None:
    with pytest.raises(AnsibleFilterError) as refused:
        filters.slicer_units([instance()], cpus=1, memory_mib=1500, beside=EVERYTHING)
    assert "of 1408 MiB, system 128, edge 192, queue 640, workers 512 leave -64 MiB for all sites" in str(refused.value)


@pytest.mark.parametrize(
    ("instances", "said"),
    [
        ([instance(), instance(port=8001, server_names=["b"])], "same name"),
        ([instance(), instance(name="b", server_names=["b"])], "same port"),
        ([instance(), instance(name="b", port=8001)], "same server name"),
        ([instance(name="Main")], "a to z"),
        ([instance(name="-main")], "a to z"),
        ([instance(name="m" * 33)], "at most 32"),
        ([instance(port=80)], "port 80"),
        ([instance(port=65536)], "port 65536"),
        ([instance(media="srv/audio")], "absolute"),
        ([instance(media="/srv/../etc")], "absolute"),
        ([instance(media="/")], "absolute"),
        ([instance(media="/home/audio")], "below /home"),
        ([instance(media="/tmp")], "below /tmp"),
        ([instance(media="/srv/a\nb")], "control character"),
        ([instance(settings={"SLICER_CORS_ORIGINS": "a\nSLICER_MEDIA=/"})], "control character"),
        ([instance(settings={"SLICER_CLIP_MAXAGE": 5})], "SLICER_CLIP_MAXAGE"),
        ([instance(settings={"SLICER_MEDIA": "/srv/other"})], "SLICER_MEDIA"),
        ([instance(tls_certificate="/a.pem")], "go together"),
        ([instance(tls_certificate_key="/a.key")], "go together"),
        ([instance(memory_mib=100)], "site main: memory="),
        ([instance(memory_mib=8192)], "those with memory_mib take 8192"),
        ([instance(cpus=0)], "site main: cpus=0"),
        ([instance(backlog=1000)], "site main: backlog=1000"),
        ([instance(request_timeout=0)], "site main: request-timeout=0"),
        ([instance(max_requests=-1)], "site main: max-requests=-1"),
        ([instance(store_milliseconds=5001)], "site main: store-milliseconds=5001"),
        ([instance(clips_memory_mib=10)], "site main: clips-memory="),
    ],
)
def test_what_cannot_be_is_refused_with_its_name(instances, said: str) -> None:
    for make in (units, sites):
        with pytest.raises(AnsibleFilterError, match=said.replace("(", r"\(")):
            make(*instances)


@pytest.mark.parametrize("media", ["s3://audio/shows", "https://media.example.org/shows/"])
def test_media_may_be_in_a_store(media: str) -> None:
    assert units(instance(media=media))[0]["media"] == media


def test_a_store_that_is_far_has_more_threads() -> None:
    near, far = (
        units(instance(media="s3://audio/shows", memory_mib=1024, store_milliseconds=milliseconds))[0]["tasks_max"]
        for milliseconds in (0, 40)
    )
    assert far > near


def test_media_beside_a_hidden_folder_is_fine() -> None:
    assert units(instance(media="/homes/audio"))[0]["media"] == "/homes/audio"


@pytest.mark.parametrize(("hosts", "edges", "said"), [((), 1, "slicers"), ((HOST,), 0, "edge")])
def test_a_group_without_a_host_is_refused(hosts, edges: int, said: str) -> None:
    with pytest.raises(AnsibleFilterError, match=said):
        sites(hosts=hosts, edges=edges)


def test_every_setting_can_be_given_but_those_of_the_role() -> None:
    names = {"SLICER_" + item.name.upper() for item in fields(Settings)} - filters._RESERVED
    assert names
    assert units(instance(settings=dict.fromkeys(names, "1")))[0]["settings"].keys() == names


def test_the_defaults_are_those_that_are_documented() -> None:
    specification = yaml.safe_load((ANSIBLE / "roles/slicer/meta/argument_specs.yml").read_text())
    points = specification["argument_specs"]
    options = points["main"]["options"]["slicer_instances"]["options"]
    assert {name: option["default"] for name, option in options.items() if "default" in option} == filters.DEFAULTS
    assert points["install"]["options"] == points["switch"]["options"] == points["main"]["options"]
    assert set(units()[0]) - {"tasks_max"} <= set(options)


@pytest.mark.parametrize("name", ["example-one/hosts.yml", "example-several/group_vars/all/sites.yml"])
def test_the_examples_are_sites(name: str) -> None:
    text = yaml.safe_load((ANSIBLE / "inventories" / name).read_text())
    instances = text.get("all", {}).get("vars", text)["slicer_instances"]
    assert [each["name"] for each in sites(*instances)] == [each["name"] for each in units(*instances)]


def test_an_edge_is_told_where_every_request_is_checked() -> None:
    assert [each["signed"] for each in sites(instance(signed=["/members"]))] == [True]
    assert units(instance())[0]["signed"] == []


@pytest.mark.parametrize("folder", ["members", "/a,b", "/a/../b", "/a\nSLICER_MEDIA=/", ""])
def test_a_folder_that_is_none_is_refused(folder: str) -> None:
    with pytest.raises(AnsibleFilterError, match="site main: signed has"):
        units(instance(signed=[folder]))


@pytest.mark.parametrize("name", ["SLICER_SIGNED", "SLICER_SIGNING_KEYS"])
def test_signing_is_set_by_its_own_variables(name: str) -> None:
    """Or an edge would not be told."""
    with pytest.raises(AnsibleFilterError, match=name):
        units(instance(settings={name: "/"}))


def test_slicer_need_not_be_installed_where_ansible_is(tmp_path):
    """Sizes and settings come from the checkout, also where another package has the name `mp3_slicer`."""
    (tmp_path / "slicer.py").write_text("raise ImportError('somebody else')")
    program = (
        "import sys, importlib.util\n"
        "spec = importlib.util.spec_from_file_location('filters', sys.argv[1])\n"
        "filters = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(filters)\n"
        "print(filters._sizes({'name': 'main'}, 2, 4096).clips_processes, filters._load('settings').__file__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(ANSIBLE / "plugins/filter/slicer_sites.py")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.stdout.split() == ["2", str(ANSIBLE.parent / "wsgi/mp3_slicer/settings.py")]


def users(*instances):
    return filters.slicer_users(
        [{**instance(port=8000 + n), **each} for n, each in enumerate(instances)], user="slicer"
    )


def test_each_of_several_sites_has_a_user_of_its_own() -> None:
    one, other = {"name": "one", "server_names": ["one.test"]}, {"name": "other"}
    assert users(one) == {"one": "slicer"}
    assert users(one, other) == {"one": "slicer-one", "other": "slicer-other"}
    assert users(one, {**other, "user": "audio"}) == {"one": "slicer-one", "other": "audio"}
    assert users({**one, "user": "audio"}) == {"one": "audio"}
    assert filters.slicer_own_users(["one", "other"]) == ["slicer-one", "slicer-other"]


def test_users_of_long_names_fit_and_differ() -> None:
    names = ["a" * 31 + end for end in "bc"]
    found = users(*({"name": name, "server_names": [name]} for name in names))
    assert len(set(found.values())) == 2
    assert {len(user) for user in found.values()} == {32}


@pytest.mark.parametrize("user", ["root", "", "Upper", "a b", "-x", "x" * 33, "a:b", "a\nb"])
def test_a_user_that_cannot_be_is_refused(user: str) -> None:
    with pytest.raises(AnsibleFilterError, match="site main: user"):
        users({"name": "main", "user": user})


def test_a_port_of_another_program_is_taken() -> None:
    lines = [
        'LISTEN 0 511 0.0.0.0:80 0.0.0.0:* users:(("nginx",pid=2,fd=6),("nginx",pid=1,fd=6))',
        'LISTEN 0 5 127.0.0.1:8000 0.0.0.0:* users:(("python3",pid=3,fd=3))',
        'LISTEN 0 5 [::1]:8081 [::]:* users:(("ruby",pid=4,fd=3))',
        "LISTEN 0 5 *:443 *:*",
    ]
    assert filters.slicer_taken(lines, ["80", "127.0.0.1:8081"], programs=["nginx"]) == []
    assert filters.slicer_taken(lines, ["80"], programs=["apache2"]) == ["80 by nginx"]
    assert filters.slicer_taken(lines, ["0.0.0.0:8000", "10.0.0.1:8000"], programs=[]) == ["0.0.0.0:8000 by python3"]
    assert filters.slicer_taken(lines, ["0:0::1:8081", "[::2]:8081"], programs=[]) == ["0:0::1:8081 by ruby"]
    assert filters.slicer_taken(lines, ["[::]:8081 ipv6only=on", "unix:/run/x"], programs=[]) == [
        "[::]:8081 ipv6only=on by ruby"
    ]


def test_a_name_is_no_address() -> None:
    given = ["10.0.0.1", "10.0.0.0/8", "10.0.0.1/8", "fd00::1", "[fd00::1]", "localhost", "", "10.0.0.256"]
    given.append("fe80::1%eth0")
    # Brackets are for URLs: systemd ignores an address with them, and Nginx refuses it.
    assert filters.slicer_no_addresses(given) == ["[fd00::1]", "localhost", "", "10.0.0.256", "fe80::1%eth0"]


def test_an_edge_is_asked_for_the_clip_that_a_slicer_told() -> None:
    clip = {"target": "/clips/a.mp3?t=0,1", "sha256": "0"}
    listen = {"http": ["80", "[::]:80"], "https": ["10.0.0.9:8443"]}
    secure = instance(name="b", port=8001, server_names=["b.test"], tls_certificate="/c", tls_certificate_key="/k")
    pattern = instance(name="c", port=8002, server_names=["*.test"])
    clips = [{"main": {"target": "", "sha256": ""}}, {"main": clip, "b": clip, "c": clip}]
    assert filters.slicer_edge_clips([instance(), secure, pattern], clips=clips, listen=listen) == [
        {**clip, "host": "localhost", "address": "127.0.0.1", "port": 80, "tls": False},
        {**clip, "host": "b.test", "address": "10.0.0.9", "port": 8443, "tls": True},
    ]
    assert filters.slicer_edge_clips([instance()], clips=[{}], listen=listen) == []
    # Nginx's [::] takes no IPv4.
    for address, asked in (("[::]:80", "::1"), ("*:80", "127.0.0.1"), ("[fd00::1]:80", "fd00::1")):
        (found,) = filters.slicer_edge_clips([instance()], clips=clips[1:], listen={"http": [address]})
        assert (found["address"], found["port"]) == (asked, 80)


def test_without_an_edge_prometheus_asks_the_slicers() -> None:
    addresses = {"one": "10.0.0.1", "two": "fd00::2"}
    found = filters.slicer_targets([instance()], slicers=["one", "two"], edges={}, addresses=addresses)
    assert [(each["targets"], each["labels"]["instance"], each["labels"]["__metrics_path__"]) for each in found] == [
        (["10.0.0.1:8000"], "one", "/metrics"),
        (["[fd00::2]:8000"], "two", "/metrics"),
    ]
