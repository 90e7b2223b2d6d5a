//! How well heat maps point at defects whose masks are known, in `report.json`.

use serde::{Deserialize, Serialize};

use super::UnusedFile;
use crate::anomaly_map::LocalizationFigures;

/// What masks say of the heat maps of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LocalizationReport {
    /// Anomalous evaluation pictures with a mask.
    pub masks: u64,
    /// Normal evaluation pictures, all of whose pixels count as normal.
    pub normal: u64,
    /// Anomalous pictures without a mask that can be used, which do not count.
    pub unusable: u64,
    /// The first hundred of these.
    pub listed: Vec<UnusedFile>,
    /// The networks that have heat maps, the run's result last.
    pub networks: Vec<NetworkLocalization>,
}

/// The figures of one network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkLocalization {
    /// Its name.
    pub network: String,
    /// Over all pixels of the network's images.
    #[serde(flatten)]
    pub figures: LocalizationFigures,
}

/// Files that a warning names.
const NAMED: usize = 5;

impl LocalizationReport {
    /// What a user must know of pictures without a mask that can be used.
    pub fn warning(&self) -> Option<String> {
        let named: Vec<String> =
            self.listed.iter().take(NAMED).map(|file| format!("{} ({})", file.path, file.why)).collect();
        let more = if self.unusable > NAMED as u64 { ", and others" } else { "" };
        (self.unusable > 0).then(|| {
            let all = self.masks + self.unusable;
            format!(
                "of {all} anomalous images {} have no mask that can be used, so that they judge no places: {}{more}",
                self.unusable,
                named.join(", ")
            )
        })
    }
}
