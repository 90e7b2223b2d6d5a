//! What a data set is published as: the packed files, where they are served, and how their contents are told.

use std::path::{Path, PathBuf};

use super::search::existing;
use super::{DataError, Dataset, cifar, mnist};

/// Bytes by which a packed file may be longer than its contents: headers, and small files that are not wanted.
pub(super) const SLACK: u64 = 1 << 20;

/// The published files of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The address below which the files are served, with or without a slash at its end.
    pub address: String,
    /// The files, in the order they are fetched.
    pub files: Vec<Packed>,
}

/// A file as it is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Its name, at the address and, but for archives, in the data set's folder.
    pub name: String,
    /// How it is packed.
    pub packing: Packing,
    /// The published md5 sum of the packed file, in hexadecimal.
    pub md5: String,
    /// What it unpacks to: one file of a gzip file, all that are wanted of an archive.
    pub contents: Vec<Content>,
}

/// How a file is packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packing {
    /// One file in gzip, kept packed.
    Gzip,
    /// A tar archive in gzip with its files in one folder of this name, unpacked.
    TarGzip(String),
}

/// An unpacked file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// What tells that it is right.
    pub check: Check,
}

/// What tells that an unpacked file is right, besides its length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// The sha256 sum of the published contents, in hexadecimal.
    Sha256(String),
    /// No sum is held: only that every record of CIFAR-10 begins with a label.
    CifarLabels,
}

impl Manifest {
    /// What a data set is officially published as.
    pub fn official(dataset: Dataset) -> Self {
        match dataset {
            Dataset::Mnist => idx(
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                [
                    "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                    "d53e105ee54ea40749a09fcbcd1e9432",
                    "9fb629c4189551a2d022fa330f9573f3",
                    "ec29112dd5afa0611ce80d1b7f02629c",
                ],
                [
                    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
                ],
            ),
            Dataset::FashionMnist => idx(
                "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
                [
                    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                    "25c81989df183df01b3e8a0aad5dffbe",
                    "bef4ecab320f06d8554ea6380940ec79",
                    "bb300cfdad3c16e7a12a480ee83cd310",
                ],
                [
                    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
                ],
            ),
            Dataset::Cifar10 => Self {
                address: "https://www.cs.toronto.edu/~kriz/".into(),
                files: vec![Packed {
                    name: "cifar-10-binary.tar.gz".into(),
                    packing: Packing::TarGzip(cifar::FOLDER.into()),
                    md5: "c32a1d4ab5d03f1284b67883e8d87530".into(),
                    contents: cifar::FILES.map(batch).into(),
                }],
            },
        }
    }
}

impl Packed {
    /// Where the unpacked or packed file of these contents lies in the folder of the data set.
    ///
    /// # Errors
    /// [`DataError::Missing`] where it is not there.
    pub fn find(&self, folder: &Path, content: &Content) -> Result<PathBuf, DataError> {
        let first = match &self.packing {
            Packing::Gzip => folder.join(&self.name),
            Packing::TarGzip(top) => folder.join(top).join(&content.name),
        };
        existing(first, folder.join(&content.name))
    }

    /// The most bytes that the file may have, packed or unpacked.
    pub(super) fn limit(&self) -> u64 {
        self.contents.iter().fold(SLACK, |sum, content| sum.saturating_add(content.size))
    }
}

/// The four files of MNIST and its kin, with the md5 sums of the packed files and the sha256 sums of the contents.
fn idx(address: &str, md5: [&str; 4], sha256: [&str; 4]) -> Manifest {
    let packed = |file: usize| {
        let (name, size) = (mnist::FILES[file], [47_040_016, 60_008, 7_840_016, 10_008][file]);
        Packed {
            name: format!("{name}.gz"),
            packing: Packing::Gzip,
            md5: md5[file].into(),
            contents: vec![Content { name: name.into(), size, check: Check::Sha256(sha256[file].into()) }],
        }
    };
    Manifest { address: address.into(), files: (0..4).map(packed).collect() }
}

fn batch(name: &str) -> Content {
    let size = (cifar::RECORDS * cifar::RECORD) as u64;
    Content { name: name.into(), size, check: Check::CifarLabels }
}
