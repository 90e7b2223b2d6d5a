//! What drivers make of kernels, kept from one run to the next where an adapter offers it.

use std::fmt::Debug;
use std::sync::Arc;

use super::reports::with_error_scope;

/// Keeps bytes under a key: a driver's, so they must come back as they were, or not at all.
pub trait PipelineStore: Debug + Send + Sync {
    /// What was kept, if it is whole.
    fn read(&self, key: &str) -> Option<Vec<u8>>;

    /// Keeps bytes in place of those before. What cannot be kept is compiled again next time.
    fn write(&self, key: &str, data: &[u8]);
}

/// A store, and what a driver has in it.
pub(super) struct PipelineCache {
    store: Arc<dyn PipelineStore>,
    key: String,
    cache: wgpu::PipelineCache,
    /// What was read or written last.
    kept: Option<Vec<u8>>,
}

impl PipelineCache {
    /// Opens what is kept for a device of an adapter; none where the adapter offers no such cache.
    #[allow(unsafe_code, reason = "a driver reads the bytes and trusts them")]
    pub(super) fn open(
        device: &wgpu::Device,
        adapter: &wgpu::AdapterInfo,
        store: &Arc<dyn PipelineStore>,
    ) -> Option<Self> {
        let key = wgpu::util::pipeline_cache_key(adapter)?;
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let kept = store.read(&key);
        let descriptor =
            wgpu::PipelineCacheDescriptor { label: Some("pipelines"), data: kept.as_deref(), fallback: true };
        // SAFETY: the store gives back, whole, what `get_data` gave it; wgpu leaves out what is of another adapter or
        // version of the driver.
        let cache = with_error_scope(device, || unsafe { device.create_pipeline_cache(&descriptor) }).ok()?;
        Some(Self { store: store.clone(), key, cache, kept })
    }

    /// To compile with.
    pub(super) fn cache(&self) -> &wgpu::PipelineCache {
        &self.cache
    }

    /// Keeps what was compiled.
    pub(super) fn save(&mut self) {
        let data = self.cache.get_data();
        if let Some(data) = data.filter(|data| self.kept.as_ref() != Some(data)) {
            self.store.write(&self.key, &data);
            self.kept = Some(data);
        }
    }
}
