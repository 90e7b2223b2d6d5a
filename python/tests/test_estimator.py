"""The scikit-learn estimator: what it trains, and what scikit-learn does with it."""

import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import MODEL, QUICK, ROOT, run, rows

import pkdgan

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install 'pkdgan[sklearn]'")

from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score  # noqa: E402
from sklearn.pipeline import Pipeline, make_pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer  # noqa: E402


def quick(**options):
    return pkdgan.OneClassDetector(**{"settings": QUICK, "device": "cpu", **options})


def crosses(count, seed=0):
    """Images of a bright cross, each in its place, with noise."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 60, (count, 32, 32), dtype=np.uint8)
    for image in images:
        y, x = random.integers(10, 22, 2)
        image[y - 1 : y + 2, 4:28] = image[4:28, x - 1 : x + 2] = 220
    return images


@pytest.fixture(scope="module")
def normal():
    return crosses(60)


@pytest.fixture(scope="module")
def fitted(normal):
    return quick().fit(normal)


def test_it_learns_what_is_normal():
    settings = {"training.steps": 150, "distillation.step1.steps": 150, "distillation.step2.steps": 0}
    model = quick(settings=settings).fit(crosses(120))
    odd = crosses(40, seed=2)
    odd[:, 8:24, 8:24] = 128
    good, bad = model.score_samples(crosses(40, seed=1)), model.score_samples(odd)
    assert np.median(bad) > np.median(good)
    assert (bad[:, None] > good[None]).mean() > 0.9
    verdicts = model.predict(odd)
    np.testing.assert_array_equal(verdicts == -1, model.decision_function(odd) < 0)
    np.testing.assert_array_equal(bad, model.detector_.score_samples(odd))
    assert model.latents(odd).shape[0] == 40 and model.reconstruct(odd).shape == (40, 32, 32)


def test_the_model_is_that_of_the_program(binary, normal, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for place, image in enumerate(normal):
        (folder / f"{place:08}.pnm").write_bytes(b"P5 32 32 255\n" + image.tobytes())
    sets = [f"--set={key}={value}" for key, value in QUICK.items()]
    run(binary, "train", "--images", folder, "--device", "cpu", "--seed", 3, "--out", tmp_path / "run", "--quiet", *sets)
    expected = (tmp_path / "run" / "model.safetensors").read_bytes()
    assert quick(random_state=3).fit(normal).detector_.model_bytes == expected
    assert quick(random_state=3).fit(folder).detector_.model_bytes == expected
    assert quick(random_state=3).fit(sorted(folder.iterdir())).detector_.model_bytes == expected
    assert quick(random_state=4).fit(normal).detector_.model_bytes != expected


def test_a_large_network_scores_as_the_program_does(binary, normal, tmp_path):
    model = quick(stage="teacher", run_folder=tmp_path / "run").fit(normal)
    files = []
    for place, image in enumerate(normal):
        files.append(tmp_path / f"{place:08}.pnm")
        files[-1].write_bytes(b"P5 32 32 255\n" + image.tobytes())
    for path in ("cpu", "op-by-op"):
        expected, p_values = rows(binary, tmp_path / "run", *files, "--path", path)
        detector = pkdgan.Detector.load(tmp_path / "run", path=path)
        np.testing.assert_array_equal(detector.score_samples(normal), expected)
        np.testing.assert_array_equal(detector.score_samples(files), expected)
        np.testing.assert_array_equal(detector.p_values(normal), p_values)
    assert model.detector_.model_bytes == (tmp_path / "run" / "model.safetensors").read_bytes()


def test_colours(normal):
    colours = np.random.default_rng(0).integers(0, 256, (40, 20, 24, 3), dtype=np.uint8)
    model = quick().fit(colours)
    assert model.detector_.image_shape == (32, 32, 3)
    assert model.reconstruct(colours[:3]).shape == (3, 32, 32, 3)
    # A grey picture has three equal colours.
    grey = model.score_samples(colours[..., 0])
    np.testing.assert_array_equal(model.score_samples(np.repeat(colours[..., :1], 3, axis=-1)), grey)


def test_clones_and_pickles(fitted, normal):
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.score_samples(normal), fitted.score_samples(normal))
    assert again.get_params() == fitted.get_params()
    fresh = clone(fitted)
    assert fresh.get_params() == fitted.get_params() and not hasattr(fresh, "detector_")
    with pytest.raises(NotFittedError):
        fresh.predict(normal)
    # The same seed gives the same bytes.
    assert fresh.fit(normal).detector_.model_bytes == fitted.detector_.model_bytes
    assert fresh.set_params(alpha=0.3).alpha == 0.3


def test_pipelines_and_cross_validation(normal):
    X = np.concatenate([normal, 255 - normal[:30]])
    y = np.array([1] * 60 + [-1] * 30)
    brighter = FunctionTransformer(lambda images: np.clip(images.astype(int) + 10, 0, 255).astype(np.uint8))
    pipeline = make_pipeline(brighter, quick())
    pipeline.fit(normal)
    direct = quick().fit(brighter.transform(normal))
    np.testing.assert_array_equal(pipeline.score_samples(normal), direct.score_samples(brighter.transform(normal)))
    assert set(pipeline.predict(X)) <= {-1, 1}
    scores = cross_val_score(Pipeline([("detect", quick())]), X, y, cv=StratifiedKFold(3), scoring="roc_auc")
    assert scores.shape == (3,) and np.isfinite(scores).all()
    cut = StratifiedKFold(3)
    np.testing.assert_array_equal(cross_val_score(quick(), X, y, cv=cut, scoring="roc_auc", n_jobs=2), scores)
    search = GridSearchCV(quick(), {"random_state": [0, 1]}, scoring="roc_auc", cv=StratifiedKFold(2)).fit(X, y)
    assert search.best_params_["random_state"] in (0, 1)
    assert (quick().fit_predict(normal) == quick().fit(normal).predict(normal)).all()


def test_progress_is_told(normal):
    told = []
    thread = threading.get_ident()

    def callback(progress):
        assert threading.get_ident() == thread
        told.append(progress)

    model = quick(callback=callback).fit(normal)
    assert all(sorted(progress) == ["done", "losses", "phase", "total"] for progress in told)
    phases = [progress["phase"] for progress in told]
    assert any(phase.startswith("training teacher") for phase in phases), phases
    assert any(phase.startswith("training step1") for phase in phases), phases
    last = [progress for progress in told if progress["phase"].startswith("training teacher")][-1]
    assert last["done"] == last["total"] == 4 and last["losses"]["reconstruction"] > 0
    assert model.seconds_ > 0 and model.skipped_ == []


def test_a_callback_that_raises_stops_training(normal):
    class Enough(Exception):
        pass

    def callback(progress):
        if progress["phase"].startswith("training"):
            raise Enough("enough")

    model = quick(callback=callback, settings={**QUICK, "training.steps": 5000})
    with pytest.raises(Enough, match="enough"):
        model.fit(normal)
    assert not hasattr(model, "detector_")


def test_ctrl_c_stops_and_another_fit_goes_on(normal, tmp_path):
    folder = tmp_path / "run"
    np.save(tmp_path / "X.npy", normal)
    program = """if True:
        import numpy as np, os, pkdgan, signal, sys
        def callback(progress):
            if progress["phase"].startswith("training") and progress["done"] > 0:
                os.kill(os.getpid(), signal.SIGINT)
        settings = dict(QUICK, **{"training.steps": 600})
        model = pkdgan.OneClassDetector(settings=settings, device="cpu", run_folder=sys.argv[2], callback=callback)
        try:
            model.fit(np.load(sys.argv[1]))
        except KeyboardInterrupt:
            print("interrupted")
    """.replace("QUICK", repr(QUICK))
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "X.npy", folder], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
    assert not (folder / "report.json").exists() and (folder / "checkpoint.safetensors").exists()
    settings = {**QUICK, "training.steps": 600}
    resumed = quick(settings=settings, run_folder=folder).fit(normal)
    assert resumed.detector_.model_bytes == quick(settings=settings).fit(normal).detector_.model_bytes


@pytest.mark.parametrize(
    "options, expected, part",
    [
        ({"stage": "half"}, ValueError, "there is no stage `half`"),
        ({"recipe": "cake"}, ValueError, "unknown recipe `cake`"),
        ({"side": 33}, ValueError, "`data.side` is 33"),
        ({"settings": {"training.stepz": 3}}, ValueError, "did you mean `training.steps`"),
        ({"settings": {"training.steps": "many"}}, ValueError, "training.steps"),
        ({"settings": {"training.learning_rate": -1.0}}, ValueError, "training.learning_rate"),
        ({"device": "tpu"}, ValueError, "there is no device `tpu`"),
        ({"adapter": "no such adapter", "device": "gpu"}, pkdgan.DeviceError, "no usable GPU adapter"),
        ({"random_state": None}, TypeError, "random_state"),
        ({"random_state": 0.5}, TypeError, "random_state"),
        ({"path": "fastest"}, ValueError, "there is no path"),
        ({"callback": 3}, TypeError, "callable"),
    ],
)
def test_options_that_cannot_be(normal, options, expected, part):
    with pytest.raises(expected) as error:
        quick(**options).fit(normal)
    assert type(error.value) is expected and part in str(error.value) and "\n" not in str(error.value)


def test_images_that_cannot_be_trained_on(normal, tmp_path):
    for X, expected, part in [
        (normal[:5], ValueError, "5"),
        (normal.astype(float), TypeError, "dtype float64"),
        (normal[:0], ValueError, "0 sample"),
        (tmp_path / "missing", FileNotFoundError, "no such folder"),
        ([tmp_path / "missing.png"] * 30, FileNotFoundError, "missing.png"),
        (["text"], FileNotFoundError, "text"),
        (None, TypeError, "NoneType"),
    ]:
        with pytest.raises(expected) as error:
            quick().fit(X)
        assert part in str(error.value) and "\n" not in str(error.value)
    # A run folder that holds another run.
    folder = tmp_path / "run"
    quick(run_folder=folder).fit(normal)
    with pytest.raises(ValueError, match="holds another run"):
        quick(run_folder=folder, random_state=5).fit(normal)


def test_scikit_learn_is_only_asked_for_when_it_is_used():
    program = "import sys, pkdgan; pkdgan.Detector.load(sys.argv[1]); print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program, MODEL], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "False\n", done.stderr
