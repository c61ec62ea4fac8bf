#!/usr/bin/env python3
"""check_schema.py SCHEMA: checks the JSON object on standard input.  Exit status 0 valid, 1 not,
77 when it cannot be checked (Debian: python3-jsonschema)."""
import json
import sys

try:
    import jsonschema
except ImportError:
    sys.exit(77)

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
Validator = getattr(jsonschema, "Draft202012Validator", None)
if Validator is None:
    sys.exit(77)
Validator.check_schema(schema)
errors = list(Validator(schema).iter_errors(json.load(sys.stdin)))
for error in errors:
    print("/".join(map(str, error.absolute_path)), error.message, file=sys.stderr)
sys.exit(1 if errors else 0)
