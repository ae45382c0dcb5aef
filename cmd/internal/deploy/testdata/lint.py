"""Lints template.yaml for every deployment on standard input.

In:  {"template": path, "deployments": [{"name", "regions": [...], "parameters": {...}}]}
Out: [{"name", "matches": ["rule line message", ...]}]
"""
import json
import sys

from cfnlint.config import ConfigMixIn
from cfnlint.runner import Runner

job = json.load(sys.stdin)
out = []
for d in job["deployments"]:
    args = ["--regions", *d["regions"], "--template", job["template"]]
    if d["parameters"]:
        args += ["--parameters", *(f"{k}={v}" for k, v in d["parameters"].items())]
    matches = Runner(ConfigMixIn(args)).run()
    out.append({"name": d["name"], "matches": [f"{m.rule.id} line {m.linenumber}: {m.message}" for m in matches]})
json.dump(out, sys.stdout)
