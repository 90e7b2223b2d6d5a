//! Kernels of convolutions whose lanes keep whole planes, all pixels of a channel, in registers: for small images, on adapters that are
//! CPUs. All multiply-accumulates of a pair of channels are written out, but for those on the padding.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use super::conv_dispatch::{ENOUGH, LANES, MOST, SMALL, Sizes, forward};
use super::conv_geometry::Geometry;
use super::conv_kernel::{ConvKind, ConvShape};
use super::conv2d::Epilogue;
use super::kernel::{Dispatch, Slot, Weights};

/// Most multiply-accumulates of a pair of channels, and most pixels that a lane keeps.
const MOST_MACS: usize = 1024;
const MOST_PIXELS: usize = 256;
/// Workgroups that keep some cores evenly busy.
const PLENTY: usize = 16;
/// Output channels that a plane, once loaded, serves at least in a weight gradient.
const LEAST_SERVED: usize = 16;

/// Whether there is such a kernel for a convolution, which keeps two threads busy where that matters. Forward ones, tried, were not
/// faster.
pub(super) fn fits(shape: &ConvShape) -> bool {
    let images = images_at_once(&shape.geometry);
    let [n, channels, ..] = shape.geometry.wide;
    let groups = channels.div_ceil(LANES);
    let workgroups = match shape.kind {
        _ if images == 0 => 0,
        ConvKind::Forward => 0,
        ConvKind::Transposed => groups * n / images,
        ConvKind::WeightGradient => groups * shape.geometry.narrow[1].div_ceil(block(&shape.geometry)),
    };
    workgroups >= ENOUGH || (workgroups > 0 && shape.macs() < SMALL)
}

/// Output channels of a workgroup of the weight gradient.
fn block(geometry: &Geometry) -> usize {
    let groups = geometry.wide[1].div_ceil(LANES).max(1);
    geometry.narrow[1].div_ceil(PLENTY.div_ceil(groups)).max(LEAST_SERVED)
}

/// Images whose planes lanes along the wide grid's channels keep at once: as many as their number divides into, if they are small
/// enough; none where planes or the kernel do not divide into fours, kernels do not overlap, or there are fewer channels than lanes.
fn images_at_once(geometry: &Geometry) -> usize {
    let Geometry { wide: [n, channels, wide_h, wide_w], narrow: [_, _, narrow_h, narrow_w], kernel, .. } = *geometry;
    let [wide, narrow, taps] = [wide_h * wide_w, narrow_h * narrow_w, kernel[0] * kernel[1]];
    // Where kernels do not overlap, each number that is loaded serves once: the other kernels load fewer.
    let overlap = narrow * taps >= 2 * wide;
    let fours = [wide, narrow, taps].iter().all(|len| len.is_multiple_of(4));
    let fit = |images: &usize| images * wide <= MOST_PIXELS && images * narrow * taps <= MOST_MACS;
    let most = (1..=n).take_while(fit).filter(|images| n.is_multiple_of(*images)).last().unwrap_or(0);
    if fours && overlap && channels >= LANES && n <= most * MOST { most } else { 0 }
}

/// The kernel of a transposed convolution.
pub(super) fn conv_transpose2d(geometry: &Geometry, epilogue: &Epilogue) -> Dispatch {
    let (sizes, images) = (Sizes::new(geometry, true), images_at_once(geometry));
    let mut products = products(geometry, images);
    products.sort_by_key(|product| product.wide);
    declare_plane(sizes.declare(forward("conv_transpose2d_plane_register", epilogue, "quad")), geometry, images)
        .with("QUADS_Y", images * sizes.oh * sizes.ow / 4)
        .with("QUADS_K", sizes.kh * sizes.kw / 4)
        .weights(Weights::Single)
        .text(add_products(&products, ["acc", "taps", "plane"], |product| [product.wide, product.tap, product.narrow]))
        .workgroups(sizes.co.div_ceil(LANES), sizes.n / images, 1)
}

/// The kernel of a convolution's weight gradient.
pub(super) fn conv2d_weight_grad(geometry: &Geometry) -> Dispatch {
    let (sizes, images) = (Sizes::new(geometry, false), images_at_once(geometry));
    let block = block(geometry);
    let mut products = products(geometry, images);
    products.sort_by_key(|product| product.narrow);
    let bindings = [Slot::Input(0), Slot::Input(1), Slot::Output(0)];
    declare_plane(sizes.declare(Dispatch::new("conv2d_weight_grad_plane_register", &bindings)), geometry, images)
        .with("BLOCK", block)
        .with("QUADS_X", images * sizes.ih * sizes.iw / 4)
        .text(add_products(&products, ["acc", "plane", "image"], |product| [product.tap, product.narrow, product.wide]))
        .workgroups(sizes.ci.div_ceil(LANES), sizes.co.div_ceil(block), 1)
}

/// Declares the narrow grid's plane of so many images for `common/plane.wgsl`.
fn declare_plane(dispatch: Dispatch, geometry: &Geometry, images: usize) -> Dispatch {
    let [_, _, h, w] = geometry.narrow;
    dispatch
        .with("LANES", LANES)
        .with("IMAGES", images)
        .with("PLANE", h * w)
        .with("PIXELS", images * h * w)
        .with("SHARES", images * (h * w / 4).div_ceil(LANES))
}

/// A multiply-accumulate of a pair of channels: the tap, and pixels of both planes.
struct Product {
    tap: usize,
    narrow: usize,
    wide: usize,
}

/// Those of so many images.
fn products(geometry: &Geometry, images: usize) -> Vec<Product> {
    let plane = |[_, _, h, w]: [usize; 4]| [images, 1, h, w];
    let mut products = Vec::new();
    Geometry { wide: plane(geometry.wide), narrow: plane(geometry.narrow), ..*geometry }.visit(|run| {
        let pixels = (0..run.len).map(|i| (run.narrow + i, run.wide + i * run.stride));
        products.extend(pixels.map(|(narrow, wide)| Product { tap: run.tap, narrow, wide }));
    });
    products
}

/// The function that the kernels call for all of them: adds to one of three arrays in registers the products of the others, at the
/// indices that `at` tells. Each number has a name of its own: drivers are slow at following many accesses to arrays.
fn add_products(products: &[Product], arrays: [&str; 3], at: impl Fn(&Product) -> [usize; 3]) -> String {
    let mut text = String::from("fn add_products() {\n");
    // Writing to a string cannot fail.
    let mut add = |line: fmt::Arguments| writeln!(text, "    {line}").unwrap_or_default();
    for (place, array) in arrays.into_iter().enumerate() {
        let used: BTreeSet<usize> = products.iter().map(|product| at(product)[place]).collect();
        used.iter().for_each(|i| add(format_args!("let {array}{i}_0 = {array}[{i}];")));
    }
    let [sums, left, right] = arrays;
    let mut added = BTreeMap::new();
    for [sum, i, j] in products.iter().map(at) {
        let count = added.entry(sum).or_insert(0);
        let before = *count;
        *count += 1;
        add(format_args!("let {sums}{sum}_{count} = fma({left}{i}_0, {right}{j}_0, {sums}{sum}_{before});"));
    }
    added.iter().for_each(|(sum, count)| add(format_args!("{sums}[{sum}] = {sums}{sum}_{count};")));
    text + "}\n"
}
