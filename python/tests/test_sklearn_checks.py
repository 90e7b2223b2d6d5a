"""scikit-learn's estimator checks. They are made for rows of numbers; `Rows` makes images of those.

`LEFT_OUT` says which do not apply, and why. Whatever scikit-learn yields beside runs here.
"""

import numpy as np
import pytest
from conftest import QUICK

import pkdgan

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install 'pkdgan[sklearn]'")

from sklearn.utils.estimator_checks import check_estimator, check_outliers_train  # noqa: E402
from sklearn.utils.validation import check_is_fitted, validate_data  # noqa: E402

# Check: why it cannot hold.
LEFT_OUT = {
    "check_outliers_train": "it wants score_samples in scikit-learn's sign, and here higher is more anomalous; see below",
}
# Rows of the checks are few, and many of them alike: each counts.
SETTINGS = {**QUICK, "data.images.group_by": "none", "distillation.step1.steps": 2, "training.steps": 2}
OPTIONS = {"settings": SETTINGS, "device": "cpu", "path": "cpu", "threads": 1, "alpha": 0.4}


class Rows(pkdgan.OneClassDetector):
    """The estimator for rows of numbers: each becomes an image of one line, its numbers cut to -3..3 become 0..255.

    Some checks fit on ten rows, and training takes 20 images: rows are repeated until they are as many.
    """

    def fit(self, X, y=None):
        X = validate_data(self, X)
        return super().fit(np.concatenate([X] * -(-20 // len(X))))

    def _images(self, X):
        if hasattr(self, "detector_") or not hasattr(self, "n_features_in_"):
            check_is_fitted(self)
            X = validate_data(self, X, reset=False)
        values = np.clip(X, -3, 3).astype(np.float64)
        return np.ascontiguousarray(((values + 3) * 42.5).astype(np.uint8)[:, None, :])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = False
        tags.input_tags.string = False
        return tags


def test_the_checks_of_scikit_learn():
    results = check_estimator(Rows(**OPTIONS), expected_failed_checks=LEFT_OUT, on_fail=None, on_skip=None)
    failed = [f"{r['check_name']}: {r['exception']!r}" for r in results if r["status"] == "failed"]
    assert not failed, "\n".join(failed)
    names = {result["check_name"] for result in results}
    assert "check_estimators_pickle" in names
    passed = {result["check_name"] for result in results if result["status"] == "passed"}
    assert len(passed) > 30, sorted(passed)
    assert set(LEFT_OUT) <= names, f"not checked any more: {set(LEFT_OUT) - names}"
    skipped = sorted((r["check_name"], str(r["exception"])) for r in results if r["status"] == "skipped")
    print("passed:", len(passed), "skipped by scikit-learn itself:", skipped)


class OtherSign(Rows):
    """The same with scores in scikit-learn's sign, so that `decision_function` is `score_samples - offset_`."""

    def fit(self, X, y=None):
        super().fit(X)
        self.offset_ = -self.detector_.threshold(self.alpha)
        return self

    def score_samples(self, X):
        return -super().score_samples(X)


@pytest.mark.parametrize("readonly_memmap", [False, True])
def test_the_check_of_outlier_detectors_but_for_the_sign(readonly_memmap):
    check_outliers_train("OtherSign", OtherSign(**OPTIONS), readonly_memmap=readonly_memmap)
