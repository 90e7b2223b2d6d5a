//! The hyperbolic tangent of a vector.

use pulp::Simd;

/// Coefficients of the series of 2^x: powers of ln 2 by factorials.
const SERIES: [f32; 7] = {
    let mut series = [1.0; 7];
    let mut term = 1.0f64;
    let mut power = 1;
    while power < series.len() {
        term *= std::f64::consts::LN_2 / power as f64;
        series[power] = term as f32;
        power += 1;
    }
    series
};

/// Beyond this the tangent is one in single precision.
const FLAT: f32 = 9.02;
/// Adding and subtracting it rounds small numbers to whole ones: 1.5 * 2^23.
const ROUND: f32 = 12_582_912.0;
/// Bits of the fraction, and the exponent of one.
const FRACTION: u32 = 23;
const ONE: u32 = 127;

/// `tanh v` to 2e-7, with plain arithmetic only; NaN stays NaN. `tanh v = 1 - 2 / (e^(2v) + 1)`, and the power is
/// `2^n 2^x` with whole `n` and `x` between -1/2 and 1/2.
#[inline(always)]
pub(super) fn tanh<S: Simd>(simd: S, v: S::f32s) -> S::f32s {
    let (one, two, round) = (simd.splat_f32s(1.0), simd.splat_f32s(2.0), simd.splat_f32s(ROUND));
    let (least, most) = (simd.splat_f32s(-FLAT), simd.splat_f32s(FLAT));
    // Comparisons, not minimum and maximum: those of some processors make a number of NaN.
    let v = simd.select_f32s(simd.less_than_f32s(v, least), least, v);
    let v = simd.select_f32s(simd.greater_than_f32s(v, most), most, v);
    let y = simd.mul_f32s(v, simd.splat_f32s(2.0 * std::f32::consts::LOG2_E));
    let shifted = simd.add_f32s(y, round);
    let x = simd.sub_f32s(y, simd.sub_f32s(shifted, round));
    let mut power = simd.splat_f32s(SERIES[6]);
    let mut term = 6;
    while term > 0 {
        term -= 1;
        power = simd.mul_add_e_f32s(power, x, simd.splat_f32s(SERIES[term]));
    }
    // The low bits of the shifted number are `n`.
    let whole = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(FRACTION));
    let scale = simd.transmute_f32s_u32s(simd.add_u32s(whole, simd.splat_u32s(ONE << FRACTION)));
    simd.sub_f32s(one, simd.div_f32s(two, simd.mul_add_e_f32s(power, scale, one)))
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, Scalar, Simd, WithSimd};

    use super::tanh;

    /// A call for one number.
    struct Tanh(f32);

    impl WithSimd for Tanh {
        type Output = f32;

        fn with_simd<S: Simd>(self, simd: S) -> f32 {
            let mut values = [self.0];
            let tanh = tanh(simd, simd.splat_f32s(self.0));
            simd.partial_store_f32s(&mut values, tanh);
            values[0]
        }
    }

    fn follow_the_exact_one(tanh: impl Fn(f32) -> f32) {
        for step in -240_000..=240_000 {
            let v = step as f32 * 1e-4;
            let error = (f64::from(tanh(v)) - f64::from(v).tanh()).abs();
            assert!(error < 2e-7, "tanh({v}) is off by {error}");
        }
        assert_eq!([tanh(f32::INFINITY), tanh(f32::NEG_INFINITY)], [1.0, -1.0]);
        assert!(tanh(f32::NAN).is_nan());
    }

    #[test]
    fn with_and_without_vectors() {
        follow_the_exact_one(|v| Scalar::new().vectorize(Tanh(v)));
        follow_the_exact_one(|v| Arch::new().dispatch(Tanh(v)));
    }
}
