"""Reads the event files of a run back with TensorBoard's own library, and compares them with metrics.jsonl.

    python read_back.py RUN
"""

import json
import struct
import sys
from collections import defaultdict
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def single(value):
    """Rounded to single precision, as events hold it."""
    return struct.unpack("f", struct.pack("f", value))[0]


def main(run):
    expected = defaultdict(lambda: defaultdict(list))
    for line in (run / "metrics.jsonl").read_text().splitlines():
        line = json.loads(line)
        stage, step = line.pop("stage"), line.pop("step")
        line.pop("seconds")
        for name, value in line.items():
            tag = "evaluation/auroc" if name == "auroc" else f"loss/{name}"
            expected[stage][tag].append((step, single(value)))
    assert expected, "the log is empty"
    folders = sorted(path.name for path in (run / "tensorboard").iterdir())
    assert folders == sorted(expected), (folders, sorted(expected))
    for stage, tags in expected.items():
        events = EventAccumulator(str(run / "tensorboard" / stage))
        events.Reload()
        found = set(events.Tags()["scalars"])
        assert found == set(tags) | {"speed/steps_per_second"}, (stage, found)
        for tag, values in tags.items():
            read = [(event.step, event.value) for event in events.Scalars(tag)]
            assert read == values, (stage, tag, read, values)
        print(f"{stage}: {len(tags)} series agree, {sum(map(len, tags.values()))} values")


main(Path(sys.argv[1]))
