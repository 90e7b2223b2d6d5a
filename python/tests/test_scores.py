"""Scores are those of `pkdgan score`, to the bit, from arrays, files and Pillow's images."""

import pickle
import threading
import time

import numpy as np
import pytest
from conftest import MODEL, QUICK, rows, run, write_idx, write_png

import pkdgan

COUNT = 1000


@pytest.fixture(scope="module", params=["cpu", "fused-f32", "op-by-op"])
def path(request):
    if request.param != "cpu":
        install = "apt-get install -y mesa-vulkan-drivers libvulkan1"
        assert pkdgan.adapters(), f"the WGSL kernels need an adapter: {install}"
    return request.param


def bits(numbers):
    return numbers.view(np.uint32 if numbers.dtype == np.float32 else np.uint64)


def test_scores_are_those_of_the_program(binary, mnist, path, tmp_path):
    images = mnist[:COUNT]
    write_idx(tmp_path / "images-idx3-ubyte", images)
    scores, p_values = rows(binary, MODEL, tmp_path / "images-idx3-ubyte", "--path", path)
    assert len(scores) == COUNT and len(np.unique(scores)) > COUNT / 2
    detector = pkdgan.Detector.load(MODEL, path=path)
    assert detector.path == path
    found = detector.score_samples(images)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(bits(found), bits(scores))
    np.testing.assert_array_equal(detector.p_values(images), p_values)

    files = [write_png(tmp_path / f"{place:04}.png", image) for place, image in enumerate(images)]
    np.testing.assert_array_equal(bits(detector.score_samples(files)), bits(scores))
    np.testing.assert_array_equal(bits(detector.score_samples([str(file) for file in files[:5]])), bits(scores[:5]))


def test_pictures_of_any_kind_are_prepared_as_the_program_does_it(binary, detector, tmp_path):
    random = np.random.default_rng(0)
    for place, shape in enumerate([(28, 28), (50, 33), (61, 40, 3), (28, 28, 3), (31, 64, 4), (7, 9)]):
        image = random.integers(0, 256, shape, dtype=np.uint8)
        file = write_png(tmp_path / f"{place}.png", image)
        expected, _ = rows(binary, MODEL, file, "--path", "cpu")
        assert detector.score_samples(image[None]) == expected, shape
        assert detector.score_samples([image]) == expected, shape
        assert detector.score_samples([file]) == expected, shape


def test_bytes_of_files_have_the_scores_of_the_files(detector, mnist, tmp_path):
    files = [write_png(tmp_path / f"{place:02}.png", image) for place, image in enumerate(mnist[:40])]
    encoded = [file.read_bytes() for file in files]
    expected = detector.score_samples(files)
    np.testing.assert_array_equal(detector.score_samples(encoded), expected)
    np.testing.assert_array_equal(detector.latents(encoded), detector.latents(files))
    with pytest.raises(ValueError, match="X#1: "):
        detector.score_samples([encoded[0], b"no picture"])
    with pytest.raises(TypeError, match="one kind only"):
        detector.score_samples([encoded[0], files[1]])


@pytest.mark.parametrize("threads", [1, 3])
def test_pictures_that_cannot_be_scored_leave_the_others_theirs(mnist, threads, tmp_path):
    detector = pkdgan.Detector.load(MODEL, path="cpu", threads=threads)
    images = mnist[:COUNT]
    expected = detector.score_samples(images)
    scores, errors = detector.score_each(images)
    assert errors == {}
    np.testing.assert_array_equal(bits(scores), bits(expected))
    files = [write_png(tmp_path / f"{place:04}.png", image) for place, image in enumerate(images)]
    bad = [0, 7, 8, 500, COUNT - 1]
    files[0] = tmp_path / "missing.png"
    for place in bad[1:]:
        files[place].write_bytes(files[place].read_bytes()[:100])
    scores, errors = detector.score_each(files)
    assert list(errors) == bad and isinstance(errors[0], FileNotFoundError) and "missing.png" in str(errors[0])
    assert all(isinstance(errors[place], ValueError) and files[place].name in str(errors[place]) for place in bad[1:])
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(scores)), bad)
    good = np.setdiff1d(np.arange(COUNT), bad)
    np.testing.assert_array_equal(bits(scores[good]), bits(expected[good]))
    encoded = [file.read_bytes() if file.exists() else b"" for file in files]
    scores, errors = detector.score_each(encoded)
    assert list(errors) == bad and str(errors[500]).startswith("X#500: ")
    np.testing.assert_array_equal(bits(scores[good]), bits(expected[good]))


def test_pictures_of_pillow(binary, detector, tmp_path):
    Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    random = np.random.default_rng(1)
    images = []
    for shape in [(40, 30), (30, 44, 3), (33, 33, 4)]:
        images.append(Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)))
    images.append(Image.merge("LA", [Image.fromarray(random.integers(0, 256, (20, 28), dtype=np.uint8)) for _ in "LA"]))
    images.append(images[0].convert("1"))
    images.append(images[1].quantize(32))
    deep = random.integers(0, 1 << 16, (25, 35), dtype=np.uint16)
    images.append(Image.fromarray(deep))
    turned = images[0].copy()
    turned.getexif()[0x0112] = 6
    images.append(turned)
    for place, image in enumerate(images):
        exif = {"exif": image.getexif()} if place == len(images) - 1 else {}
        image.save(tmp_path / f"{place}.png", **exif)
    expected, _ = rows(binary, MODEL, tmp_path, "--path", "cpu")
    found = detector.score_samples(images)
    np.testing.assert_array_equal(found, expected)
    opened = [Image.open(tmp_path / f"{place}.png") for place in range(len(images))]
    np.testing.assert_array_equal(detector.score_samples(opened), expected)


def test_arrays_in_any_order_have_the_same_scores(detector, mnist):
    images = mnist[:64]
    expected = detector.score_samples(images)
    np.testing.assert_array_equal(detector.score_samples(np.asfortranarray(images)), expected)
    np.testing.assert_array_equal(detector.score_samples(images[::-1]), expected[::-1])
    np.testing.assert_array_equal(detector.score_samples(images[..., None]), expected)
    np.testing.assert_array_equal(detector.score_samples(list(images)), expected)
    for count in (1, 7, 33):
        np.testing.assert_array_equal(detector.score_samples(images[:count]), expected[:count])
    for threads in (1, 2, 5):
        alone = pkdgan.Detector.load(MODEL, path="cpu", threads=threads)
        assert alone.threads == threads
        np.testing.assert_array_equal(alone.score_samples(images), expected)


def test_verdicts_follow_from_p_values(detector, mnist):
    images = mnist[:500]
    p_values, scores = detector.p_values(images), detector.score_samples(images)
    for alpha in (0.01, 0.05, 0.3):
        verdicts = detector.predict(images, alpha=alpha)
        assert set(verdicts) == {-1, 1}
        np.testing.assert_array_equal(verdicts, np.where(p_values <= alpha, -1, 1))
        np.testing.assert_array_equal(verdicts == -1, detector.decision_function(images, alpha) < 0)
        np.testing.assert_array_equal(verdicts == -1, scores > detector.threshold(alpha))
    np.testing.assert_array_equal(detector.predict(images), detector.predict(images, alpha=0.01))
    # A higher score is more anomalous: its p-value is no higher.
    order = np.argsort(scores)
    assert (np.diff(p_values[order]) <= 0).all()
    assert len(detector.calibration_scores) > 100 and (np.diff(detector.calibration_scores) >= 0).all()


@pytest.mark.parametrize("path", ["cpu", "fused-f32", "op-by-op"])
def test_reconstructions_and_latents(detector, mnist, path):
    images = mnist[:40]
    made = pkdgan.Detector.load(MODEL, path=path)
    reconstructions, latents = made.reconstruct(images), made.latents(images)
    assert reconstructions.shape == images.shape and reconstructions.dtype == np.float32
    assert reconstructions.min() >= 0 and reconstructions.max() <= 255
    # A trained network makes an 8 of most images: closer to the image than to its negative.
    errors = [np.abs(reconstructions - other.astype(np.float32)).mean() for other in (images, 255 - images)]
    assert errors[0] < errors[1] / 2
    assert latents.shape[0] == 40 and latents.ndim == 2 and latents.dtype == np.float32
    np.testing.assert_allclose(reconstructions, detector.reconstruct(images), atol=0.05)
    np.testing.assert_allclose(latents, detector.latents(images), atol=2e-4)


def test_nothing_of_an_array_is_copied(detector, mnist):
    from pkdgan.images import arrays_of

    images = np.ascontiguousarray(mnist[:100])
    ((pixels, wide),) = arrays_of(images)
    assert np.shares_memory(pixels, images) and not wide
    images.flags.writeable = False
    ((pixels, _),) = arrays_of(images)
    assert np.shares_memory(pixels, images)
    assert np.isfinite(detector.score_samples(images)).all()


def test_a_pickled_detector_scores_alike(detector, mnist):
    again = pickle.loads(pickle.dumps(detector))
    assert again.path == "cpu" and again.model_bytes == detector.model_bytes == MODEL.read_bytes()
    np.testing.assert_array_equal(again.score_samples(mnist[:50]), detector.score_samples(mnist[:50]))


def test_other_threads_of_python_go_on_meanwhile(mnist):
    detector = pkdgan.Detector.load(MODEL, path="cpu", threads=1)
    images = np.concatenate([mnist] * 4)
    ticks, done = [time.monotonic()], threading.Event()

    def tick():
        while not done.wait(0.005):
            ticks.append(time.monotonic())

    ticking = threading.Thread(target=tick)
    ticking.start()
    begun = time.monotonic()
    detector.score_samples(images)
    took = time.monotonic() - begun
    done.set()
    ticking.join()
    within = [tick for tick in ticks if begun < tick < begun + took]
    assert len(within) > 5, f"{len(within)} ticks in {took:.2f} s"


def test_detectors_are_used_by_several_threads(detector, mnist):
    expected = detector.score_samples(mnist[:300])
    results = {}

    def score(place):
        results[place] = detector.score_samples(mnist[:300])

    threads = [threading.Thread(target=score, args=(place,)) for place in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert all((results[place] == expected).all() for place in range(4))


def test_pictures_are_scored_by_the_kind_that_is_asked_for(binary, mnist, tmp_path):
    for place, image in enumerate(mnist[:40]):
        (tmp_path / "good").mkdir(exist_ok=True)
        write_png(tmp_path / "good" / f"{place:02}.png", image)
    settings = [f"--set={key}={value}" for key, value in QUICK.items()]
    run(binary, "train", "--images", tmp_path / "good", "--group-by", "none", "--out", tmp_path / "run", "--quiet", *settings)
    write_idx(tmp_path / "images-idx3-ubyte", mnist[40:60])
    seen = set()
    for kind in ["latent", "reconstruction", "neighbour", "features", "combined", "auto", "default"]:
        flags = ["--path", "cpu", "--score", kind]
        scores, p_values = rows(binary, tmp_path / "run", tmp_path / "images-idx3-ubyte", *flags)
        detector = pkdgan.Detector.load(tmp_path / "run", path="cpu", score=kind)
        assert detector.score_kind == kind or kind in ("auto", "default")
        for one in (detector, pickle.loads(pickle.dumps(detector))):
            np.testing.assert_array_equal(one.score_samples(mnist[40:60]), scores)
            np.testing.assert_array_equal(one.p_values(mnist[40:60]), p_values)
        seen.add(scores.tobytes())
    # `auto` and `default` are two of the five.
    assert len(seen) == 5
    with pytest.raises(ValueError, match="colour"):
        pkdgan.Detector.load(tmp_path / "run", score="colour")
    with pytest.raises(ValueError, match="the model lacks"):
        pkdgan.Detector.load(MODEL, score="features")
    with pytest.raises(TypeError, match="score"):
        pkdgan.Detector.load(MODEL, score=3)
