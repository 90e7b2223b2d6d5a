//! Where the pictures of a run lie now, if somebody has moved them. That they are the same is `data/`'s to check.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use pkdgan::config::Config;

/// The folders of pictures that were moved.
#[derive(Args, Clone)]
pub(super) struct Moved {
    /// Where the run's own normal pictures lie now, if they were moved; they must be the same
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Where its anomalous pictures lie now
    #[arg(long, value_name = "DIR")]
    anomalies: Option<PathBuf>,
}

impl Moved {
    /// The folders that were named.
    pub(super) fn new(images: Option<PathBuf>, anomalies: Option<PathBuf>) -> Self {
        Self { images, anomalies }
    }

    /// Has the configuration of a run name these folders.
    pub(super) fn put(&self, config: &mut Config) -> anyhow::Result<()> {
        let named = [("--images", &self.images), ("--anomalies", &self.anomalies)];
        let Some(images) = &mut config.data.images else {
            if let Some((flag, _)) = named.iter().find(|(_, folder)| folder.is_some()) {
                bail!("{flag} is for runs on pictures of your own; this one is on {}", config.data.dataset);
            }
            return Ok(());
        };
        if self.anomalies.is_some() && images.anomalies.as_os_str().is_empty() {
            bail!("--anomalies names where anomalous pictures were moved to; this run has none");
        }
        for (folder, moved) in [(&mut images.folder, &self.images), (&mut images.anomalies, &self.anomalies)] {
            if let Some(moved) = moved {
                folder.clone_from(moved);
            }
        }
        Ok(())
    }
}
