//! The fields of a form that count: those before the file, each with one value, `${filename}` replaced.

use crate::error::S3Error;
use crate::limits::{FORM_BYTES_MAX, FORM_FIELDS_MAX};
use crate::operation::metadata::MetadataSource;
use crate::operation::request::header_text;

use super::FormError;

/// What S3 replaces in every field, before anything is compared with the policy.
const VARIABLE: &str = "${filename}";

/// The headers of a PUT that a form sends as fields. Two of one name are one list, as two headers would be.
const LISTS: [&str; 6] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
];

/// Fields in the order of the form. Their names are compared without regard to case.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FormFields {
    list: Vec<Field>,
}

#[derive(Clone, PartialEq, Eq)]
struct Field {
    /// As sent.
    name: String,
    value: String,
}

impl FormFields {
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.list.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value.as_str())
    }

    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Names as sent, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().map(|field| (field.name.as_str(), field.value.as_str()))
    }

    /// Adds a field. A name that is given twice is refused where S3 does not say that the values make a list: what made
    /// the form may have meant the other one.
    pub(super) fn push(&mut self, name: String, value: Vec<u8>) -> Result<(), FormError> {
        let value = String::from_utf8(value).map_err(|_| FormError::NotUtf8)?;
        let is_full = self.list.len() == FORM_FIELDS_MAX;
        match self.list.iter_mut().find(|field| field.name.eq_ignore_ascii_case(&name)) {
            Some(field) if is_list(&name) => {
                field.value.push(',');
                field.value.push_str(&value);
            }
            Some(_) => return Err(FormError::Repeated(name)),
            None if is_full => return Err(FormError::TooManyFields),
            None => self.list.push(Field { name, value }),
        }
        Ok(())
    }

    /// Puts the last piece of the file's path in the place of the variable; nothing, where the file has no name. The
    /// policy is the text that was signed, and stays it.
    pub(super) fn set_filename(&mut self, filename: Option<String>) -> Result<(), FormError> {
        let filename = filename.unwrap_or_default();
        let filename = filename.rsplit(['/', '\\']).next().unwrap_or_default();
        let mut bytes = 0;
        for field in self.list.iter_mut().filter(|field| !field.name.eq_ignore_ascii_case("policy")) {
            let variables = field.value.matches(VARIABLE).count();
            bytes += variables * filename.len();
            // a name of 4 KB in the place of a thousand variables
            if bytes > FORM_BYTES_MAX {
                return Err(FormError::TooLongBeforeFile);
            }
            if variables > 0 {
                field.value = field.value.replace(VARIABLE, filename);
            }
        }
        Ok(())
    }
}

impl MetadataSource for FormFields {
    fn text(&self, name: &str) -> Result<Option<String>, S3Error> {
        self.get(name).map(|value| header_text(name, value.as_bytes())).transpose()
    }

    fn with_prefix(&self, prefix: &'static str) -> impl Iterator<Item = (&str, &[u8])> {
        self.iter().filter_map(move |(name, value)| {
            let start = name.get(..prefix.len())?;
            start.eq_ignore_ascii_case(prefix).then(|| (&name[prefix.len()..], value.as_bytes()))
        })
    }
}

/// Names only: values may be signatures.
impl std::fmt::Debug for FormFields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// A field that a form for S3 has to have and has not, before its file. (Two blanks: AWS's.)
pub(crate) fn missing_field(name: &'static str) -> S3Error {
    let message = format!(
        "Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the fields."
    );
    S3Error::invalid_argument(name, "", message)
}

fn is_list(name: &str) -> bool {
    let of_many = starts_with(name, "x-amz-meta-") || starts_with(name, "x-ignore-");
    of_many || LISTS.iter().any(|list| list.eq_ignore_ascii_case(name))
}

/// Without regard to case.
pub(super) fn starts_with(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::{FORM_FIELDS_MAX, FormError, FormFields};

    fn fields(list: &[(&str, &str)]) -> Result<FormFields, FormError> {
        let mut fields = FormFields::default();
        for (name, value) in list {
            fields.push((*name).to_owned(), value.as_bytes().to_vec())?;
        }
        Ok(fields)
    }

    #[track_caller]
    fn check_filename(value: &str, filename: Option<&str>, expected: &str) {
        let mut fields = fields(&[("key", value), ("policy", "${filename}")]).unwrap();
        fields.set_filename(filename.map(str::to_owned)).unwrap();
        assert_eq!((fields.get("key"), fields.get("policy")), (Some(expected), Some("${filename}")));
    }

    #[test]
    fn the_file_name_takes_the_place_of_the_variable() {
        check_filename("in/${filename}", Some("a b.jpg"), "in/a b.jpg");
        check_filename("${filename}-${filename}", Some("a"), "a-a");
        check_filename("${filename}", Some("C:\\Program Files\\dir\\file.txt"), "file.txt");
        check_filename("${filename}", Some("a/b\\c/"), "");
        check_filename("in/${filename}", Some(""), "in/");
        check_filename("in/${filename}", None, "in/");
        check_filename("${file}$filename", Some("a"), "${file}$filename");
        check_filename("${filename}", Some("${filename}"), "${filename}");
    }

    #[test]
    fn a_name_does_not_grow_without_bound() {
        let mut fields = fields(&[("key", &"${filename}".repeat(100))]).unwrap();
        assert_eq!(fields.set_filename(Some("a".repeat(1000))), Err(FormError::TooLongBeforeFile));
    }

    #[test]
    fn names_have_no_case_and_one_value() {
        let sent = fields(&[
            ("KEY", "k"),
            ("x-amz-meta-TAG", "Ninja"),
            ("X-Amz-Meta-Tag", "Stallman"),
            ("X-Ignore-a", "1"),
            ("x-ignore-a", "2"),
        ])
        .unwrap();
        assert_eq!(sent.get("key"), Some("k"));
        assert_eq!(sent.get("x-amz-meta-tag"), Some("Ninja,Stallman"));
        assert_eq!(sent.get("x-ignore-a"), Some("1,2"));
        assert_eq!(format!("{sent:?}"), "[\"KEY\", \"x-amz-meta-TAG\", \"X-Ignore-a\"]");
        assert_eq!(fields(&[("key", "a"), ("Key", "a")]), Err(FormError::Repeated("Key".into())));
        let many: Vec<_> = (0..=FORM_FIELDS_MAX).map(|i| format!("a{i}")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), "")).collect();
        assert_eq!(fields(&many), Err(FormError::TooManyFields));
        assert_eq!(FormFields::default().push("a".into(), vec![0xff]), Err(FormError::NotUtf8));
    }
}
