#!/usr/bin/env python3
"""usage: helper.py REFERENCE"""
import json
import subprocess
import sys


class AgentError(Exception):
    pass


def get(ref):
    """The object that `qapi-agent get --json` prints."""
    done = subprocess.run(["qapi-agent", "get", "--json", "--", ref],
                          capture_output=True, text=True)
    if done.returncode != 0:
        error = json.loads(done.stderr)
        raise AgentError(error["error"], error["message"])
    return json.loads(done.stdout)


if __name__ == "__main__":
    try:
        secret = get(sys.argv[1])
    except AgentError as e:
        sys.exit(f"{e.args[0]}: {e.args[1]}")
    print(secret["name"], secret["freshness"], len(secret["value"]))
