"""Publishes by HTTP: HUBCAST_KEY=hc_… python3 publish.py

It needs nothing but Python 3.8 or newer."""

import json
import os
import random
import time
import urllib.error
import urllib.request
import uuid

API = os.environ.get("HUBCAST_API", "http://127.0.0.1:8080/api")


def publish(topic, message, key=None):
    """Publishes. The key makes it safe to try again: the same key takes effect once."""
    body = json.dumps({"topic": topic, "message": message, "key": key or str(uuid.uuid4())}).encode()
    headers = {"Authorization": "Bearer " + os.environ["HUBCAST_KEY"], "Content-Type": "application/json"}
    for attempt in range(1, 6):
        try:
            request = urllib.request.Request(API + "/publish", body, headers)
            with urllib.request.urlopen(request, timeout=5) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            # What is wrong with the request stays wrong; a server that is busy may have time later.
            if refusal.code < 500 and refusal.code != 429 or attempt == 5:
                raise RuntimeError(json.load(refusal)["error"]["reason"]) from refusal
        except OSError:
            if attempt == 5:
                raise
        time.sleep(random.random() * 0.2 * 2**attempt)


if __name__ == "__main__":
    print(publish("orders.eu.created", {"order": 18, "total": 99.5}, "order-18-created"))
