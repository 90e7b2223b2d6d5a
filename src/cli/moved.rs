//! Where the pictures of a run lie now, if somebody has moved them. That they are the same is `data/`'s to check.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use pkdgan::config::Config;

/// The folders of pictures that were moved.
#[derive(Args, Clone)]
pub(super) struct Moved {
    /// Where the run's own normal pictures lie now, if they were moved; they must be the same
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// Where its anomalous pictures lie now
    #[arg(long, value_name = "DIR")]
    pub anomalies: Option<PathBuf>,
    /// Where its normal test pictures lie now
    #[arg(long, value_name = "DIR")]
    pub test_normal: Option<PathBuf>,
    /// Where its calibration pictures lie now
    #[arg(long, value_name = "DIR")]
    pub calibration_images: Option<PathBuf>,
}

impl Moved {
    /// Has the configuration of a run name these folders.
    pub(super) fn put(&self, config: &mut Config) -> anyhow::Result<()> {
        let Self { images: normal, anomalies, test_normal, calibration_images: calibration } = self;
        let named = [
            ("--images", normal),
            ("--anomalies", anomalies),
            ("--test-normal", test_normal),
            ("--calibration-images", calibration),
        ];
        let named: Vec<_> = named.into_iter().filter_map(|(flag, folder)| Some((flag, folder.as_ref()?))).collect();
        let Some(images) = &mut config.data.images else {
            if let Some((flag, _)) = named.first() {
                bail!("{flag} is for runs on pictures of your own; this one is on {}", config.data.dataset);
            }
            return Ok(());
        };
        let laid_out = images.layout_folder().map(Path::to_owned);
        for (flag, moved) in named {
            let (folder, of) = match flag {
                "--images" => (&mut images.folder, "normal"),
                "--anomalies" => (&mut images.anomalies, "anomalous"),
                "--test-normal" => (&mut images.test_normal, "normal test"),
                _ => (&mut images.calibration, "calibration"),
            };
            if folder.as_os_str().is_empty() {
                bail!("{flag} names where {of} pictures were moved to; this run has none");
            }
            folder.clone_from(moved);
        }
        // Of a folder that is laid out as before the rest has moved along.
        if let (Some(before), Some(_)) = (laid_out, normal) {
            images.take_layout();
            let top = images.layout_folder().map(Path::to_owned);
            for (folder, named) in [(&mut images.anomalies, anomalies), (&mut images.test_normal, test_normal)] {
                if let (Some(top), None, Ok(inner)) = (&top, named, folder.strip_prefix(&before)) {
                    *folder = top.join(inner);
                }
            }
        }
        Ok(())
    }
}
