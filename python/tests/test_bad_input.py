"""What cannot be used raises an exception of the right class with one line, and nothing panics."""

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import MODEL, UNCALIBRATED, write_png

import pkdgan
from pkdgan import _pkdgan

GOOD = np.zeros((2, 28, 28), np.uint8)

ARRAYS = [
    (GOOD.astype(np.float32), TypeError, "dtype float32"),
    (GOOD.astype(np.int64), TypeError, "dtype int64"),
    (GOOD.astype(bool), TypeError, "dtype bool"),
    (GOOD.astype(complex), TypeError, "dtype complex128"),
    (GOOD[0], ValueError, "X[None]"),
    (GOOD[0, 0], ValueError, "[N, H, W]"),
    (np.uint8(3), ValueError, "has shape ()"),
    (GOOD[:, None], ValueError, "channels come last"),
    (np.zeros((2, 28, 28, 2), np.uint8), ValueError, "2 channels"),
    (np.zeros((2, 3, 4, 5, 1), np.uint8), ValueError, "[N, H, W, C]"),
    (GOOD[:0], ValueError, "0 sample"),
    (np.zeros((2, 0, 28), np.uint8), ValueError, "no pixels"),
    (np.zeros((2, 28, 0, 3), np.uint8), ValueError, "no pixels"),
    ([], ValueError, "0 sample"),
    ((), ValueError, "0 sample"),
    ([GOOD[0], GOOD[0, :20]], ValueError, "X[1] has (20, 28)"),
    ([GOOD[0], "a.png"], TypeError, "X[1]"),
    (["a.png", GOOD[0]], TypeError, "X[1] is a ndarray"),
    (["a.png", None], TypeError, "X[1] is a NoneType"),
    ("a.png", TypeError, "list of paths"),
    (None, TypeError, "NoneType"),
    (7, TypeError, "int"),
    ([1, 2], TypeError, None),
    ([[1, "x"]], TypeError, None),
    ([None], TypeError, "NoneType"),
    ({"a": GOOD}, TypeError, "dict"),
    (np.zeros((1, 30_000, 1), np.uint8), ValueError, "X#0: 1 x 30000 pixels"),
]


def one_line(error, *parts):
    text = str(error.value)
    assert text and "\n" not in text and len(text) < 400, text
    for part in parts:
        assert part is None or part in text, text


@pytest.mark.parametrize("place", range(len(ARRAYS)))
@pytest.mark.parametrize("method", ["score_samples", "p_values", "predict", "decision_function", "reconstruct", "latents"])
def test_what_is_no_image(detector, place, method):
    X, expected, part = ARRAYS[place]
    with pytest.raises(expected) as error:
        getattr(detector, method)(X)
    assert type(error.value) is expected
    one_line(error, part)


def test_pictures_of_pillow_that_have_no_pixels_of_ours(detector):
    Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    with pytest.raises(TypeError) as error:
        detector.score_samples([Image.new("F", (28, 28))])
    one_line(error, "mode F")
    with pytest.raises(TypeError) as error:
        detector.score_samples(Image.new("L", (28, 28)))
    one_line(error, "list of images")
    with pytest.raises(TypeError) as error:
        detector.score_samples([Image.new("L", (28, 28)), "a.png"])
    one_line(error, "X[1]")


def test_files_that_are_no_pictures(detector, tmp_path):
    good = write_png(tmp_path / "good.png", GOOD[0])
    cut = tmp_path / "cut.png"
    cut.write_bytes(good.read_bytes()[:-20])
    text, empty = tmp_path / "text.png", tmp_path / "empty.png"
    text.write_text("no picture")
    empty.touch()
    for file, expected, part in [
        (tmp_path / "missing.png", FileNotFoundError, "cannot be read"),
        (tmp_path, IsADirectoryError, "cannot be read"),
        (good / "below", NotADirectoryError, "cannot be read"),
        (cut, ValueError, "damaged"),
        (text, ValueError, "no picture of a known format"),
        (empty, ValueError, "empty file"),
    ]:
        with pytest.raises(expected) as error:
            detector.score_samples([good, file])
        assert type(error.value) is expected
        one_line(error, str(file), part)
    # The first of several.
    with pytest.raises(ValueError) as error:
        detector.score_samples([good] * 200 + [cut, text])
    one_line(error, "cut.png")


def test_files_that_are_no_models(tmp_path):
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(MODEL.read_bytes()[:-1])
    changed = bytearray(MODEL.read_bytes())
    changed[-5] ^= 1
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
    (tmp_path / "folder").mkdir()
    (tmp_path / "nothing").touch()
    for file, expected, part in [
        (tmp_path / "missing", FileNotFoundError, "check that it exists"),
        (tmp_path / "folder", FileNotFoundError, "lacks"),
        (damaged, ValueError, "the file is damaged"),
        (foreign, ValueError, None),
        (tmp_path / "nothing", ValueError, "too short"),
    ]:
        with pytest.raises(expected) as error:
            pkdgan.Detector.load(file)
        assert type(error.value) is expected
        one_line(error, str(file), part)
    with pytest.raises(ValueError) as error:
        pkdgan.Detector.from_bytes(bytes(changed), name="here")
    one_line(error, "here", "checksum")
    for wrong in (None, 3, MODEL.read_bytes(), GOOD):
        with pytest.raises(TypeError) as error:
            pkdgan.Detector.load(wrong)
        one_line(error)
    with pytest.raises(TypeError) as error:
        pkdgan.Detector.from_bytes("text")
    one_line(error)
    with pytest.raises(TypeError) as error:
        pkdgan.Detector(3)
    one_line(error, "Detector.load")


@pytest.mark.parametrize(
    "options, expected, part",
    [
        ({"path": "fastest"}, ValueError, "there is no path `fastest`"),
        ({"path": 3}, TypeError, "path is a int"),
        ({"threads": 0}, ValueError, "threads is 0"),
        ({"threads": -1}, ValueError, "threads is -1"),
        ({"threads": 5000}, ValueError, "threads is 5000"),
        ({"threads": "two"}, TypeError, "threads is a str"),
        ({"threads": True}, TypeError, "threads is a bool"),
        ({"adapter": 3.5}, TypeError, "adapter is a float"),
        ({"adapter": "no such adapter"}, pkdgan.DeviceError, "no usable GPU adapter"),
        ({"adapter": 99, "path": "op-by-op"}, pkdgan.DeviceError, "no usable GPU adapter"),
        ({"adapter": 0, "path": "cpu"}, ValueError, "uses no adapter"),
    ],
)
def test_options_that_cannot_be(options, expected, part):
    with pytest.raises(expected) as error:
        pkdgan.Detector.load(MODEL, **options)
    one_line(error, part)


@pytest.mark.parametrize("alpha", [0, 1, -0.5, 2.0, float("nan"), float("inf"), 1e-9])
def test_rates_that_cannot_be_promised(detector, alpha):
    for method in (detector.predict, detector.decision_function):
        with pytest.raises(ValueError) as error:
            method(GOOD, alpha=alpha)
        one_line(error, "false-alarm rate")
    with pytest.raises(TypeError):
        detector.predict(GOOD, alpha="low")


def test_a_model_that_is_not_calibrated_scores_all_the_same():
    detector = pkdgan.Detector.load(UNCALIBRATED, path="cpu")
    assert detector.score_samples(GOOD).shape == (2,) and detector.calibration_scores is None
    for method in (detector.p_values, detector.predict, detector.decision_function):
        with pytest.raises(ValueError) as error:
            method(GOOD)
        one_line(error, "not calibrated")


def test_a_panic_is_an_exception():
    for on_thread in (False, True):
        with pytest.raises(pkdgan.InternalError) as error:
            _pkdgan._panic_on_purpose(on_thread)
        one_line(error, "on purpose", "please report this")
    assert issubclass(pkdgan.InternalError, RuntimeError) and issubclass(pkdgan.DeviceError, RuntimeError)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_does_not_wait_for_threads_that_it_lacks():
    program = '''if True:
        import os, sys, numpy as np, pkdgan
        X = np.zeros((100, 28, 28), np.uint8)
        student = pkdgan.Detector.load(sys.argv[1], path="cpu")
        expected = student.score_samples(X)
        graph = pkdgan.Graph()
        graph.output("y", graph.relu(graph.input("x", (1, 1, 1, 1))))
        graph.run({"x": [[[[1]]]]})
        if os.fork() == 0:
            # A small network takes threads of its own.
            assert (student.score_samples(X) == expected).all()
            for work in (lambda: graph.run({"x": [[[[1]]]]}), lambda: pkdgan.Detector.load(sys.argv[1])):
                try:
                    work()
                except RuntimeError as error:
                    print(error, flush=True)
            os._exit(0)
        os.wait()
        graph.run({"x": [[[[1]]]]})
    '''
    done = subprocess.run([sys.executable, "-c", program, MODEL], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.count("was forked from one") == 2, (done.stdout, done.stderr)


def test_ctrl_c_stops_scoring(mnist):
    detector = pkdgan.Detector.load(MODEL, path="cpu", threads=1)
    images = np.concatenate([mnist] * 20)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        detector.score_samples(images)
    timer.join()
    # The detector is as good as before.
    assert np.isfinite(detector.score_samples(mnist[:10])).all()
