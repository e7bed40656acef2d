"""Compares what a reader has heard with what was published."""

from collections import Counter, defaultdict


class Account:
    """What one reader has heard so far, topic by topic."""

    def __init__(self, topics, may_lose):
        self.is_open, self._may_lose = False, may_lose
        self.counts = Counter()
        self.faults = []
        self._last = dict.fromkeys(topics, 0)
        self._place = defaultdict(dict)
        self._has_gap = set()

    def hear(self, event):
        """Takes one event of the page, in the order in which the page heard it."""
        what, data = event["what"], event["data"]
        self.counts[what] += 1
        if what in ("open", "cut", "gave up", "token over"):
            self.is_open = what == "open"
        if what == "gap":
            self._has_gap.add(data["topic"])
        elif what == "refused" and data["code"] != "token_expired":
            self.faults.append(f"refused: {data}")
        elif what == "message":
            self._hear_message(data, event["id"])

    def _hear_message(self, data, id):
        topic, number = data["topic"], data["message"]["n"]
        place, last = (data["epoch"], data["offset"]), self._last[topic]
        if number in self._place[topic]:
            self.counts["repeated"] += 1
            if self._may_lose and self._place[topic][number][0] != place[0]:
                self.counts["published twice"] += 1
            elif self._place[topic][number] != place:
                self.faults.append(f"{topic} {number} came at {self._place[topic][number]} and again at {place}")
            elif len(self._last) == 1:
                self.faults.append(f"{topic} {number} came twice to a reader of one topic")
            return
        if number > last + 1:
            kind = "missing with a gap" if topic in self._has_gap else "missing"
            self.counts[kind] += number - last - 1
        if number < last:
            self.faults.append(f"{topic} {number} came after {last}")
        if len(self._last) == 1 and id != f"{place[0]}:{place[1]}":
            self.faults.append(f"{topic} {number} at {place} has the id {id}")
        self.counts["different"] += 1
        self._has_gap.discard(topic)
        self._place[topic][number], self._last[topic] = place, number

    def conclude(self, published):
        """Compares the end: `published` has the number of the last publication of each topic."""
        for topic, last in self._last.items():
            if last != published[topic]:
                self.faults.append(f"{topic} ended with {last}, and {published[topic]} was published last")
        if self.counts["missing"]:
            self.faults.append(f"{self.counts['missing']} messages are missing without a gap")
        return self.faults
