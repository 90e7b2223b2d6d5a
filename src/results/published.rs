//! The figures that papers report, to stand beside ours.
//!
//! P-KDGAN: Zhang, Chen, Sun: *P-KDGAN: Progressive Knowledge Distillation with GANs for One-class Novelty Detection*,
//! IJCAI 2020, arXiv 2007.06963 (students, gains, ratios); the teachers' values are the best of that paper and of Zhang,
//! Dong, Peng, Chen: *New Perspective on Progressive GANs Distillation for One-class Novelty Detection*, arXiv
//! 2109.07295. OCGAN: Perera, Nallapati, Xiang, CVPR 2019. Deep SVDD: Ruff et al., ICML 2018.

/// What a paper reports of one method on one data set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Published {
    /// Name of the data set, as [`crate::data::Dataset::name`] has it.
    pub dataset: &'static str,
    /// The method.
    pub method: &'static str,
    /// The paper.
    pub source: &'static str,
    /// The one of [`super::NETWORKS`] that is its counterpart.
    pub counterpart: Option<&'static str>,
    /// Mean AUROC over the ten classes, in percent.
    pub mean: f64,
    /// AUROC of each normal class, in percent.
    pub classes: Option<[f64; 10]>,
    /// Gain of distillation over the student alone, in points of AUROC.
    pub gain: Option<f64>,
    /// Multiply-accumulates of the teacher to those of the student.
    pub ratio: Option<f64>,
    /// Decimals that the AUROC is printed with.
    pub decimals: usize,
}

const IJCAI: &str = "Zhang, Chen, Sun, IJCAI 2020";
const BEST: &str = "best of IJCAI 2020 and arXiv 2109.07295";
const CVPR: &str = "Perera, Nallapati, Xiang, CVPR 2019";
const ICML: &str = "Ruff et al., ICML 2018";

/// Every figure that we know of.
pub const PUBLISHED: [Published; 9] = [
    student("mnist", 97.25, 1.77, 311.11),
    student("fashion-mnist", 92.93, 1.73, 700.0),
    student("cifar-10", 73.05, 2.44, 24.45),
    teacher("mnist", 97.80),
    teacher("cifar-10", 73.76),
    Published {
        classes: Some([99.8, 99.9, 94.2, 96.3, 97.5, 98.0, 99.1, 98.1, 93.9, 98.1]),
        ..other("mnist", "OCGAN", CVPR, 97.5)
    },
    other("cifar-10", "OCGAN", CVPR, 65.7),
    Published {
        classes: Some([98.0, 99.7, 91.7, 91.9, 94.9, 88.5, 98.3, 94.6, 93.9, 96.5]),
        ..other("mnist", "Deep SVDD", ICML, 94.8)
    },
    other("cifar-10", "Deep SVDD", ICML, 64.8),
];

/// What is reported of the data set called `dataset`.
pub fn published(dataset: &str) -> impl Iterator<Item = &'static Published> {
    PUBLISHED.iter().filter(move |figures| figures.dataset == dataset)
}

const fn other(dataset: &'static str, method: &'static str, source: &'static str, mean: f64) -> Published {
    let (counterpart, classes, gain, ratio) = (None, None, None, None);
    Published { dataset, method, source, counterpart, mean, classes, gain, ratio, decimals: 1 }
}

const fn student(dataset: &'static str, mean: f64, gain: f64, ratio: f64) -> Published {
    let figures = other(dataset, "P-KDGAN student", IJCAI, mean);
    Published { counterpart: Some("student"), gain: Some(gain), ratio: Some(ratio), decimals: 2, ..figures }
}

const fn teacher(dataset: &'static str, mean: f64) -> Published {
    let figures = other(dataset, "P-KDGAN teacher, best value", BEST, mean);
    Published { counterpart: Some("teacher"), decimals: 2, ..figures }
}
