"""What the fuzzing client is to do, and what it found. Runs in the testsuite's own Python 2.7.

    suite.py plan CASES.json WORK URL [PATTERN]...   writes WORK/plan.json, the fuzzing client's configuration
    suite.py report WORK                             prints a summary of WORK/reports; fails if a case did
"""
from __future__ import print_function

import collections
import fnmatch
import json
import os
import sys

AGENT = "echo"
GOOD = ("OK", "INFORMATIONAL")
FATAL = "FAILED"


def plan(config, work, url, patterns):
    with open(config) as file:
        spec = json.load(file)
    # Resolved to plain ids here, because the client never ends when a pattern of its own matches nothing.
    cases = [case for case in known_cases(spec) if not patterns or any(fnmatch.fnmatch(case, p) for p in patterns)]
    if not cases:
        sys.exit("autobahn: none of the cases in {} matches {}".format(config, " ".join(patterns)))
    spec.update({"cases": cases, "outdir": os.path.join(work, "reports"), "servers": [{"agent": AGENT, "url": url}]})
    with open(os.path.join(work, "plan.json"), "w") as file:
        json.dump(spec, file)


def known_cases(spec):
    from autobahntestsuite import case
    from autobahntestsuite.caseset import CaseSet

    every = CaseSet(case.CaseSetname, case.CaseBasename, case.Cases, case.CaseCategories, case.CaseSubCategories)
    return every.parseSpecCases(spec)


def report(work):
    with open(os.path.join(work, "plan.json")) as file:
        planned = json.load(file)["cases"]
    with open(os.path.join(work, "reports", "index.json")) as file:
        results = json.load(file).get(AGENT, {})
    missing = [case for case in planned if case not in results]
    ran = [(case, results[case]) for case in planned if case in results]

    print("{} of {} cases ran".format(len(ran), len(planned)))
    for title, key in (("behavior", "behavior"), ("close", "behaviorClose")):
        counts = collections.Counter(result[key] for _, result in ran)
        print("{:9}".format(title) + ", ".join("{} {}".format(n, name) for name, n in counts.most_common()))
    for case, result in ran:
        if result["behavior"] not in GOOD or result["behaviorClose"] not in GOOD:
            print("  {:8} {}, close {}".format(case, result["behavior"], result["behaviorClose"]))
    if missing:
        print("  {} did not run, {} the first: could the server be reached? See {}".format(
            len(missing), missing[0], os.path.join(work, "client.log")))
    print("details in " + os.path.join(work, "reports", "index.html"))
    return not missing and all(FATAL not in (result["behavior"], result["behaviorClose"]) for _, result in ran)


if __name__ == "__main__":
    if sys.argv[1] == "plan":
        plan(sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:])
    else:
        sys.exit(0 if report(sys.argv[2]) else 1)
