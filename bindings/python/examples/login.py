#!/usr/bin/env python3
"""Log in with a password that may be changed at any time.

usage: login.py REFERENCE RIGHT-PASSWORD     (the latter stands for a server)
"""
import sys

import qapi_agent


def log_in(password: bytes) -> bool:
    return password == sys.argv[2].encode()


def main() -> int:
    ref = sys.argv[1]
    with qapi_agent.Agent(timeout=5, program="login.py") as agent:
        try:
            with agent.get(ref) as item:
                done = log_in(item.value)
                if not done and agent.reject(ref, item).changed:
                    print("refused; there is a newer one")
                    with agent.get(ref) as newer:
                        done = log_in(newer.value)
        except qapi_agent.NotFound:
            sys.exit("there is no such secret")
        except qapi_agent.AgentError as e:
            sys.exit(f"{e.name}: {e}")
    print("logged in" if done else "not logged in")
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
