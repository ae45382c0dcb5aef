"""Lints template.yaml for every deployment on standard input. Deployments that
set the same parameters are linted together, for all of their regions.

In:  {"template": path, "deployments": [{"name", "regions": [...], "parameters": {...}}]}
Out: [{"names": [...], "matches": ["rule line message", ...]}]
"""
import json
import sys

from cfnlint.config import ConfigMixIn
from cfnlint.runner import Runner

job = json.load(sys.stdin)
groups = {}
for d in job["deployments"]:
    groups.setdefault(tuple(sorted(d["parameters"])), []).append(d)
out = []
for group in groups.values():
    regions = sorted({r for d in group for r in d["regions"]})
    args = ["--regions", *regions, "--template", job["template"]]
    if group[0]["parameters"]:
        args += ["--parameters", *(f"{k}={v}" for k, v in group[0]["parameters"].items())]
    matches = Runner(ConfigMixIn(args)).run()
    out.append({"names": [d["name"] for d in group], "matches": [f"{m.rule.id} line {m.linenumber}: {m.message}" for m in matches]})
json.dump(out, sys.stdout)
