//! Painting a defect into an image.

use std::f32::consts::{FRAC_PI_2, TAU};

use image::GrayImage;
use image::imageops::blur;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::region::Region;

/// What kind of defect it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A square from another place of the same image.
    MovedPatch,
    /// A square from another normal image.
    ForeignPatch,
    /// A disc of one colour.
    Blob,
    /// A thin line of one colour.
    Scratch,
    /// A square that shows the background: the median of the image's outermost pixels.
    MissingPart,
    /// A disc that is out of focus.
    Blur,
    /// A disc that is lighter or darker.
    Brightness,
    /// The whole image, turned about its centre.
    Turned,
    /// The whole image, moved.
    Moved,
    /// The whole image, lighter or darker.
    Exposure,
}

/// How large a defect is: its diameter, side or half length, as a share of the image's shorter side. Of a defect of the whole
/// image, how far it is turned, as a share of a quarter turn; how far it is moved, as a share of its shorter side; or by what
/// share of themselves its values change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Size {
    /// 0.1.
    Small,
    /// 0.2.
    Medium,
    /// 0.4.
    Large,
}

/// How much of the image a defect hides. Of a defect of the whole image, the share of its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contrast {
    /// 0.4: the image shows through.
    Faint,
    /// 1.
    Strong,
}

/// A defect to paint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defect {
    /// What it is.
    pub kind: Kind,
    /// How large it is.
    pub size: Size,
    /// How well it shows.
    pub contrast: Contrast,
}

/// An image in memory.
#[derive(Clone, Copy)]
pub(super) struct Picture<'a> {
    /// `channels` x `height` x `width`.
    pub values: &'a [u8],
    pub height: usize,
    pub width: usize,
}

/// A place is taken if the mean pixel there changes by so much, of 255: a black patch on black is no defect.
const VISIBLE: f32 = 12.0;
/// Places that are tried; if none is good enough, the best of them is taken.
const TRIES: usize = 24;
/// By how much a blob or scratch differs from what is below it at least, of 255.
const COLOUR_STEP: f32 = 80.0;
/// By how much brightness changes, of 255.
const BRIGHTNESS_STEP: f32 = 60.0;
/// A scratch's width, as a share of the image's shorter side; one pixel at least.
const SCRATCH_WIDTH: f32 = 0.03;

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::MovedPatch,
        Self::ForeignPatch,
        Self::Blob,
        Self::Scratch,
        Self::MissingPart,
        Self::Blur,
        Self::Brightness,
        Self::Turned,
        Self::Moved,
        Self::Exposure,
    ];

    /// Whether it changes a part of the image only.
    pub fn is_local(self) -> bool {
        !matches!(self, Self::Turned | Self::Moved | Self::Exposure)
    }

    /// What a person calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::MovedPatch => "patch from another place",
            Self::ForeignPatch => "patch from another image",
            Self::Blob => "blob",
            Self::Scratch => "scratch",
            Self::MissingPart => "missing part",
            Self::Blur => "blur",
            Self::Brightness => "brightness",
            Self::Turned => "whole image turned",
            Self::Moved => "whole image moved",
            Self::Exposure => "whole image lighter or darker",
        }
    }
}

impl Size {
    /// Every size.
    pub const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    /// The share of the image's shorter side.
    pub fn share(self) -> f32 {
        match self {
            Self::Small => 0.1,
            Self::Medium => 0.2,
            Self::Large => 0.4,
        }
    }
}

impl Contrast {
    /// Both contrasts.
    pub const ALL: [Self; 2] = [Self::Faint, Self::Strong];

    fn opacity(self) -> f32 {
        match self {
            Self::Faint => 0.4,
            Self::Strong => 1.0,
        }
    }
}

impl Defect {
    /// Every defect, by kind, then by size, then by contrast.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        let sized = |kind| Size::ALL.into_iter().map(move |size| (kind, size));
        let all = Kind::ALL.into_iter().flat_map(sized);
        all.flat_map(|(kind, size)| Contrast::ALL.into_iter().map(move |contrast| Self { kind, size, contrast }))
    }

    /// The values of `image` with this defect at a random place, and which of its pixels the defect covers by half or more;
    /// `other` is another normal image of the same shape.
    pub(super) fn paint(&self, image: Picture, other: Picture, rng: &mut ChaCha8Rng) -> (Vec<u8>, Vec<bool>) {
        let values: Vec<f32> = image.values.iter().map(|&value| value.into()).collect();
        if !self.kind.is_local() {
            return (self.change(image, &values, rng).map(byte).collect(), vec![true; image.height * image.width]);
        }
        let blurred = (self.kind == Kind::Blur).then(|| self.blurred(image));
        let mut best = (-1.0, values.clone(), Vec::new());
        for _ in 0..TRIES {
            let (coverage, painted) = self.place(image, &values, other, blurred.as_deref(), rng);
            let covered: f32 = coverage.iter().sum();
            let changes = values.iter().zip(&painted).zip(coverage.iter().cycle());
            let change: f32 = changes.map(|((value, painted), covered)| covered * (painted - value).abs()).sum();
            let channels = values.len() / coverage.len().max(1);
            let change = change / (covered * channels as f32).max(1.0);
            if change > best.0 {
                let blended = values.iter().zip(&painted).zip(coverage.iter().cycle());
                let opacity = self.contrast.opacity();
                let blended = blended.map(|((value, painted), covered)| value + opacity * covered * (painted - value));
                let blended = blended.collect();
                best = (change, blended, coverage);
            }
            if change >= VISIBLE {
                break;
            }
        }
        let (_, painted, coverage) = best;
        (painted.into_iter().map(byte).collect(), coverage.into_iter().map(|covered| covered >= 0.5).collect())
    }

    /// The values of the whole image after a change of it, in a random direction. What was outside takes the nearest pixel.
    fn change(
        &self,
        Picture { height, width, .. }: Picture,
        values: &[f32],
        rng: &mut ChaCha8Rng,
    ) -> impl Iterator<Item = f32> {
        let amount = self.size.share() * self.contrast.opacity();
        let (signed, direction) = (if rng.random() { amount } else { -amount }, rng.random_range(0.0..TAU));
        let (mut turn, mut shift, mut gain) = (0.0_f32, [0.0; 2], 1.0);
        match self.kind {
            Kind::Turned => turn = signed * FRAC_PI_2,
            Kind::Moved => {
                let extent = amount * height.min(width) as f32;
                shift = [extent * direction.cos(), extent * direction.sin()];
            }
            _ => gain += signed,
        }
        let (sin, cos) = turn.sin_cos();
        let centre = [(width - 1) as f32 / 2.0, (height - 1) as f32 / 2.0];
        let plane = height * width;
        (0..values.len()).map(move |place| {
            let (values, at) = (&values[place / plane * plane..][..plane], place % plane);
            let [x, y] = [(at % width) as f32 - centre[0], (at / width) as f32 - centre[1]];
            let from = [cos * x + sin * y + centre[0] - shift[0], cos * y - sin * x + centre[1] - shift[1]];
            gain * between(values, [height, width], from)
        })
    }

    /// What of each pixel is covered at a random place, and what the image would be if it were covered whole.
    fn place(
        &self,
        Picture { height, width, .. }: Picture,
        values: &[f32],
        other: Picture,
        blurred: Option<&[f32]>,
        rng: &mut ChaCha8Rng,
    ) -> (Vec<f32>, Vec<f32>) {
        let extent = self.extent(height, width);
        let centre = [rng.random_range(0.0..width as f32), rng.random_range(0.0..height as f32)];
        let square = Region::Square { centre, half: extent / 2.0 };
        let disc = Region::Disc { centre, radius: extent / 2.0 };
        let plane = height * width;
        let planes = || values.chunks_exact(plane);
        let constant = |colours: Vec<f32>| colours.into_iter().flat_map(|colour| vec![colour; plane]).collect();
        // A shift to another place that is there, with wrapping: a patch beyond the border comes from the other side.
        let shifted = |values: &mut dyn Iterator<Item = &[f32]>, rng: &mut ChaCha8Rng| -> Vec<f32> {
            let (dx, dy) = (rng.random_range(0..width), rng.random_range(0..height));
            let from = |place: usize| (place / width + dy) % height * width + (place % width + dx) % width;
            values.flat_map(|values| (0..plane).map(move |place| values[from(place)])).collect()
        };
        let (region, painted) = match self.kind {
            Kind::MovedPatch => (square, shifted(&mut planes(), rng)),
            Kind::ForeignPatch => {
                let other: Vec<f32> = other.values.iter().map(|&value| value.into()).collect();
                (square, shifted(&mut other.chunks_exact(plane), rng))
            }
            Kind::MissingPart => (square, constant(planes().map(|values| background(values, width)).collect())),
            Kind::Blur => (disc, blurred.unwrap_or(values).to_vec()),
            Kind::Brightness => {
                let step = if rng.random() { BRIGHTNESS_STEP } else { -BRIGHTNESS_STEP };
                (disc, values.iter().map(|value| (value + step).clamp(0.0, 255.0)).collect())
            }
            // These have no place: see `change`.
            Kind::Turned | Kind::Moved | Kind::Exposure => (square, values.to_vec()),
            Kind::Blob | Kind::Scratch => {
                let region = match self.kind {
                    Kind::Blob => disc,
                    _ => self.line(centre, height, width, rng),
                };
                let coverage = region.coverage(height, width);
                let colours = planes().map(|values| stroke_colour(values, &coverage, rng)).collect();
                return (coverage, constant(colours));
            }
        };
        (region.coverage(height, width), painted)
    }

    fn extent(&self, height: usize, width: usize) -> f32 {
        (self.size.share() * height.min(width) as f32).max(1.0)
    }

    fn line(&self, [x, y]: [f32; 2], height: usize, width: usize, rng: &mut ChaCha8Rng) -> Region {
        let (length, angle) = (self.extent(height, width), rng.random_range(0.0..TAU));
        let (dx, dy) = (length * angle.cos(), length * angle.sin());
        let half = (SCRATCH_WIDTH * height.min(width) as f32).max(1.0) / 2.0;
        Region::Line { ends: [[x - dx, y - dy], [x + dx, y + dy]], half }
    }

    /// The whole image out of focus, by a third of the defect's extent.
    fn blurred(&self, Picture { values, height, width }: Picture) -> Vec<f32> {
        let sigma = (self.extent(height, width) / 3.0).max(1.0);
        let planes = values.chunks_exact((height * width).max(1));
        let blurred = planes.filter_map(|plane| {
            let plane = GrayImage::from_raw(width as u32, height as u32, plane.to_vec())?;
            Some(blur(&plane, sigma).into_raw())
        });
        blurred.flatten().map(f32::from).collect()
    }
}

fn byte(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

/// The value of a plane at a column and row between pixels. Outside it is that of the nearest pixel.
fn between(values: &[f32], [height, width]: [usize; 2], [x, y]: [f32; 2]) -> f32 {
    let (x, y) = (x.clamp(0.0, (width - 1) as f32), y.clamp(0.0, (height - 1) as f32));
    let (left, top) = (x as usize, y as usize);
    let (right, bottom) = ((left + 1).min(width - 1), (top + 1).min(height - 1));
    let row = |row: usize| {
        let [left, right] = [left, right].map(|column| values[row * width + column]);
        left + x.fract() * (right - left)
    };
    row(top) + y.fract() * (row(bottom) - row(top))
}

/// The median of the outermost pixels of a plane.
fn background(values: &[f32], width: usize) -> f32 {
    let height = values.len() / width;
    let outermost = |place: &usize| {
        let (x, y) = (place % width, place / width);
        x == 0 || y == 0 || x == width - 1 || y == height - 1
    };
    let mut border: Vec<f32> = (0..values.len()).filter(outermost).map(|place| values[place]).collect();
    border.sort_by(f32::total_cmp);
    border.get(border.len() / 2).copied().unwrap_or_default()
}

/// A colour that differs from what is covered, lighter or darker by chance where both are possible.
fn stroke_colour(values: &[f32], coverage: &[f32], rng: &mut ChaCha8Rng) -> f32 {
    let (sum, covered) = values
        .iter()
        .zip(coverage)
        .fold((0.0, 0.0), |(sum, covered), (value, share)| (sum + value * share, covered + share));
    let mean = if covered > 0.0 { sum / covered } else { 0.0 };
    let (lighter, darker) = (mean + COLOUR_STEP, mean - COLOUR_STEP);
    let (light, dark) = (rng.random_range(0.0..=1.0_f32), rng.random::<bool>());
    match (lighter <= 255.0, darker >= 0.0) {
        (true, false) => lighter + light * (255.0 - lighter),
        (true, true) if !dark => lighter + light * (255.0 - lighter),
        _ => darker.max(0.0) * light,
    }
}
