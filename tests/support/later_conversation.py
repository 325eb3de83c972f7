"""A conversation with the published client of the later generation, rainbow-scheduler 0.0.16, recorded as bytes.

    python -m tests.support.later_conversation PYTHON ADDRESS ADDRESS REGISTRATION_SECRET

prints what becomes tests/data/later_conversation.json, and as errors what the client made of it. PYTHON has that
client. It speaks with the first server; what it said is said once more to the second, whose answers are kept. Both have
empty databases, and RAINBOW_MEMORY_GRAPH.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc

from tests.support.conversation import SECRET, TOKEN, Exchange, Line
from tests.support.later_graphs import edge, graph_of, vertex
from tests.support.recorder import Recorder, recorder_before

OTHERS_TOKEN, OTHERS_SECRET = "rbt_" + "u" * 32, "rbs_" + "v" * 32
CREDENTIALS = ((TOKEN, SECRET), (OTHERS_TOKEN, OTHERS_SECRET))
CLUSTERS = ("keebler", "oreo")
IO = {"graph": {"nodes": {"io0": vertex("io"), "io1": vertex("shm")}, "edges": [edge("io0", "io1")]}}
SCRIPT = """
import json, random, sys
from jobspec.core import Jobspec
from rainbow import config
from rainbow.client import RainbowClient

host, secret = sys.argv[1:]
random.seed(0)  # It makes names of jobs up.
known, said, credentials = {}, [], []


def say(what, call):
    try:
        answer = call()
        said.append([what, getattr(answer, "status", None), getattr(answer, "cluster", "")])
        return answer
    except Exception as error:
        said.append([what, error.code().name, error.details()])


def client_for(name):
    # It does nothing without a configuration file, and makes one by this function alone.
    made = config.new_rainbow_config(host, name, secret)
    made._cfg["cluster"]["secret"] = known.get(name, ["", ""])[1] or "none"
    for cluster, (token, _) in known.items():
        made.add_cluster(cluster, token)
    made.save_yaml("rainbow-config.yaml")
    return RainbowClient(config_file="rainbow-config.yaml")


for name in ("keebler", "oreo"):
    answer = say("register", lambda: client_for(name).register(name, secret=secret, cluster_nodes=name + ".json"))
    known[name] = [answer.token, answer.secret]
client = client_for("keebler")
say("register again", lambda: client.register("keebler", secret=secret, cluster_nodes="keebler.json"))
say("register with a wrong secret", lambda: client.register("x", secret="wrong", cluster_nodes="keebler.json"))
say("register a subsystem", lambda: client.register_subsystem("keebler", "io", known["keebler"][1], "io.json"))
say("update its state", lambda: client.update_state("keebler", {"nodes_free": 2, "cost": 3}, known["keebler"][1]))
say("and from a file", lambda: client.update_state("oreo", "state.json", known["oreo"][1]))
say("submit what one can run", lambda: client.submit_job(["echo", "hello", "world"], nodes=3, tasks=6))
say("submit a line of the shell", lambda: client.submit_job("echo $HOME > out", nodes=2, tasks=2))
say("ask which can", lambda: client.submit_job("hostname", satisfy_only=True))
say("submit what none can run", lambda: client.submit_job("hostname", nodes=99))
say("submit a jobspec that requires io", lambda: client.submit_jobspec(Jobspec("jobspec.yaml")))
order = "- priority: 1\\n  steps:\\n  - filter: nodes_free > 0\\n  - sort_ascending: cost\\n  - select: first\\n"
client.cfg.set_selection_algorithm("constraint", {"priorities": order})
say("select by a constraint", lambda: client.submit_job("hostname"))
client.cfg.set_selection_algorithm("constraint", {"priorities": order.replace("filter", "calc")})
say("select by a step that is none", lambda: client.submit_job("hostname"))
client.cfg.set_selection_algorithm("random")
client.cfg._cfg["clusters"][1]["token"] = known["keebler"][0]
say("submit with a wrong token", lambda: client.submit_job("hostname"))
for most in (1, None, None):
    said.append(["receive", len(client.receive_jobs(most)), ""])
said.append(["receive at the other", len(client_for("oreo").receive_jobs()), ""])
json.dump({"said": said, "known": list(known.values())}, sys.stderr)
"""


def files() -> Mapping[str, str]:
    requires = [{"name": "io", "field": "type", "match": "shm"}]
    ior = {"type": "node", "replicas": 1, "requires": requires, "with": [{"type": "core", "count": 2}]}
    jobspec = {"version": 1, "resources": {"ior": ior}, "tasks": [{"command": ["ior"], "resources": "ior"}]}
    return {
        "keebler.json": graph_of(3, 4),
        "oreo.json": graph_of(1, 2),
        "io.json": json.dumps(IO),
        "state.json": json.dumps({"nodes_free": 1, "cost": 2}),
        "jobspec.yaml": json.dumps(jobspec),
    }


def spoken(python: str, recorder: Recorder, registration_secret: str) -> tuple[list[tuple[str, bytes]], str]:
    """What the client said, with the credentials of the record, and what it made of the answers."""
    with TemporaryDirectory() as folder:
        for file, text in files().items():
            (Path(folder) / file).write_text(text, encoding="utf-8")
        words = [python, "-c", SCRIPT, recorder.address, registration_secret]
        told = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True).stderr
    heard = json.loads(told.splitlines()[-1])
    real = [value.encode() for pair in heard["known"] for value in pair]
    recorded = [value.encode() for pair in CREDENTIALS for value in pair]
    requests = []
    for call in recorder.calls:
        content = call.content
        for value, placeholder in zip(real, recorded, strict=True):
            content = content.replace(value, placeholder)
        requests.append((call.method, content))
    return requests, "\n".join(" ".join(map(str, one)) for one in heard["said"])


def recorded(python: str, first: str, second: str, registration_secret: str) -> list[Exchange]:
    with recorder_before(first) as recorder:
        requests, heard = spoken(python, recorder, registration_secret)
    sys.stderr.write(heard + "\n")
    with grpc.insecure_channel(second) as channel:
        line = Line(channel, CREDENTIALS)
        return [line.say(method, request) for method, request in requests]


if __name__ == "__main__":
    exchanges = recorded(*sys.argv[1:5])
    sys.stdout.write(json.dumps(list(map(asdict, exchanges)), indent=1) + "\n")
