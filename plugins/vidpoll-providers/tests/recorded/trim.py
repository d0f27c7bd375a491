"""Make a recording short: `python trim.py FROM.json TO.json` drops what a replay does not read, and logs of headers."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

KEPT = re.compile(
    r"content-(type|length|range|disposition)|accept-ranges|etag|last-modified|location|allow|retry-after.*|openai-.*"
    r"|llm_provider-.*after.*|x-ratelimit-.*|x-request-id"
)


def trimmed(exchange: dict) -> dict:
    answer = exchange.get("response")
    if answer:
        pairs = answer["headers"].items() if isinstance(answer["headers"], dict) else answer["headers"]
        kept = {name: value for name, value in pairs if KEPT.fullmatch(name.lower())}
        rest = {name: answer[name] for name in ("status", "body", "body_len", "first64") if name in answer}
        answer = {**rest, "headers": kept}
    told = {name: exchange[name] for name in ("name", "t_s", "request") if name in exchange}
    return {**told, "response": answer}


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    said = json.loads(source.read_text(encoding="utf-8"))
    short = {**said, "exchanges": [trimmed(each) for each in said["exchanges"]]}
    target.write_text(json.dumps(short, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
