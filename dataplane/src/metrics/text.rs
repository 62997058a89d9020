//! Prometheus' text format, version 0.0.4.

use std::fmt::{Display, Write};

/// Collects metrics; families in the order in which they first come.
#[derive(Default)]
pub struct Writer {
    families: Vec<(String, String)>,
}

impl Writer {
    /// A value that only grows. By convention `name` ends in `_total`.
    pub fn counter(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: u64) {
        self.sample(name, "counter", help, "", labels, value);
    }

    /// A value that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: impl Display) {
        self.sample(name, "gauge", help, "", labels, value);
    }

    /// A distribution: `counts[i]` observations were at most `bounds[i]` and more than the bound before; one more count
    /// for those beyond the last bound.
    pub fn histogram(
        &mut self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        buckets: (&[f64], &[u64]),
        sum: f64,
    ) {
        let (bounds, counts) = buckets;
        assert!(counts.len() == bounds.len() + 1, "{} counts for {} bounds", counts.len(), bounds.len());
        let mut below = 0;
        for (at, count) in counts.iter().enumerate() {
            below += count;
            let bound = bounds.get(at).map_or_else(|| "+Inf".to_owned(), ToString::to_string);
            let mut with_bound = labels.to_vec();
            with_bound.push(("le", &bound));
            self.sample(name, "histogram", help, "_bucket", &with_bound, below);
        }
        self.sample(name, "histogram", help, "_sum", labels, sum);
        self.sample(name, "histogram", help, "_count", labels, below);
    }

    /// The text so far.
    #[must_use]
    pub fn finish(self) -> String {
        self.families.into_iter().map(|(_, text)| text).collect()
    }

    fn sample(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        suffix: &str,
        labels: &[(&str, &str)],
        value: impl Display,
    ) {
        let at = self.families.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            self.families.push((name.to_owned(), format!("# HELP {name} {help}\n# TYPE {name} {kind}\n")));
            self.families.len() - 1
        });
        let text = &mut self.families[at].1;
        text.push_str(name);
        text.push_str(suffix);
        write_labels(text, labels);
        writeln!(text, " {value}").expect("a String takes every write");
    }
}

fn write_labels(text: &mut String, labels: &[(&str, &str)]) {
    for (at, (name, value)) in labels.iter().enumerate() {
        text.push(if at == 0 { '{' } else { ',' });
        text.push_str(name);
        text.push_str("=\"");
        for letter in value.chars() {
            match letter {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
    }
    if !labels.is_empty() {
        text.push('}');
    }
}
