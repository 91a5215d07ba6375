"""What Kubernetes says of objects: a list as JSON on standard input, a list of complaints (or null) on standard output."""

import json
import sys

import kubernetes_validate


def complaint(value):
    try:
        kubernetes_validate.validate(value, "1.37", strict=True)
        return None
    except kubernetes_validate.ValidationError as error:
        return f"{'/'.join(str(part) for part in error.path)}: {error.message}"


json.dump([complaint(each) for each in json.load(sys.stdin)], sys.stdout)
