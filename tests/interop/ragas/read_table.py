"""Reads a table with Python's own reader of CSV and prints its rows, as JSON."""

import csv
import json
import sys

csv.field_size_limit(sys.maxsize)
with open(sys.argv[1], encoding="utf-8-sig", newline="") as table:
    json.dump(list(csv.DictReader(table)), sys.stdout)
