"""Loads a dataset with Ragas and prints what it understood, as JSON."""

import json
import sys

from ragas import EvaluationDataset

dataset = EvaluationDataset.from_jsonl(sys.argv[1])
json.dump({"features": dataset.features(), "samples": [sample.model_dump() for sample in dataset.samples]}, sys.stdout)
