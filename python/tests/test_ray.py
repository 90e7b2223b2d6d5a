"""pkdgan.ray on a cluster of two nodes of one CPU each, on this machine."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import MODEL, QUICK, ROOT, UNCALIBRATED, run, write_idx, write_png

import pkdgan

ray = pytest.importorskip("ray", reason="Ray is not installed")
pytest.importorskip("ray.data", reason="Ray's extra `data` is not installed")

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402

import pkdgan.ray  # noqa: E402

#: Seconds after which something hangs, on however slow a machine.
LONG = 240
#: Of each kind so many pictures.
COUNT = 60


@pytest.fixture(scope="module")
def cluster():
    node = dict(num_cpus=1, object_store_memory=150_000_000, include_dashboard=False)
    made = Cluster(initialize_head=True, head_node_args=node)
    made.add_node(**node)
    # Workers cannot import the tests.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    ray.init(made.address, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    made.node = node
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture(autouse=True)
def nothing_hangs():
    """Ends the tests where one takes too long: Ray waits for nodes for ever."""
    timer = threading.Timer(LONG, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    yield
    timer.cancel()


def wait_for(what, condition):
    until = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < until, f"no {what} after {LONG} s"
        time.sleep(0.05)


def held(rows, by="path"):
    """Rows by their name; none may be there twice."""
    rows = rows.to_pylist() if isinstance(rows, pa.Table) else rows
    named = {row[by]: row for row in rows}
    assert len(named) == len(rows)
    return named


def check(row, score, p_value, verdict):
    assert row["error"] is None
    assert np.float32(row["score"]).view(np.uint32) == score.view(np.uint32)
    assert np.float64(row["p_value"]) == p_value and row["verdict"] == ("normal" if verdict == 1 else "anomalous")


def test_rows_are_those_of_the_detector(cluster, detector, mnist, tmp_path):
    images = mnist[:COUNT]
    expected = list(zip(detector.score_samples(images), detector.p_values(images), detector.predict(images, alpha=0.2)))
    assert len({verdict for *_, verdict in expected}) == 2
    files = [write_png(tmp_path / f"{place:02}.png", image) for place, image in enumerate(images)]

    # Files by path, some of which are none: each is a row with the reason.
    cut = tmp_path / "cut.png"
    cut.write_bytes(files[0].read_bytes()[:200])
    text = tmp_path / "text.png"
    text.write_text("no picture")
    paths = [str(path) for path in [*files, cut, text, tmp_path / "missing.png"]]
    order = np.random.default_rng(0).permutation(len(paths))
    dataset = ray.data.from_items([{"path": paths[place]} for place in order], override_num_blocks=4)
    done = pkdgan.ray.score(dataset, MODEL, alpha=0.2, batch_size=7, output=tmp_path / "rows")
    assert done.columns() == ["path", "score", "p_value", "verdict", "error"]
    written = pq.read_table(tmp_path / "rows")
    assert written.schema.types == [pa.string(), pa.float32(), pa.float64(), pa.string(), pa.string()]
    rows = held(written)
    assert set(rows) == set(paths)
    for path, wanted in zip(files, expected):
        check(rows[str(path)], *wanted)
    for path, said in [(cut, "cut.png"), (text, "text.png"), (tmp_path / "missing.png", "cannot be read")]:
        row = rows[str(path)]
        assert said in row["error"] and row["score"] is row["p_value"] is row["verdict"] is None
    with pytest.raises(FileExistsError, match="has files already"):
        pkdgan.ray.score(dataset, MODEL, output=tmp_path / "rows")

    # Encoded images in Parquet, with another column that goes along and pictures that are none.
    encoded = [file.read_bytes() for file in files] + [cut.read_bytes(), None]
    table = pa.table({"jpeg": pa.array(encoded, pa.binary()), "camera": [f"c{place}" for place in range(len(encoded))]})
    pq.write_table(table, tmp_path / "encoded.parquet", row_group_size=20)
    dataset = ray.data.read_parquet(str(tmp_path / "encoded.parquet"))
    rows = held(pkdgan.ray.score(dataset, detector, images="jpeg", keep=["camera"], alpha=0.2).take_all(), "camera")
    assert len(rows) == COUNT + 2
    for place, wanted in enumerate(expected):
        check(rows[f"c{place}"], *wanted)
        assert rows[f"c{place}"]["path"] is None
    assert rows[f"c{COUNT}"]["score"] is None and "damaged" in rows[f"c{COUNT}"]["error"]
    assert rows[f"c{COUNT + 1}"]["error"] == "there is no image: null"

    # Pixels, of a model given by its bytes.
    dataset = ray.data.from_numpy(images)
    rows = pkdgan.ray.score(dataset, MODEL.read_bytes(), alpha=0.2).take_all()
    assert sorted(row["score"] for row in rows) == sorted(float(score) for score, *_ in expected)


def test_batches_of_every_kind(detector, mnist):
    """What an actor makes of a batch, without a cluster."""
    from pkdgan.ray.scoring import _Scorer
    from ray.data.extensions import ArrowTensorArray

    scorer = _Scorer(MODEL.read_bytes(), dict(path="cpu", threads=1), (None, None), None, ())
    random = np.random.default_rng(0)
    mixed = [random.integers(0, 256, shape, dtype=np.uint8) for shape in [(28, 28), (40, 31), (9, 17)]]
    made = scorer(pa.table({"data": ArrowTensorArray.from_numpy(mixed), "path": ["a", "b", "c"]}))
    assert made["path"].to_pylist() == ["a", "b", "c"]
    assert made["score"].to_pylist() == [float(detector.score_samples([image])[0]) for image in mixed]

    # As Hugging Face writes it.
    picture = b"P5 28 28 255\n" + mnist[0].tobytes()
    structs = [dict(bytes=picture, path="a.pgm"), dict(bytes=b"none", path="b.pgm"), dict(bytes=None, path="c.pgm")]
    made = scorer(pa.table({"image": structs})).to_pylist()
    assert [row["path"] for row in made] == ["a.pgm", "b.pgm", "c.pgm"]
    assert made[0]["score"] == float(detector.score_samples(mnist[:1])[0])
    assert [row["error"] is None for row in made] == [True, False, False] and "X#" not in made[1]["error"]

    with pytest.raises(TypeError, match="uint8"):
        scorer(pa.table({"data": ArrowTensorArray.from_numpy(np.zeros((2, 28, 28), np.float32))}))
    with pytest.raises(TypeError, match="int64"):
        scorer(pa.table({"image": [1, 2]}))
    with pytest.raises(ValueError, match="columns a, b; name the one with the images: images='a'"):
        scorer(pa.table({"a": [1], "b": [2]}))

    # Ray may hand over a batch without rows.
    assert scorer(pa.table({"data": ArrowTensorArray.from_numpy(mnist[:1])}).slice(0, 0)).num_rows == 0

    # By a threshold, and without calibration.
    threshold = float(np.median(detector.score_samples(mnist[:20])))
    by_threshold = _Scorer(UNCALIBRATED.read_bytes(), dict(path="cpu", threads=1), (None, threshold), None, ())
    none = _Scorer(UNCALIBRATED.read_bytes(), dict(path="cpu", threads=1), (None, None), None, ())
    batch = pa.table({"image": ArrowTensorArray.from_numpy(mnist[:20])})
    scores = pkdgan.Detector.load(UNCALIBRATED, path="cpu").score_samples(mnist[:20])
    for scorer, verdicts in [
        (by_threshold, np.where(scores > np.float32(threshold), "anomalous", "normal").tolist()),
        (none, [None] * 20),
    ]:
        made = scorer(batch)
        assert made["score"].to_pylist() == scores.tolist() and made["verdict"].to_pylist() == verdicts
        assert made["p_value"].null_count == 20


def test_options_that_cannot_be(cluster, tmp_path):
    dataset = ray.data.from_items([{"path": "a.png", "score": 1}])
    for said, options in [
        ("give one of them", dict(alpha=0.1, threshold=1.0)),
        ("batch_size is 0", dict(batch_size=0)),
        ("has path, score", dict(images="jpeg")),
        ("which the rows have anyway", dict(keep=["score"])),
        ("a false-alarm rate of", dict(alpha=1e-9)),
    ]:
        with pytest.raises(ValueError, match=said):
            pkdgan.ray.score(dataset, MODEL, **options)
    with pytest.raises(FileNotFoundError, match="missing.safetensors"):
        pkdgan.ray.score(dataset, "missing.safetensors")
    with pytest.raises(TypeError, match="the model is a int"):
        pkdgan.ray.score(dataset, 1)
    no_name = "cannot be the name"
    cases = [("folders is empty", {}), (no_name, {"a/b": "x"}), (no_name, {"": "x"}), (no_name, {".a": "x"})]
    for said, folders in cases:
        with pytest.raises(ValueError, match=said):
            pkdgan.ray.fit_many(folders, tmp_path)
    with pytest.raises(ValueError, match="--shard"):
        pkdgan.ray.reproduce(["--shard", "1/2"])
    with pytest.raises(FileNotFoundError, match="install it on every node"):
        pkdgan.ray.reproduce(program=tmp_path / "pkdgan")


class Gate:
    """Makes images of numbers. From half of them on it waits until it is let through, and says on which node."""

    def __init__(self, folder, half):
        self.folder, self.half = folder, half

    def __call__(self, batch):
        if batch["id"].max() >= self.half and not (self.folder / "go").exists():
            (self.folder / f"waits-{ray.get_runtime_context().get_node_id()}").touch()
            wait_for("way through the gate", (self.folder / "go").exists)
        return {"id": batch["id"], "image": np.load(self.folder / "images.npy", mmap_mode="r")[batch["id"]]}


def test_a_node_dies_in_mid_job(cluster, detector, mnist, tmp_path):
    count = 320
    np.save(tmp_path / "images.npy", mnist[:count])
    node = cluster.worker_nodes and list(cluster.worker_nodes)[0] or cluster.add_node(**cluster.node)
    cluster.wait_for_nodes()
    dataset = ray.data.range(count, override_num_blocks=8).map_batches(Gate(tmp_path, count // 2))
    failed = []

    def work():
        try:
            pkdgan.ray.score(dataset, MODEL, keep=["id"], batch_size=16, output=tmp_path / "rows")
        except BaseException as error:
            failed.append(error)

    working = threading.Thread(target=work, daemon=True)
    working.start()
    # Half of the images may be scored; the node that will die has a task of the other half.
    wait_for("task on the node", lambda: failed or (tmp_path / f"waits-{node.node_id}").exists())
    assert not failed, failed
    cluster.remove_node(node, allow_graceful=False)
    (tmp_path / "go").touch()
    working.join(LONG)
    assert not working.is_alive() and not failed, failed
    rows = held(pq.read_table(tmp_path / "rows"), "id")
    assert set(rows) == set(range(count))
    asked = (detector.score_samples, detector.p_values, detector.predict)
    scores, p_values, verdicts = (ask(mnist[:count]) for ask in asked)
    for place in range(count):
        check(rows[place], scores[place], p_values[place], verdicts[place])


def test_many_trainings_go_on_after_a_kill(cluster, mnist, tmp_path):
    for name, first in (("bolt", 0), ("nut", 40)):
        (tmp_path / name).mkdir()
        for place, image in enumerate(mnist[first : first + 40]):
            write_png(tmp_path / name / f"{place}.png", image)
    settings = {**QUICK, "distillation.step1.steps": 3000}
    folders = {name: tmp_path / name for name in ("bolt", "nut", "none")}
    out = tmp_path / "runs"
    teacher, killed, heard = out / "bolt" / "teacher.safetensors", [], []

    def kill(event):
        heard.append((event["name"], event["phase"]))
        if event["name"] == "bolt" and not killed and teacher.exists() and "result" not in event:
            killed.append(teacher.stat().st_mtime_ns)
            os.kill(int((out / "bolt" / ".lock").read_text()), signal.SIGKILL)

    results = pkdgan.ray.fit_many(folders, out, seed=3, settings=settings, callback=kill)
    assert killed, heard
    assert list(results) == list(folders) and "no such folder" in results["none"].error
    for name in ("bolt", "nut"):
        result = results[name]
        assert result.error is None and result.seed == pkdgan.ray.seed_of(3, name) and result.calibration_images == 8
        assert f"seed = {result.seed}" in (out / name / "config.toml").read_text()
        assert (name, "done") in heard
        trained = pkdgan.Detector.load(result.model, path="cpu")
        assert trained.threshold() == result.threshold and len(trained.calibration_scores) == 8
    assert ("none", "failed") in heard
    # It went on: the teacher is the one of before, and the run has had two processes.
    assert teacher.stat().st_mtime_ns == killed[0]
    assert json.loads((out / "bolt" / "processes.json").read_text())["processes"] == 2
    # The detector is the one of a training that nothing has stopped, on this process.
    alone = pkdgan.OneClassDetector(settings=settings, random_state=results["bolt"].seed, device="cpu")
    assert alone.fit(tmp_path / "bolt").detector_.model_bytes == Path(results["bolt"].model).read_bytes()

    written = Path(results["nut"].model).stat().st_mtime_ns
    assert pkdgan.ray.fit_many(folders, out, seed=3, settings=settings) == results
    assert Path(results["nut"].model).stat().st_mtime_ns == written


@pytest.fixture(scope="module")
def small_data(mnist, tmp_path_factory):
    """MNIST with so few test images that scoring them takes no time."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "mnist").mkdir()
    for file in (ROOT / "data" / "mnist").glob("train-*"):
        (folder / "mnist" / file.name).symlink_to(file)
    write_idx(folder / "mnist" / "t10k-images-idx3-ubyte", mnist[:200])
    labels = subprocess.run(
        ["gzip", "-dc", ROOT / "data" / "mnist" / "t10k-labels-idx1-ubyte.gz"], capture_output=True, check=True
    ).stdout
    header = b"".join(number.to_bytes(4, "big") for number in (0x0801, 200))
    (folder / "mnist" / "t10k-labels-idx1-ubyte").write_bytes(header + labels[8:208])
    return folder


def test_cells_of_a_grid(cluster, binary, small_data, tmp_path):
    grid = ["--classes", "2,5", "--seeds", "0", "--networks", "student", "--device", "cpu", "--data-dir", small_data]
    grid += ["--set", "student.alone.steps=4", "--set", "student.alone.batch_size=4"]
    folders, heard = dict(runs=tmp_path / "runs", results=tmp_path / "results"), []
    rows = pkdgan.ray.reproduce(grid, program=binary, callback=heard.append, **folders)
    found = [(row["normal"], row["network"], row["steps"]) for row in rows]
    assert found == [(2, "student-alone", 4), (5, "student-alone", 4)]
    assert sorted(event["part"] for event in heard) == ["mnist class 2 seed 0", "mnist class 5 seed 0"]
    assert {event["state"] for event in heard} == {"done"} and heard[-1]["done"] == heard[-1]["total"] == 2
    assert list(tmp_path.glob("results/*/table.md"))

    # As the program itself has them; what is done is taken as it is.
    others = ["--runs", tmp_path / "alone", "--results", tmp_path / "other"]
    alone = json.loads(run(binary, "reproduce", *grid, *others, "--json", "-q"))
    assert [row["auroc"] for row in alone] == [row["auroc"] for row in rows]
    reports = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/**/report.json")}
    assert len(reports) == 2
    assert pkdgan.ray.reproduce(grid, program=binary, **folders) == rows
    assert {path: path.stat().st_mtime_ns for path in reports} == reports
    with pytest.raises(ValueError, match="class"):
        pkdgan.ray.reproduce(["--classes", "x"], program=binary, **folders)


def test_the_commands(cluster, detector, mnist, tmp_path):
    from pkdgan.ray.__main__ import main

    (tmp_path / "in" / "deeper").mkdir(parents=True)
    files = [write_png(tmp_path / "in" / "deeper" / f"{place}.png", image) for place, image in enumerate(mnist[:30])]
    (tmp_path / "in" / "notes.txt").write_text("left out")
    command = [sys.executable, "-m", "pkdgan.ray", "--address", cluster.address, "-q"]
    process = subprocess.run(
        [*command, "score", MODEL, tmp_path / "in", "-o", tmp_path / "rows", "--alpha", "0.2"],
        capture_output=True, text=True, timeout=LONG,
    )
    assert process.returncode == 0, process.stderr
    verdicts = detector.predict(mnist[:30], alpha=0.2)
    counts = json.loads(process.stdout)
    assert (counts["rows"], counts["anomalous"], counts["failed"]) == (30, int((verdicts == -1).sum()), 0)
    assert set(held(pq.read_table(tmp_path / "rows"))) == {str(file) for file in files}
    assert main(["score", str(MODEL), str(tmp_path / "rows"), "-o", str(tmp_path / "rows")]) == 1
    assert main(["score", str(MODEL), str(tmp_path / "missing"), "-o", str(tmp_path / "more")]) == 1
    assert main(["fit-many", "bolt", "--out", str(tmp_path / "runs")]) == 2
    for arguments in (["--help"], ["score", "--help"], ["fit-many", "--help"], ["reproduce", "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
    with pytest.raises(SystemExit) as ended:
        main(["score"])
    assert ended.value.code == 2
