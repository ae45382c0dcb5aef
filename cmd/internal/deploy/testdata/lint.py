"""Lints template.yaml for every deployment on standard input. Deployments with the
same values of parameters are linted together, for all of their regions. Each
processor lints a share of them.

In:  {"template": path, "deployments": [{"name", "regions": [...], "parameters": {...}}]}
Out: [{"names": [...], "matches": ["rule line message", ...]}]
"""
import json
import multiprocessing
import os
import sys

from cfnlint.config import ConfigMixIn
from cfnlint.runner import Runner


def lint(group):
    regions = sorted({r for d in group for r in d["regions"]})
    args = ["--regions", *regions, "--template", job["template"]]
    if group[0]["parameters"]:
        args += ["--parameters", *(f"{k}={v}" for k, v in group[0]["parameters"].items())]
    matches = Runner(ConfigMixIn(args)).run()
    return {"names": [d["name"] for d in group], "matches": [f"{m.rule.id} line {m.linenumber}: {m.message}" for m in matches]}


job = json.load(sys.stdin)
groups = {}
for d in job["deployments"]:
    groups.setdefault(tuple(sorted(d["parameters"].items())), []).append(d)
# A fork has this program, which comes as an argument and so is in no file.
with multiprocessing.get_context("fork").Pool(min(len(groups), os.cpu_count())) as pool:
    out = pool.map(lint, groups.values(), chunksize=1)
json.dump(out, sys.stdout)
