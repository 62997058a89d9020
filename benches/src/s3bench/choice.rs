//! Which of the keys a read takes next.

use super::content::Random;

/// How reads choose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Access {
    /// Every key equally often.
    Uniform,
    /// The key of rank *r* in proportion to *r^-theta*, theta between 0 and 1: few keys are hot.
    Zipf(f64),
}

impl Access {
    /// `uniform`, `zipf` (theta 0.99, as YCSB has it) or `zipf:THETA`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let theta = match text.split_once(':') {
            None if text == "uniform" => return Ok(Self::Uniform),
            None if text == "zipf" => 0.99,
            Some(("zipf", theta)) => theta.parse().map_err(|_| format!("theta `{theta}` is no number"))?,
            _ => return Err(format!("`{text}` is neither uniform nor zipf[:THETA]")),
        };
        if theta > 0.0 && theta < 1.0 {
            Ok(Self::Zipf(theta))
        } else {
            Err("theta is between 0 and 1".to_owned())
        }
    }
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Uniform => f.write_str("uniform"),
            Self::Zipf(theta) => write!(f, "zipf:{theta}"),
        }
    }
}

/// A prime above any number of keys: multiplying by it scatters ranks over the keys, one to one.
const SCATTER: u128 = (1 << 61) - 1;

/// Chooses among a number of keys in constant time, after one sum over them.
pub(super) struct Choice {
    keys: u64,
    zipf: Option<Zipf>,
}

/// Constants of the method of Gray et al., "Quickly generating billion-record synthetic databases", SIGMOD 1994, section 3.
struct Zipf {
    zeta: f64,
    alpha: f64,
    eta: f64,
    second: f64,
}

impl Choice {
    pub(super) fn new(access: Access, keys: u64) -> Self {
        let zipf = match access {
            // below three keys the method has no meaning, and there is nothing to be hot
            Access::Zipf(theta) if keys > 2 => Some(Zipf::new(theta, keys)),
            _ => None,
        };
        Self { keys, zipf }
    }

    /// Number of a key.
    pub(super) fn pick(&self, random: &mut Random) -> u64 {
        match &self.zipf {
            None => random.below(self.keys),
            Some(zipf) => {
                let rank = zipf.rank(random.unit(), self.keys);
                (u128::from(rank) * SCATTER % u128::from(self.keys)) as u64
            }
        }
    }
}

impl Zipf {
    fn new(theta: f64, keys: u64) -> Self {
        let weight = |rank: u64| (rank as f64).powf(-theta);
        let zeta: f64 = (1..=keys).map(weight).sum();
        let two = 1.0 + weight(2);
        Self {
            zeta,
            alpha: 1.0 / (1.0 - theta),
            eta: (1.0 - (2.0 / keys as f64).powf(1.0 - theta)) / (1.0 - two / zeta),
            second: two,
        }
    }

    /// From 0, the hottest, to `keys - 1`.
    fn rank(&self, unit: f64, keys: u64) -> u64 {
        match unit * self.zeta {
            scaled if scaled < 1.0 => 0,
            scaled if scaled < self.second => 1,
            _ => {
                let rank = keys as f64 * (self.eta * unit - self.eta + 1.0).powf(self.alpha);
                (rank as u64).min(keys - 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(access: Access, keys: u64, picks: usize) -> Vec<usize> {
        let (choice, mut random) = (Choice::new(access, keys), Random::new(7));
        let mut counts = vec![0; keys as usize];
        for _ in 0..picks {
            counts[choice.pick(&mut random) as usize] += 1;
        }
        counts.sort_unstable_by(|a, b| b.cmp(a));
        counts
    }

    #[test]
    fn zipf_gives_ranks_their_share() {
        let (keys, picks) = (1000u64, 200_000);
        let counts = counts(Access::Zipf(0.99), keys, picks);
        let zeta: f64 = (1..=keys).map(|rank| (rank as f64).powf(-0.99)).sum();
        for rank in [1usize, 2, 10, 100] {
            let expected = picks as f64 * (rank as f64).powf(-0.99) / zeta;
            let seen = counts[rank - 1] as f64;
            assert!((seen / expected - 1.0).abs() < 0.25, "rank {rank}: {seen}, expected {expected}");
        }
    }

    #[test]
    fn uniform_is_even_and_few_keys_are_all_taken() {
        let even = counts(Access::Uniform, 100, 100_000);
        assert!(even[0] < 1200 && even[99] > 800, "{even:?}");
        for keys in [1, 2, 3] {
            assert!(counts(Access::Zipf(0.5), keys, 1000).iter().all(|count| *count > 0));
        }
    }

    #[test]
    fn access_is_parsed() {
        assert_eq!(Access::parse("zipf"), Ok(Access::Zipf(0.99)));
        assert_eq!(Access::parse("zipf:0.7").map(|access| access.to_string()), Ok("zipf:0.7".to_owned()));
        assert!(Access::parse("zipf:1").is_err() && Access::parse("pareto").is_err());
    }
}
