# SPDX-License-Identifier: Apache-2.0
"""What the checks of models have in common: a line of JSON for each folder, whatever happens to it."""
import json
import sys


def outcome(folder, tolerance, largest, count, what):
    """What is said of a model of which `count` things were compared (`what` says which), and differ by `largest` at the most."""
    return {
        "name": folder,
        "passed": count > 0 and largest <= tolerance,
        "detail": f"{what}, largest difference {largest:.2e}",
    }


def report(check, folders=None):
    """Prints what `check` says of each folder; by itself, of those of the command line."""
    for path in sys.argv[1:] if folders is None else folders:
        try:
            result = check(path)
        except Exception as error:  # Whatever stops one model must not hide the others.
            result = {"name": path, "passed": False, "detail": f"{type(error).__name__}: {error}"}
        print(json.dumps(result), flush=True)
