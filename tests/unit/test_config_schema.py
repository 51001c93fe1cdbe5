"""The schema against the reader: what one takes, the other takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.unit.test_config_sample import uncommented
from tests.unit.test_config_yaml_file import DESIGN
from trayconnect.config.batch_options import BatchOptions
from trayconnect.config.file_problems import ConfigError
from trayconnect.config.forward_model import Forward
from trayconnect.config.forward_syntax import Kind
from trayconnect.config.model import Auth, Jupyter, Keepalive, Server
from trayconnect.config.sample import SAMPLE
from trayconnect.config.schema import json_schema
from trayconnect.config.start_options import Environment, StartOptions
from trayconnect.config.values import Frozen
from trayconnect.config.yaml_file import parse

HERE = Path("servers.yaml")


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


GOOD = [
    DESIGN,
    SAMPLE,
    uncommented(),
    "{}",
    "servers: []",
    "servers:\ndefaults:\n",
    "servers: [{name: a, host: h}]\ndefaults:\n",
    "servers: [{name: a, host: h, local_port: 1024}]",
    "servers: [{name: a, host: h, forwards: [{name: x, port: 1}]}]",
    "servers: [{name: a, host: '2001:db8::1', jump_hosts: ['[::1]:22', a, a@b, a@b:2]}]",
    "servers: [{name: a, host: h, jupyter: {port: 8888}}]",
    "servers: [{name: a, host: h, auth: {password: keyring}}]",
    "servers: [{name: a, host: h, jupyter: {socket: /run/lab.sock}}]",
    "servers: [{name: a, host: h, forwards: [-L 5000:h:80, L 5001:h:80, '-R 0:[::1]:80', -D1080]}]",
    "servers: [{name: a, host: h, forwards: [LocalForward 5000 h:80, remoteforward=0 h:80]}]",
    "servers: [{name: a, host: h, forwards: [{local: '/x:/y'}, {dynamic: 1080}]}]",
    "servers: [{name: a, host: h, forwards: [{name: x, remote: '5000:/y'}]}]",
    "servers: [{name: a, host: h, forwards: [{name: x, local_socket: ~/s, remote_socket: /s}]}]",
    "servers: [{name: a, host: h, forwards: [{name: x, kind: dynamic, bind_address: '*'}]}]",
    "servers: [{name: a, host: h, forwards: [{name: x, kind: remote, remote_port: 0, port: 1}]}]",
    "servers: [{name: a, host: h, legacy: [aes128-cbc, hmac-sha1]}]",
    "servers: [{name: a, host: h, legacy: []}]",
    "servers: [{name: a, host: h, forwards: [{tool: dask}, {tool: mlflow, name: x, port: 5001}]}]",
    "servers: [{name: a, host: h, forwards: [{tool: dask, remote_socket: /s, open: false}]}]",
    "servers: [{name: a, host: h, forwards: [{name: x, port: 1, path: /a, ready: /b}]}]",
    "servers: [{name: a, host: h, notify_idle: false}]",
    "servers: [{name: a, host: h, batch: true}]",
    "servers: [{name: a, host: h, batch: {time: 4:00:00, options: [--partition=gpu, -n, '2']}}]",
    "servers: [{name: a, host: h, batch: {system: slurm, time: '1-00:00:00', reach: srun}}]",
    "servers: [{name: a}]\ndefaults: {host: h}",
    "servers: [{name: a, url: 'https://[::1]:8888/x?y#z', open_browser: false}]",
    "defaults: {keepalive: {interval: 0.5}, forwards: [{name: x, port: 1}]}",
    "servers: [{name: a, host: h, start: true}, {name: b, host: h, start: false}]",
    "servers: [{name: a, host: h, start: {folder: ~/x, app: server, when: menu}}]",
    "servers: [{name: a, host: h, start: {environment: conda activate ml, socket: never}}]",
    "servers: [{name: a, host: h, start: {environment: {conda: ml}, options: [--debug]}}]",
    "servers: [{name: a, host: h, start: {environment: {module: [python/3.12, jupyter]}}}]",
    "servers: [{name: a, host: h, start: {environment: {module: jupyter}}}]",
]

BAD = [
    "[]",
    "server: []",
    "servers: {}",
    "servers: [a]",
    "servers: [{host: h}]",
    "servers: [{name: a}]",
    "servers: [{name: a}]\ndefaults:\n",
    "servers: [{name: a, host: h, url: 'http://h'}]",
    "servers: [{name: a, url: 'http://h', port: 22}]",
    "servers: [{name: a, url: 'ftp://h'}]",
    "servers: [{name: a, url: 'http://a:b@h'}]",
    "servers: [{name: a, host: 'ada@h'}]",
    "servers: [{name: a, host: 'a b'}]",
    "servers: [{name: a, host: '-o'}]",
    "servers: [{name: a, host: h, prot: 22}]",
    "servers: [{name: a, host: h, port: '22'}]",
    "servers: [{name: a, host: h, port: 70000}]",
    "servers: [{name: a, host: h, local_port: 80}]",
    "servers: [{name: a, host: h, username: }]",
    "servers: [{name: a, host: h, auth: {password: x}}]",
    "servers: [{name: a, host: h, auth: {identity_file: 5}}]",
    "servers: [{name: a, host: h, jump_hosts: a}]",
    "servers: [{name: a, host: h, jump_hosts: [{host: a}]}]",
    "servers: [{name: a, host: h, jupyter: {path: lab}}]",
    "servers: [{name: a, host: h, forwards: [{name: x}]}]",
    "servers: [{name: a, host: h, keepalive: {interval: 0}}]",
    "servers: [{name: a, host: h, jupyter: {socket: lab.sock}}]",
    "servers: [{name: a, host: h, jupyter: {socket: /lab.sock, port: 8888}}]",
    "servers: [{name: a, host: h, forwards: ['5000:h:80']}]",
    "servers: [{name: a, host: h, forwards: [{local: 5000}]}]",
    "servers: [{name: a, host: h, forwards: [{local: '5000:h:80', port: 80}]}]",
    "servers: [{name: a, host: h, forwards: [{local: '5000:h:80', dynamic: 1080}]}]",
    "servers: [{name: a, host: h, forwards: [{remote: '5000:h:80', open: true}]}]",
    "servers: [{name: a, host: h, forwards: [{name: x, kind: tcp, port: 1}]}]",
    "servers: [{name: a, host: h, forwards: [{name: x, kind: dynamic, port: 1}]}]",
    "servers: [{name: a, host: h, forwards: [{name: x, kind: remote, port: 1}]}]",
    "servers: [{name: a, host: h, forwards: [{name: x, port: 1, remote_socket: /s}]}]",
    "servers: [{name: a, host: h, forwards: [{name: x, remote_socket: s}]}]",
    "servers: [{name: a, host: h, forwards: [{name: x, remote_socket: /s, host: h}]}]",
    "servers: [{name: a, host: h, forwards: [{name: x, local_socket: /s, port: 1, open: true}]}]",
    "servers: [{name: a, host: h, legacy: aes128-cbc}]",
    "servers: [{name: a, host: h, legacy: [ssh-rsa]}]",
    "servers: [{name: a, host: h, legacy: [aes128-ctr]}]",
    "servers: [{name: a, host: h, start: lab}]",
    "servers: [{name: a, host: h, start: {app: hub}}]",
    "servers: [{name: a, host: h, start: {folder: ''}}]",
    "servers: [{name: a, host: h, start: {options: --debug}}]",
    "servers: [{name: a, host: h, start: {environment: {}}}]",
    "servers: [{name: a, host: h, start: {environment: {conda: a, venv: b}}}]",
    "servers: [{name: a, host: h, start: {environment: {module: []}}}]",
    "servers: [{name: a, url: 'http://h', start: true}]",
    "servers: [{name: a, host: h, forwards: [{tool: x}]}]",
    "servers: [{name: a, host: h, forwards: [{tool: dask, kind: remote, remote_port: 1}]}]",
    "servers: [{name: a, host: h, forwards: [{tool: dask, local_socket: /s}]}]",
    "servers: [{name: a, host: h, forwards: [{tool: dask, local: '5000:h:80'}]}]",
    "servers: [{name: a, host: h, forwards: [{name: x, port: 1, ready: b}]}]",
    "servers: [{name: a, url: 'http://h', notify_idle: false}]",
    "defaults: {name: a}",
    "defaults: {legacy: [aes128-cbc]}",
    "defaults: {local_port: 2000}",
    "defaults: {url: 'http://h'}",
]


@pytest.mark.parametrize("text", GOOD)
def test_both_take_it(text: str, validator: Draft202012Validator) -> None:
    parse(text, HERE)
    found = yaml.safe_load(text)
    validator.validate(found)


@pytest.mark.parametrize("text", BAD)
def test_both_refuse_it(text: str, validator: Draft202012Validator) -> None:
    with pytest.raises(ConfigError):
        parse(text, HERE)
    assert not validator.is_valid(yaml.safe_load(text))


@pytest.mark.parametrize(
    "model", [Server, Auth, Jupyter, StartOptions, BatchOptions, Environment, Keepalive, Forward]
)
def test_every_key_is_described(model: type[Frozen]) -> None:
    definitions = json_schema()["$defs"]
    assert isinstance(definitions, dict)
    properties = definitions[model.__name__]["properties"]
    words = set(Kind) if model is Forward else set()
    assert set(properties) == set(model.model_fields) | words
    for name, value in properties.items():
        described = value.get("description") or definitions[value["$ref"].split("/")[-1]]
        assert described, name
        assert "null" not in str(value)


def test_a_new_one_each_time() -> None:
    json_schema().clear()
    assert json_schema()
