"""The smallest NetClaw host: load every skill, say what is wrong with it, run one action, print its envelope.

python host.py ACTION ['{"argument": "value"}']
"""

import json
import sys

from netclaw_opencode.host import Host


def main(action: str, arguments: str = "{}") -> int:
    with Host() as host:
        for problem in host.problems:
            print(problem, file=sys.stderr)
        envelope = host.call(action, **json.loads(arguments))
    print(json.dumps(envelope, indent=2, ensure_ascii=False))
    return 0 if envelope["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
