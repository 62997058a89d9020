//! How many bytes objects have: one size, or a distribution over several.
//!
//! A key's number alone decides its size, so that a read knows what it must get back. Bodies and their digests are made
//! before the run, therefore a continuous distribution is a set of sizes, each the middle of an equal share of it.

use super::report::human_size;
use crate::limits::SIZE_SHARES;
use std::f64::consts::TAU;
use std::fmt;

/// Sizes of objects, each with its share.
#[derive(Clone, Debug, PartialEq)]
pub enum Sizes {
    Fixed(u64),
    /// Sizes and weights.
    Weighted(Vec<(u64, u32)>),
    /// Every size from the first to the second equally often.
    Uniform(u64, u64),
    /// Half of the objects are smaller than the median; the logarithm's standard deviation is sigma.
    LogNormal {
        median: u64,
        sigma: f64,
        max: u64,
    },
}

impl Sizes {
    /// `4KiB`, `4KiB:70,1MiB:30`, `uniform:1KiB:1MiB`, `lognormal:64KiB:1.5:64MiB`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(bounds) = text.strip_prefix("uniform:") {
            let (min, max) = bounds.split_once(':').ok_or("uniform is uniform:MIN:MAX")?;
            let (min, max) = (parse_size(min)?, parse_size(max)?);
            return if min <= max { Ok(Self::Uniform(min, max)) } else { Err("MIN is above MAX".to_owned()) };
        }
        if let Some(shape) = text.strip_prefix("lognormal:") {
            return Self::parse_lognormal(shape);
        }
        if !text.contains(':') {
            return parse_size(text).map(Self::Fixed);
        }
        let weights = text.split(',').map(|item| {
            let (size, weight) =
                item.split_once(':').ok_or_else(|| format!("`{item}` is not SIZE:WEIGHT"))?;
            let weight = weight.parse().map_err(|error| format!("weight `{weight}`: {error}"))?;
            Ok((parse_size(size)?, weight))
        });
        let weights = weights.collect::<Result<Vec<(u64, u32)>, String>>()?;
        match weights.iter().any(|(_, weight)| *weight > 0) {
            true => Ok(Self::Weighted(weights)),
            false => Err("all weights are 0".to_owned()),
        }
    }

    fn parse_lognormal(shape: &str) -> Result<Self, String> {
        let parts: Vec<&str> = shape.split(':').collect();
        let [median, sigma, max] = parts[..] else {
            return Err("lognormal is lognormal:MEDIAN:SIGMA:MAX".to_owned());
        };
        let sigma: f64 = sigma.parse().map_err(|_| format!("sigma `{sigma}` is no number"))?;
        if !(sigma > 0.0 && sigma <= 10.0) {
            return Err("sigma is above 0 and at most 10".to_owned());
        }
        Ok(Self::LogNormal { median: parse_size(median)?, sigma, max: parse_size(max)? })
    }

    /// The sizes and their weights. At least one weight is above 0.
    pub(crate) fn shares(&self) -> Vec<(u64, u32)> {
        let middles = (0..SIZE_SHARES).map(|at| (f64::from(at) + 0.5) / f64::from(SIZE_SHARES));
        match self {
            Self::Fixed(size) => vec![(*size, 1)],
            Self::Weighted(weights) => weights.clone(),
            Self::Uniform(min, max) => {
                middles.map(|share| (min + ((max - min) as f64 * share).round() as u64, 1)).collect()
            }
            Self::LogNormal { median, sigma, max } => {
                let sizes = middles.map(|share| *median as f64 * (sigma * normal_quantile(share)).exp());
                sizes.map(|size| ((size.round() as u64).min(*max), 1)).collect()
            }
        }
    }

    /// The size if there is but one.
    pub(crate) fn fixed(&self) -> Option<u64> {
        if let Self::Fixed(size) = self { Some(*size) } else { None }
    }

    pub(crate) fn max(&self) -> u64 {
        self.shares().iter().map(|(size, _)| *size).max().unwrap_or(0)
    }

    pub(crate) fn min(&self) -> u64 {
        self.shares().iter().map(|(size, _)| *size).min().unwrap_or(0)
    }

    /// Rounded down.
    pub(crate) fn mean(&self) -> u64 {
        let shares = self.shares();
        let total: u128 = shares.iter().map(|(_, weight)| u128::from(*weight)).sum();
        let bytes: u128 = shares.iter().map(|(size, weight)| u128::from(*size) * u128::from(*weight)).sum();
        (bytes / total.max(1)) as u64
    }
}

/// As [`Sizes::parse`] reads it.
impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |size: u64| human_size(size).replace(' ', "");
        match self {
            Self::Fixed(size) => f.write_str(&short(*size)),
            Self::Weighted(weights) => {
                let items = weights.iter().map(|(size, weight)| format!("{}:{weight}", short(*size)));
                f.write_str(&items.collect::<Vec<_>>().join(","))
            }
            Self::Uniform(min, max) => write!(f, "uniform:{}:{}", short(*min), short(*max)),
            Self::LogNormal { median, sigma, max } => {
                write!(f, "lognormal:{}:{sigma}:{}", short(*median), short(*max))
            }
        }
    }
}

/// Where the normal distribution's integral reaches `share`, to within 0.001: summed up from -8 by the midpoint rule.
fn normal_quantile(share: f64) -> f64 {
    const STEP: f64 = 0.001;
    let mut sum = 0.0;
    let mut at = -8.0;
    while sum < share && at < 8.0 {
        let middle: f64 = at + STEP / 2.0;
        sum += (-middle * middle / 2.0).exp() / TAU.sqrt() * STEP;
        at += STEP;
    }
    at
}

/// Bytes: `4KiB`, `10MB`, `1000`.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" | "B" => 1,
        "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err(format!("`{unit}` is no unit of size; KiB, MiB, GiB, kB, MB, GB are")),
    };
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is not a size such as 4KiB"))?;
    number.checked_mul(factor).ok_or_else(|| format!("`{text}` is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("4KiB"), Ok(4096));
        assert_eq!(parse_size("10MB"), Ok(10_000_000));
        assert!(
            parse_size("4kib").is_err() && parse_size("").is_err() && parse_size("99999999999GiB").is_err()
        );
    }

    #[test]
    fn what_is_parsed_is_written_the_same() {
        for text in
            ["4KiB", "4KiB:70,64KiB:25,1MiB:5", "uniform:1KiB:1MiB", "lognormal:64KiB:1.5:64MiB", "1000B"]
        {
            assert_eq!(Sizes::parse(text).expect(text).to_string(), text);
        }
        for text in [
            "4KiB:0",
            "uniform:2:1",
            "uniform:1",
            "lognormal:4KiB:0:1MiB",
            "lognormal:4KiB:1",
            "4KiB:70,1MiB",
        ] {
            assert!(Sizes::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn continuous_sizes_keep_mean_and_median() {
        let uniform = Sizes::Uniform(1000, 3000);
        assert_eq!(uniform.mean(), 2000);
        assert!(uniform.min() > 1000 && uniform.max() < 3000);
        let sizes = Sizes::LogNormal { median: 65536, sigma: 1.0, max: u64::MAX };
        let shares = sizes.shares();
        let below = shares.iter().filter(|(size, _)| *size < 65536).count();
        assert_eq!(below * 2, shares.len());
        // the mean of a lognormal is median * exp(sigma^2 / 2); what lies above the last middle is lost
        let mean = 65536.0 * 0.5f64.exp();
        assert!((sizes.mean() as f64) < mean && sizes.mean() as f64 > mean * 0.97, "{}", sizes.mean());
        assert!((normal_quantile(0.975) - 1.96).abs() < 0.002);
    }
}
