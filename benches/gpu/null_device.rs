//! A Vulkan device without hardware: Mesa's RADV compiles for a family of AMD GPUs that `RADV_FORCE_FAMILY` names. wgpu
//! refuses it, for it runs nothing; so this speaks to Vulkan itself. Nothing is freed before the process ends.

use std::error::Error;
use std::ffi::CStr;

use ash::{Device, Entry, Instance, khr, vk};
use serde::{Deserialize, Serialize};

/// The compiler of one family.
pub(crate) struct NullDevice {
    /// As the driver names it, such as `Null hardware (RADV NAVI21)`.
    pub(crate) name: String,
    /// The driver and its version.
    pub(crate) driver: String,
    _entry: Entry,
    _instance: Instance,
    /// Whether the family computes in half precision.
    pub(crate) half: bool,
    device: Device,
    properties: khr::pipeline_executable_properties::Device,
}

/// What the compiler says of a kernel.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Compiled {
    /// Vector registers of an invocation.
    pub(crate) vgprs: u64,
    /// Scalar registers of a wave.
    pub(crate) sgprs: u64,
    /// Registers of both kinds that did not fit, and bytes of memory in their place.
    pub(crate) spills: u64,
    /// Bytes of workgroup memory.
    pub(crate) lds: u64,
    /// Waves that a SIMD holds at once.
    pub(crate) waves: u64,
    /// Instructions.
    pub(crate) instructions: u64,
    /// Cycles that a wave takes by itself, and those in which it issues, as the compiler estimates; a loop counts eight rounds.
    pub(crate) cycles: u64,
    pub(crate) issuing: u64,
    /// Invocations of a wave.
    pub(crate) wave_size: u32,
}

impl NullDevice {
    /// Opens the first device of the driver.
    pub(crate) fn open() -> Result<Self, Box<dyn Error>> {
        // SAFETY: the loader is loaded once and kept as long as the process lives; so are instance and device.
        unsafe {
            let entry = Entry::load()?;
            let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
            let instance =
                entry.create_instance(&vk::InstanceCreateInfo::default().application_info(&application), None)?;
            let adapter = *instance.enumerate_physical_devices()?.first().ok_or("the driver has no device")?;
            let mut driver = vk::PhysicalDeviceDriverProperties::default();
            let mut about = vk::PhysicalDeviceProperties2::default().push_next(&mut driver);
            instance.get_physical_device_properties2(adapter, &mut about);
            let name = text(&about.properties.device_name)?;
            let driver = format!("{} {}", text(&driver.driver_name)?, text(&driver.driver_info)?);

            let queue = vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&[1.0]);
            let extensions = [khr::pipeline_executable_properties::NAME, ash::ext::robustness2::NAME].map(CStr::as_ptr);
            // As wgpu opens devices.
            let core = vk::PhysicalDeviceFeatures::default().robust_buffer_access(true).shader_int16(true);
            let mut robust = vk::PhysicalDeviceRobustness2FeaturesEXT::default().robust_buffer_access2(true);
            let mut sixteen = vk::PhysicalDevice16BitStorageFeatures::default()
                .storage_buffer16_bit_access(true)
                .uniform_and_storage_buffer16_bit_access(true);
            let mut able = vk::PhysicalDeviceShaderFloat16Int8Features::default();
            let mut features = vk::PhysicalDeviceFeatures2::default().push_next(&mut able);
            instance.get_physical_device_features2(adapter, &mut features);
            let half_precision = able.shader_float16 == vk::TRUE;
            let mut half = vk::PhysicalDeviceShaderFloat16Int8Features::default().shader_float16(half_precision);
            let mut zeroed = vk::PhysicalDeviceZeroInitializeWorkgroupMemoryFeatures::default()
                .shader_zero_initialize_workgroup_memory(true);
            let mut sizes = vk::PhysicalDeviceSubgroupSizeControlFeatures::default().subgroup_size_control(true);
            let mut executables =
                vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
            let queues = [queue];
            let request = vk::DeviceCreateInfo::default()
                .queue_create_infos(&queues)
                .enabled_extension_names(&extensions)
                .enabled_features(&core)
                .push_next(&mut robust)
                .push_next(&mut sixteen)
                .push_next(&mut half)
                .push_next(&mut zeroed)
                .push_next(&mut sizes)
                .push_next(&mut executables);
            let device = instance.create_device(adapter, &request, None)?;
            let properties = khr::pipeline_executable_properties::Device::new(&instance, &device);
            Ok(Self { name, driver, _entry: entry, _instance: instance, half: half_precision, device, properties })
        }
    }

    /// Compiles the entry point `main` of a SPIR-V module that binds so many storage buffers, the first at 0.
    pub(crate) fn compile(&self, spirv: &[u32], bindings: &[u32]) -> Result<Compiled, Box<dyn Error>> {
        let buffer = |&binding: &u32| {
            vk::DescriptorSetLayoutBinding::default()
                .binding(binding)
                .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
                .descriptor_count(1)
                .stage_flags(vk::ShaderStageFlags::COMPUTE)
        };
        let buffers: Vec<_> = bindings.iter().map(buffer).collect();
        let device = &self.device;
        // SAFETY: every handle comes from this device and is destroyed once, after its last use; the module was validated.
        unsafe {
            let set = vk::DescriptorSetLayoutCreateInfo::default().bindings(&buffers);
            let sets = [device.create_descriptor_set_layout(&set, None)?];
            let layout = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            let layout = device.create_pipeline_layout(&layout, None)?;
            let module = device.create_shader_module(&vk::ShaderModuleCreateInfo::default().code(spirv), None)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main");
            let request = vk::ComputePipelineCreateInfo::default()
                .flags(vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR)
                .stage(stage)
                .layout(layout);
            let pipelines = device.create_compute_pipelines(vk::PipelineCache::null(), &[request], None);
            let pipeline = pipelines.map_err(|(_, error)| error)?[0];
            let compiled = self.statistics(pipeline);
            device.destroy_pipeline(pipeline, None);
            device.destroy_shader_module(module, None);
            device.destroy_pipeline_layout(layout, None);
            device.destroy_descriptor_set_layout(sets[0], None);
            compiled
        }
    }

    /// # Safety
    /// The pipeline must be of this device, and compiled with its statistics.
    unsafe fn statistics(&self, pipeline: vk::Pipeline) -> Result<Compiled, Box<dyn Error>> {
        // SAFETY: as promised by the caller.
        let (executable, statistics) = unsafe {
            let about = vk::PipelineInfoKHR::default().pipeline(pipeline);
            let executables = self.properties.get_pipeline_executable_properties(&about)?;
            let of = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
            (executables.first().copied(), self.properties.get_pipeline_executable_statistics(&of)?)
        };
        let mut compiled = Compiled { wave_size: executable.map_or(0, |it| it.subgroup_size), ..Default::default() };
        for statistic in &statistics {
            // SAFETY: the union is read as its format says.
            let value = unsafe {
                match statistic.format {
                    vk::PipelineExecutableStatisticFormatKHR::UINT64 => statistic.value.u64,
                    _ => continue,
                }
            };
            match text(&statistic.name)?.as_str() {
                "VGPRs" => compiled.vgprs = value,
                "SGPRs" => compiled.sgprs = value,
                "Spilled VGPRs" | "Spilled SGPRs" | "Scratch size" => compiled.spills += value,
                "LDS size" => compiled.lds = value,
                "Subgroups per SIMD" => compiled.waves = value,
                "Instructions" => compiled.instructions = value,
                "Latency" => compiled.cycles = value,
                "Inverse Throughput" => compiled.issuing = value,
                _ => {}
            }
        }
        // Every kernel has instructions: without any, the driver says nothing by these names.
        if compiled.instructions == 0 || compiled.waves == 0 {
            let names: Result<Vec<String>, _> = statistics.iter().map(|statistic| text(&statistic.name)).collect();
            return Err(format!("the driver counts other things than expected: {}", names?.join(", ")).into());
        }
        Ok(compiled)
    }
}

fn text(name: &[std::ffi::c_char]) -> Result<String, Box<dyn Error>> {
    let bytes: Vec<u8> = name.iter().map(|&byte| byte as u8).collect();
    Ok(CStr::from_bytes_until_nul(&bytes)?.to_string_lossy().into_owned())
}
